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

// A command of ours in a document: a line of a code block, or a piece of code within a sentence.
var (
	typedLine   = regexp.MustCompile(`^(?:\$ |[A-Z_]+=\S+ )*(?:bin/)?dbproxy ([a-z].*)`)
	typedInText = regexp.MustCompile("`(?:bin/)?dbproxy ([a-z][^`]*)`")
	// commandEnd is where a command ends: comments, other commands, what is left out.
	commandEnd = regexp.MustCompile(`[#>|;…].*`)
)

// typed are the commands in a text.
func typed(text string) (commands []string) {
	inBlock := false
	for line := range strings.Lines(text) {
		form := typedInText
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		} else if inBlock {
			form = typedLine
		}
		for _, m := range form.FindAllStringSubmatch(line, -1) {
			commands = append(commands, strings.TrimSpace(commandEnd.ReplaceAllString(m[1], "")))
		}
	}
	return commands
}

// TestDocumentsNameCommands asks the help of every command in the documents whether it and its
// flags exist.
func TestDocumentsNameCommands(t *testing.T) {
	documents, err := filepath.Glob(filepath.Join(rig.Root(), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	asked := make(map[string]bool)
	for _, doc := range append(documents, filepath.Join(rig.Root(), "README.md")) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range typed(string(text)) {
			if asked[command] {
				continue
			}
			asked[command] = true
			help := exec.CommandContext(t.Context(), "bash", "-c", `"$0" `+command+" --help",
				rig.Binary)
			if out, err := help.CombinedOutput(); err != nil ||
				!strings.Contains(string(out), "Usage:") {
				t.Errorf("%s: dbproxy %s: %v\n%s", doc, command, err, out)
			}
		}
	}
	if len(asked) < 20 {
		t.Errorf("the documents name %d commands only", len(asked))
	}
}
