package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/teamtalk-go/dbproxy/"

// allowed is which rooms each room may import: see docs/architecture.md. Whoever adds a room adds a line.
var allowed = map[string][]string{
	"impb":        {},
	"pdu":         {},
	"catalog":     {"impb", "proto"},
	"client":      {"catalog", "pdu"},
	"server":      {"descriptors", "pdu"},
	"command":     {"catalog", "chat", "impb", "pdu", "server"},
	"chat":        {},
	"checkup":     {},
	"records":     {"chat", "checkup", "descriptors"},
	"admin":       {"chat"},
	"counters":    {"chat", "checkup", "descriptors"},
	"voice":       {"chat", "checkup", "descriptors"},
	"groupsync":   {"chat"},
	"company":     {"chat"},
	"demo":        {"client", "company", "impb"},
	"chatui":      {"client", "impb", "terminal"},
	"terminal":    {},
	"tail":        {"records", "terminal"},
	"doctor":      {"chat", "records"},
	"datadir":     {"descriptors"},
	"descriptors": {},
	"config":      {"spelling"},
	"spelling":    {},
	"ops":         {},
	"repeats":     {},
	"logwriter":   {},
	"inplace":     {},
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	type pkg struct {
		ImportPath string
		Imports    []string
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"internal/...")
	out, err := list.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Start(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(out); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, module+"internal")
		if room == "" {
			continue // this test
		}
		room = room[1:]
		seen++
		may, known := allowed[room]
		if !known {
			t.Errorf("internal/%s is a new room: say in this test and in docs/architecture.md what it may import", room)
		}
		for _, i := range p.Imports {
			if strings.HasPrefix(i, module) && !slices.Contains(may, path.Base(i)) {
				t.Errorf("internal/%s imports %s: it may import only %v", room, i, may)
			}
		}
	}
	if err := list.Wait(); err != nil {
		t.Fatal(err)
	}
	if seen != len(allowed) {
		t.Errorf("saw %d rooms, the test knows %d", seen, len(allowed))
	}
}
