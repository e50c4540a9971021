package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/teamtalk-go/dbproxy/"

// allowed is which packages below internal each of them may import, by whole paths. Whoever adds a
// package adds a line.
var allowed = map[string][]string{
	"impb":    {},
	"pdu":     {},
	"catalog": {"impb", "spelling"},
	"client":  {"catalog", "pdu"},
	"bench":   {"client", "impb"},
	"server":  {"descriptors", "pdu"},
	"command": {"catalog", "chat", "impb", "pdu", "server"},
	"chat":    {},
	"advice":  {"descriptors"},
	"checkup": {
		"advice", "chat", "counters/link", "counters/redis", "descriptors", "records/sqldb",
		"records/tables", "voice",
	},
	"probe": {},
	"records": {
		"chat", "records/marks", "records/replica", "records/sqldb", "records/tables",
		"records/talk",
	},
	"records/sqldb":   {"advice", "chat", "descriptors", "probe"},
	"records/tables":  {"chat", "records/sqldb"},
	"records/talk":    {"chat", "records/sqldb", "records/tables"},
	"records/marks":   {"records/sqldb"},
	"records/replica": {"chat", "records/marks", "records/sqldb"},
	"admin":           {"chat"},
	"counters":        {"chat", "counters/redis"},
	"counters/redis":  {"chat", "counters/link", "doctor/finding"},
	"counters/link":   {"advice", "chat"},
	"voice":           {"advice", "chat", "descriptors", "probe"},
	"groupsync":       {"chat"},
	"tryout/company":  {"chat"},
	"tryout/demo":     {"client", "impb", "tryout/company"},
	"tryout/chatui":   {"client", "impb", "tryout/terminal"},
	"tryout/call":     {"catalog", "chat", "client", "impb", "pdu", "tryout/terminal"},
	"tryout/terminal": {},
	"tryout/tail": {"chat", "records/sqldb", "records/tables", "records/talk",
		"tryout/terminal"},
	"doctor": {"chat", "doctor/finding", "doctor/repair"},
	"doctor/repair": {"chat", "doctor/finding", "records", "records/sqldb", "records/tables",
		"records/talk"},
	"doctor/finding": {},
	"datadir":        {"descriptors"},
	"descriptors":    {},
	"config":         {"spelling"},
	"spelling":       {},
	"ops":            {},
	"repeats":        {},
	"logwriter":      {},
	"inplace":        {},
}

// outside are packages of the module that do not lie below internal, and who may import them.
var outside = map[string][]string{"proto": {"catalog"}}

func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	type pkg struct {
		ImportPath string
		Imports    []string
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports",
		module+"internal/...")
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
		name, below := strings.CutPrefix(p.ImportPath, module+"internal/")
		if !below {
			continue // this test
		}
		seen++
		may, known := allowed[name]
		if !known {
			t.Errorf("internal/%s is new: say here what it may import, and in "+
				"docs/architecture.md "+
				"what it is", name)
		}
		for _, imported := range p.Imports {
			imported, ours := strings.CutPrefix(imported, module)
			if !ours || slices.Contains(outside[imported], name) {
				continue
			}
			if !slices.Contains(may, strings.TrimPrefix(imported, "internal/")) {
				t.Errorf("internal/%s imports %s: it may import only %v", name, imported, may)
			}
		}
	}
	if err := list.Wait(); err != nil {
		t.Fatal(err)
	}
	if seen != len(allowed) {
		t.Errorf("saw %d packages, the test knows %d", seen, len(allowed))
	}
}
