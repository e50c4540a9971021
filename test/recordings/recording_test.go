package recordings

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig"
)

// recording is one file of testdata/conformance: what the original server was sent, and what it
// answered.
type recording struct {
	Scenario string `json:"scenario"`
	About    string `json:"about"`
	Seed     string `json:"seed"`
	Steps    []step `json:"steps"`
	// what it left, see leftover; for MySQL and Redis only
	Database json.RawMessage `json:"database"`
	Redis    json.RawMessage `json:"redis"`
}

// step either sleeps, or writes Send and Raw in one go and takes the frames of Recv and no more.
type step struct {
	Sleep    float64         `json:"sleep"` // seconds
	Send     []recordedFrame `json:"send"`
	Raw      string          `json:"raw"` // bytes, hex
	Recv     []recordedFrame `json:"recv"`
	AnyOrder bool            `json:"any_order"`
	// the server closes the connection; the next step uses a new one
	Closed bool `json:"closed"`
}

// recordedFrame is a frame with its body as protobuf JSON (bytes in base64, enums as numbers), or
// in hex.
type recordedFrame struct {
	Service uint16         `json:"service"`
	Command string         `json:"command"` // such as "0x0301"
	Seq     uint16         `json:"seq"`
	Message string         `json:"message"`
	Body    map[string]any `json:"body"`
	BodyHex string         `json:"body_hex"`
}

// readRecordings reads all recordings; one that has what the replay does not know fails the test.
func readRecordings(t *testing.T) []recording {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rig.Recordings(), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	var all []recording
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		var r recording
		d := json.NewDecoder(f)
		d.DisallowUnknownFields()
		err = d.Decode(&r)
		f.Close()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, r)
	}
	return all
}

// newMessage makes an empty message by its name without package.
func newMessage(name string) (proto.Message, error) {
	for _, e := range catalog.Entries() {
		if e.Name() == name {
			return catalog.New(e.Request), nil
		}
		if e.Answer != nil && catalog.Name(e.Answer) == name {
			return catalog.New(e.Answer), nil
		}
	}
	if name == "IMHeartBeat" {
		return new(impb.IMHeartBeat), nil
	}
	return nil, fmt.Errorf("no message %q in the catalog", name)
}

// encode makes the frame that is to be sent, its times counted from start.
func (f recordedFrame) encode(start time.Time) (pdu.Frame, error) {
	command, err := strconv.ParseUint(f.Command, 0, 16)
	if err != nil {
		return pdu.Frame{}, err
	}
	frame := pdu.Frame{Service: f.Service, Command: uint16(command), Seq: f.Seq}
	if f.Message == "" {
		frame.Body, err = hex.DecodeString(f.BodyHex)
		return frame, err
	}
	m, err := newMessage(f.Message)
	if err != nil {
		return frame, err
	}
	body, err := json.Marshal(fillTimes(f.Body, start))
	if err != nil {
		return frame, err
	}
	if err := (protojson.UnmarshalOptions{AllowPartial: true}).Unmarshal(body, m); err != nil {
		return frame, fmt.Errorf("%s: %w", f.Message, err)
	}
	frame.Body, err = proto.MarshalOptions{AllowPartial: true}.Marshal(m)
	return frame, err
}

// fillTimes replaces "$now" and "$now+2", seconds after start, by numbers.
func fillTimes(v any, start time.Time) any {
	switch v := v.(type) {
	case map[string]any:
		filled := make(map[string]any, len(v))
		for k, e := range v {
			filled[k] = fillTimes(e, start)
		}
		return filled
	case []any:
		filled := make([]any, len(v))
		for i, e := range v {
			filled[i] = fillTimes(e, start)
		}
		return filled
	case string:
		if after, ok := strings.CutPrefix(v, "$now"); ok {
			seconds, _ := strconv.Atoi(after) // none: 0
			return start.Unix() + int64(seconds)
		}
	}
	return v
}

// view is a frame in the form that is compared: each value by the path to it, such as
// msg_list[2].msg_id.
type view map[string]any

func newView(service uint16, command string, seq uint16, body any) view {
	v := view{"(service)": service, "(command)": command, "(seq)": seq}
	v.add("", body)
	return v
}

// add adds a tree of JSON values under path.
func (v view) add(path string, tree any) {
	switch tree := tree.(type) {
	case map[string]any:
		if len(tree) == 0 && path != "" {
			v[path] = "(nothing)"
		}
		for k, e := range tree {
			v.add(strings.TrimPrefix(path+"."+k, "."), e)
		}
	case []any:
		for i, e := range tree {
			v.add(fmt.Sprintf("%s[%d]", path, i), e)
		}
	default:
		v[path] = tree
	}
}

// wanted is the view of a frame that must come.
func (f recordedFrame) wanted() view {
	return newView(f.Service, f.Command, f.Seq, sortLists(f.Body))
}

// seen is the view of a frame that came in place of f. Times within the run stand as "$now" where f
// has that.
func (f recordedFrame) seen(got pdu.Frame, start time.Time) view {
	body, err := f.tree(got.Body)
	if err != nil {
		return newView(got.Service, fmt.Sprintf("0x%04x", got.Command), got.Seq, map[string]any{
			"(broken body)": err.Error(), "(body)": hex.EncodeToString(got.Body),
		})
	}
	return newView(got.Service, fmt.Sprintf("0x%04x", got.Command), got.Seq,
		markTimes(sortLists(f.Body), sortLists(body), start))
}

// tree decodes a body that should be f's message.
func (f recordedFrame) tree(body []byte) (tree map[string]any, err error) {
	m, err := newMessage(f.Message)
	if err != nil {
		return nil, err
	}
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(body, m); err != nil {
		return nil, err
	}
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		return nil, fmt.Errorf("%s with unknown fields", f.Message)
	}
	text, err := protojson.MarshalOptions{AllowPartial: true, UseProtoNames: true,
		UseEnumNumbers: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	return tree, json.Unmarshal(text, &tree)
}

// markTimes puts "$now" into got where want has it and got a time of the run: up to 60 s before its
// start, up to 300 s after.
func markTimes(want, got any, start time.Time) any {
	switch g := got.(type) {
	case map[string]any:
		w, _ := want.(map[string]any)
		marked := make(map[string]any, len(g))
		for k, e := range g {
			marked[k] = markTimes(w[k], e, start)
		}
		return marked
	case []any:
		w, _ := want.([]any)
		marked := make([]any, len(g))
		for i, e := range g {
			if i < len(w) {
				e = markTimes(w[i], e, start)
			}
			marked[i] = e
		}
		return marked
	case float64:
		if want == "$now" && withinRun(g, start) {
			return "$now"
		}
	}
	return got
}

// withinRun reports whether a number is a time (Unix seconds) within a run.
func withinRun(n float64, start time.Time) bool {
	since := n - float64(start.Unix())
	return since >= -60 && since <= 300
}

// unordered names the lists whose order is not compared, with the fields they are sorted by
// instead.
var unordered = map[string][]string{
	"contact_session_list": {"session_type", "session_id"},
	"group_version_list":   {"group_id"},
	"group_info_list":      {"group_id"},
}

// sortLists returns a body with its unordered lists sorted.
func sortLists(body map[string]any) map[string]any {
	body = maps.Clone(body)
	for name, keys := range unordered {
		list, ok := body[name].([]any)
		if !ok {
			continue
		}
		list = slices.Clone(list)
		slices.SortStableFunc(list, func(a, b any) int {
			for _, k := range keys {
				x, _ := a.(map[string]any)[k].(float64)
				y, _ := b.(map[string]any)[k].(float64)
				if c := cmp.Compare(x, y); c != 0 {
					return c
				}
			}
			return 0
		})
		body[name] = list
	}
	return body
}
