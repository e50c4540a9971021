package catalog

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Example returns a request of kind e with every field but attach_data. Examples are about users 1
// to 3 and about group 1; user 1 is ann, whose password is "secret". Each is answered well if a
// message and the group are there and the examples are sent in the order of Entries.
func Example(e Entry, now time.Time) (proto.Message, error) {
	m := New(e.Request)
	if err := (protojson.UnmarshalOptions{AllowPartial: true}).Unmarshal([]byte(example(e.Name())),
		m); err != nil {
		return nil, fmt.Errorf("the example of %s: %w", e.Name(), err)
	}
	if missing := Fill(m, now); len(missing) > 0 {
		return nil, fmt.Errorf("the example of %s lacks %v", e.Name(), missing)
	}
	return m, nil
}

// example returns an example as JSON, without what Fill fills in.
func example(request string) string {
	const (
		pair  = `"session_type":"SESSION_TYPE_SINGLE"`
		photo = `"from_user_id":1,"to_user_id":2,"task_id":"5f1d7a84db00d2fce00b31a7fc73224f"`
	)
	switch request {
	case "IMValidateReq":
		return `{"user_name":"ann","password":"5ebe2294ecd0e0f08eab7690d2a6ee69"}`
	case "IMPushShieldReq":
		return `{"user_id":1,"shield_status":1}`
	case "IMDeviceTokenReq":
		return `{"user_id":1,"device_token":` +
			`"0f744707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bbad78",` +
			`"client_type":"CLIENT_TYPE_IOS"}`
	case "IMGetDeviceTokenReq":
		return `{"user_id":[1,2]}`
	case "IMQueryPushShieldReq", "IMRecentContactSessionReq", "IMAllUserReq", "IMDepartmentReq",
		"IMUnreadMsgCntReq",
		"IMNormalGroupListReq", "IMFileHasOfflineReq":
		return `{"user_id":1}`
	case "IMRemoveSessionReq":
		return `{"user_id":1,` + pair + `,"session_id":2}`
	case "IMUsersInfoReq":
		return `{"user_id":1,"user_id_list":[1,2]}`
	case "IMChangeSignInfoReq":
		return `{"user_id":1,"sign_info":"Back on Monday · 周一回来"}`
	case "IMChangeAvatarReq":
		return `{"user_id":1,"avatar_url":"http://127.0.0.1:8700/avatar/1.png"}`
	case "IMMsgData":
		return `{"from_user_id":1,"to_session_id":2,"msg_data":"aGk="}`
	case "IMGetMsgListReq":
		return `{"user_id":1,` + pair + `,"session_id":2,"msg_id_begin":0,"msg_cnt":20}`
	case "IMGetMsgByIdReq":
		return `{"user_id":1,` + pair + `,"session_id":2,"msg_id_list":[1,2]}`
	case "IMGetLatestMsgIdReq":
		return `{"user_id":1,` + pair + `,"session_id":2}`
	case "IMMsgDataReadAck":
		return `{"user_id":2,"session_id":1,"msg_id":1,` + pair + `}`
	case "IMGroupInfoListReq":
		return `{"user_id":1,"group_version_list":[{"group_id":1,"version":0}]}`
	case "IMGroupCreateReq":
		return `{"user_id":1,"group_type":"GROUP_TYPE_NORMAL","group_name":"Lunch · 午饭",` +
			`"group_avatar":"","member_id_list":[1,2]}`
	case "IMGroupChangeMemberReq":
		return `{"user_id":1,"change_type":"GROUP_MODIFY_TYPE_ADD","group_id":1,` +
			`"member_id_list":[3]}`
	case "IMGroupShieldReq":
		return `{"user_id":1,"group_id":1,"shield_status":1}`
	case "IMGroupGetShieldReq":
		return `{"group_id":1,"user_id":[1,2]}`
	case "IMFileAddOfflineReq":
		return `{` + photo + `,"file_name":"photo.jpg","file_size":48211}`
	case "IMFileDelOfflineReq":
		return `{` + photo + `}`
	default:
		return ""
	}
}
