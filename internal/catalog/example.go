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
	opt := protojson.UnmarshalOptions{AllowPartial: true}
	if err := opt.Unmarshal([]byte(examples[e.Name()]), m); err != nil {
		return nil, fmt.Errorf("the example of %s: %w", e.Name(), err)
	}
	if missing := Fill(m, now); len(missing) > 0 {
		return nil, fmt.Errorf("the example of %s lacks %v", e.Name(), missing)
	}
	return m, nil
}

// Parts of several examples.
const (
	ofAnn   = `{"user_id":1}`
	withBob = `{"user_id":1,"session_type":"SESSION_TYPE_SINGLE","session_id":2`
	photo   = `{"from_user_id":1,"to_user_id":2,"task_id":"5f1d7a84db00d2fce00b31a7fc73224f"`
)

// examples are JSON by the names of requests, without what Fill fills in.
var examples = map[string]string{
	"IMValidateReq":   `{"user_name":"ann","password":"5ebe2294ecd0e0f08eab7690d2a6ee69"}`,
	"IMPushShieldReq": `{"user_id":1,"shield_status":1}`,
	"IMDeviceTokenReq": `{"user_id":1,"client_type":"CLIENT_TYPE_IOS","device_token":` +
		`"0f744707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bbad78"}`,
	"IMGetDeviceTokenReq":       `{"user_id":[1,2]}`,
	"IMQueryPushShieldReq":      ofAnn,
	"IMRecentContactSessionReq": ofAnn,
	"IMAllUserReq":              ofAnn,
	"IMDepartmentReq":           ofAnn,
	"IMUnreadMsgCntReq":         ofAnn,
	"IMNormalGroupListReq":      ofAnn,
	"IMFileHasOfflineReq":       ofAnn,
	"IMRemoveSessionReq":        withBob + `}`,
	"IMUsersInfoReq":            `{"user_id":1,"user_id_list":[1,2]}`,
	"IMChangeSignInfoReq":       `{"user_id":1,"sign_info":"Back on Monday · 周一回来"}`,
	"IMChangeAvatarReq":         `{"user_id":1,"avatar_url":"http://127.0.0.1:8700/avatar/1.png"}`,
	"IMMsgData":                 `{"from_user_id":1,"to_session_id":2,"msg_data":"aGk="}`,
	"IMGetMsgListReq":           withBob + `,"msg_id_begin":0,"msg_cnt":20}`,
	"IMGetMsgByIdReq":           withBob + `,"msg_id_list":[1,2]}`,
	"IMGetLatestMsgIdReq":       withBob + `}`,
	"IMMsgDataReadAck": `{"user_id":2,"session_id":1,"msg_id":1,` +
		`"session_type":"SESSION_TYPE_SINGLE"}`,
	"IMGroupInfoListReq": `{"user_id":1,"group_version_list":[{"group_id":1,"version":0}]}`,
	"IMGroupCreateReq": `{"user_id":1,"group_type":"GROUP_TYPE_NORMAL",` +
		`"group_name":"Lunch · 午饭","group_avatar":"","member_id_list":[1,2]}`,
	"IMGroupChangeMemberReq": `{"user_id":1,"change_type":"GROUP_MODIFY_TYPE_ADD","group_id":1,` +
		`"member_id_list":[3]}`,
	"IMGroupShieldReq":    `{"user_id":1,"group_id":1,"shield_status":1}`,
	"IMGroupGetShieldReq": `{"group_id":1,"user_id":[1,2]}`,
	"IMFileAddOfflineReq": photo + `,"file_name":"photo.jpg","file_size":48211}`,
	"IMFileDelOfflineReq": photo + `}`,
}
