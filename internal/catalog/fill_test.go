package catalog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

func TestFillLeavesWhatIsSetAndNamesWhatIsMissing(t *testing.T) {
	now := time.Unix(1700000000, 0)
	got := &impb.IMMsgData{MsgId: proto.Uint32(7), ToSessionId: proto.Uint32(2)}
	missing := Fill(got, now)
	want := &impb.IMMsgData{
		MsgId: proto.Uint32(7), ToSessionId: proto.Uint32(2), CreateTime: proto.Uint32(1700000000),
		MsgType: impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum(),
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"from_user_id", "msg_data"}, missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}

	list := &impb.IMGroupInfoListReq{
		GroupVersionList: []*impb.GroupVersionInfo{{GroupId: proto.Uint32(1)}, {}},
	}
	missing = Fill(list, now)
	if diff := cmp.Diff([]string{"group_version_list[1].group_id"}, missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if v := list.GroupVersionList[0].Version; v == nil || *v != 0 || list.UserId == nil {
		t.Errorf("got %v", list)
	}
}

// Every default must be a value of its field.
func TestDefaultsFit(t *testing.T) {
	for _, e := range Entries() {
		fields := e.Request.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			text, ok := Default(fields.Get(i))
			if !ok {
				continue
			}
			if _, err := valueOf(fields.Get(i), text, time.Now()); err != nil {
				t.Errorf("%s: %v", fields.Get(i).FullName(), err)
			}
		}
	}
}

func TestExamplesAreFilled(t *testing.T) {
	for _, e := range Entries() {
		m, err := Example(e, time.Now())
		if err != nil {
			t.Error(err)
			continue
		}
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			empty := f.Cardinality() == protoreflect.Repeated &&
				m.ProtoReflect().Get(f).List().Len() == 0
			if f.Name() != "attach_data" && (empty || !m.ProtoReflect().Has(f)) {
				t.Errorf("the example of %s does not show %s", e.Name(), f.Name())
			}
		}
	}
}
