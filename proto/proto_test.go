// Package proto_test checks the few facts about the messages that the rest of the code leans on.
// That every message and field has its comment is checked by `buf lint`.
package proto_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// attach_data is field 20 wherever there is one, and nothing else is: code that echoes it need not
// know the message.
func TestAttachDataIsField20(t *testing.T) {
	const want = 51
	found := 0
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if file.Package().Parent() != "IM" {
			return true
		}
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			fields := message.Fields()
			byNumber, byName := fields.ByNumber(20), fields.ByName("attach_data")
			if byNumber != byName {
				t.Errorf("%s: field 20 is %v, attach_data is %v", message.FullName(), byNumber,
					byName)
				continue
			}
			if byName == nil {
				continue
			}
			found++
			if byName.Kind() != protoreflect.BytesKind ||
				byName.Cardinality() != protoreflect.Optional {
				t.Errorf("%s: attach_data is %s %s, want optional bytes",
					message.FullName(), byName.Cardinality(), byName.Kind())
			}
		}
		return true
	})
	if found != want {
		t.Errorf("%d messages have attach_data, want %d", found, want)
	}
}

func TestRequiredFieldMissing(t *testing.T) {
	// user_id_list is there, the required user_id is not.
	body := []byte{0x10, 0x02}
	if err := proto.Unmarshal(body, &impb.IMUsersInfoReq{}); err == nil {
		t.Error("a request without its required user_id was accepted")
	}
	if err := proto.Unmarshal(append([]byte{0x08, 0x01}, body...),
		&impb.IMUsersInfoReq{}); err != nil {
		t.Error(err)
	}
	if _, err := proto.Marshal(&impb.IMUsersInfoRsp{}); err == nil {
		t.Error("an answer without its required user_id was written")
	}
}

func TestGroupTypeDefault(t *testing.T) {
	if got := (&impb.IMGroupCreateReq{}).GetGroupType(); got != impb.GroupType_GROUP_TYPE_TMP {
		t.Errorf("default group_type is %v, want GROUP_TYPE_TMP", got)
	}
}

// An answer has attach_data even when it is empty; an absent one is something else on the wire.
func TestEmptyAttachDataIsWritten(t *testing.T) {
	body, err := proto.Marshal(&impb.IMUsersInfoRsp{UserId: proto.Uint32(1), AttachData: []byte{}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x08, 0x01, 0xa2, 0x01, 0x00}; !bytes.Equal(body, want) {
		t.Errorf("body % x, want % x", body, want)
	}
}
