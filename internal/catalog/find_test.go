package catalog

import (
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	for name, want := range map[string]string{
		"IMUsersInfoReq": "IMUsersInfoReq",
		"imusersinforeq": "IMUsersInfoReq",
		"UsersInfo":      "IMUsersInfoReq",
		"usersinfoReq":   "IMUsersInfoReq",
		"MSGDATA":        "IMMsgData",
		"MsgDataReadAck": "IMMsgDataReadAck",
		"0x0204":         "IMUsersInfoReq",
		"0X020C":         "IMChangeAvatarReq",
	} {
		e, err := Lookup(name)
		if err != nil || e.Name() != want {
			t.Errorf("%s: got %v, %v; want %s", name, e.Request, err, want)
		}
	}
	for name, want := range map[string]string{
		"IMUserInfoReq": `unknown request "IMUserInfoReq"; did you mean IMUsersInfoReq?`,
		"unread":        `unknown request "unread"; did you mean IMUnreadMsgCntReq?`,
		"getmsg": `unknown request "getmsg"; ` +
			`did you mean IMGetMsgListReq or IMGetMsgByIdReq?`,
		"IMUsersInfoRsp": `IMUsersInfoRsp is an answer; its request is IMUsersInfoReq`,
		"0x0205":         `0x0205 is an answer; its request is IMUsersInfoReq`,
		"frobnicate":     `unknown request "frobnicate"`,
		"":               `unknown request ""`,
		"0x0999":         `unknown request "0x0999"`,
	} {
		if e, err := Lookup(name); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, %v; want the error %q", name, e.Request, err, want)
		}
	}
}

// Whoever adds a request must not take away another's short name.
func TestShortNamesAreUnambiguous(t *testing.T) {
	seen := map[string]string{}
	for _, e := range Entries() {
		s := short(e.Name())
		if other := seen[s]; other != "" || strings.TrimSpace(s) == "" {
			t.Errorf("%s and %s are both %q", other, e.Name(), s)
		}
		seen[s] = e.Name()
	}
}
