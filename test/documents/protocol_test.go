package documents

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

// TestTheExchangeOfTheProtocol runs the program of docs/protocol.md against a new store. It must
// print what stands below it there, and its bytes must be those that are explained above it.
func TestTheExchangeOfTheProtocol(t *testing.T) {
	rig.NoteSources()
	document, err := os.ReadFile(filepath.Join(rig.Root(), "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```go\n(.*?)```\n.*?```\n(.*?)```").FindSubmatch(document)
	if found == nil {
		t.Fatal("docs/protocol.md has no program with its output")
	}
	program := filepath.Join(t.TempDir(), "hi.go")
	if err := os.WriteFile(program, found[1], 0o600); err != nil {
		t.Fatal(err)
	}
	p := rig.Start(t, filepath.Join(t.TempDir(), "data"))
	printed, err := exec.CommandContext(t.Context(), "go", "run", program, p.Addr).CombinedOutput()
	if want := string(found[2]); string(printed) != want || err != nil {
		t.Errorf("the program printed (%v)\n%s\nand docs/protocol.md says\n%s", err, printed, want)
	}
	sent := strings.Split(string(found[2]), "\n")[1:3]
	if explained := explainedBytes(string(document)); explained != strings.ReplaceAll(
		strings.Join(sent, ""), " ", "") {
		t.Errorf("explained is %s, sent was %s", explained, sent)
	}
}

// explainedBytes are the bytes, in hex, of the first frame that a document explains line by line.
func explainedBytes(document string) string {
	begin := strings.Index(document, "00 00 00 27  00 01")
	lines, _, _ := strings.Cut(document[begin:], "```")
	var all strings.Builder
	for line := range strings.Lines(lines) {
		bytes, _, _ := strings.Cut(line, "    ") // behind them stands what they are
		all.WriteString(strings.Join(strings.Fields(bytes), ""))
	}
	return all.String()
}
