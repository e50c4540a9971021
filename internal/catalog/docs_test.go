package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestEverythingInTheCatalogHasAComment(t *testing.T) {
	docs, err := ReadDocs()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[protoreflect.FullName]bool{}
	check := func(d protoreflect.Descriptor) {
		seen[d.FullName()] = true
		if about := docs.Of(d); about == "" || strings.ContainsAny(about, "\n\t") {
			t.Errorf("%s: comment %q", d.FullName(), about)
		}
	}
	var message func(protoreflect.MessageDescriptor)
	message = func(m protoreflect.MessageDescriptor) {
		check(m)
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			check(f)
			if f.Message() != nil {
				message(f.Message())
			}
			if f.Enum() == nil {
				continue
			}
			check(f.Enum())
			for j := range f.Enum().Values().Len() {
				check(f.Enum().Values().Get(j))
			}
		}
	}
	for _, e := range Entries() {
		message(e.Request.ProtoReflect().Descriptor())
		if e.Answer != nil {
			message(e.Answer.ProtoReflect().Descriptor())
		}
	}
	// 51 messages with their parts; far fewer would mean that this test looks at nothing
	if len(seen) < 250 {
		t.Errorf("looked at %d declarations only", len(seen))
	}
}

func TestCommentsAreReadFromALayoutLikeBufs(t *testing.T) {
	docs := Docs{}
	err := docs.add([]byte(`// About the file.
syntax = "proto2";

package A.B;

import "other.proto";

option go_package = "x";

// Kind is
// of two lines.
enum Kind {
  // The first.
  FIRST = 1;
  SECOND = 0x02;
}

// Not above anything.

message Empty {}

// Thing is a thing.
message Thing {
  // A number.
  required uint32 number = 1;
  // Another's.
  optional A.C.Kind kind = 2 [default = FIRST];
  repeated uint32 silent = 20;
}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Docs{
		"A.B.Kind":         "Kind is of two lines.",
		"A.B.FIRST":        "The first.",
		"A.B.SECOND":       "",
		"A.B.Empty":        "",
		"A.B.Thing":        "Thing is a thing.",
		"A.B.Thing.number": "A number.",
		"A.B.Thing.kind":   "Another's.",
		"A.B.Thing.silent": "",
	}
	if diff := cmp.Diff(want, docs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLinesThatAreNotUnderstoodAreNotPassedOver(t *testing.T) {
	for _, text := range []string{
		"package A;\nmessage M {\n  message Nested {\n  }\n}",
		"package A;\nmessage M {\n  oneof x {\n  }\n}",
		"package A;\nenum E {\n  required uint32 x = 1;\n}",
		"package A;\n}",
	} {
		if err := (Docs{}).add([]byte(text)); err == nil {
			t.Errorf("read without an error:\n%s", text)
		}
	}
}
