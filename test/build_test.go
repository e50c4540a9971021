//go:build !race

package test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/harness"
)

// TestBuildKnowsItsRevision builds as README says, from sources without a repository and from a
// clone, and looks for the revision in the metrics.
func TestBuildKnowsItsRevision(t *testing.T) {
	t.Parallel()
	dir := checkout(t)
	run := func(argv ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	built := func() string {
		t.Helper()
		run("make", "build")
		p := startWith(t, harness.Options{
			Data: t.TempDir(), Binary: filepath.Join(dir, "bin", "dbproxy"), Args: []string{"--admin", "127.0.0.1:0"},
		})
		return get(t, p, "/metrics")
	}
	if text := built(); !strings.Contains(text, `revision="unknown",version="dev"`) {
		t.Error("without a repository the revision is not unknown")
	}
	run("git", "init", "--quiet")
	run("git", "add", "Makefile")
	run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "--message", "all")
	head := run("git", "rev-parse", "--short=12", "HEAD")
	if text := built(); !strings.Contains(text, `revision="`+head+`"`) {
		t.Errorf("the metrics do not have the revision %s", head)
	}
}
