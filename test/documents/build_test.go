//go:build !race

package documents

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestBuildKnowsItsRevision builds as README says, from sources without a repository and from a
// clone, and finds the revision in the metrics.
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
		p := rig.StartWith(t, harness.Options{
			Data: t.TempDir(), Binary: filepath.Join(dir, "bin", "dbproxy"),
			Args: []string{"--admin", "127.0.0.1:0"},
		})
		return rig.AdminPage(t, p, "/metrics")
	}
	if text := built(); !strings.Contains(text, `revision="unknown",version="dev"`) {
		t.Error("without a repository the revision is not unknown")
	}
	run("git", "init", "--quiet")
	run("git", "add", "Makefile")
	run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet",
		"--message", "all")
	head := run("git", "rev-parse", "--short=12", "HEAD")
	if text := built(); !strings.Contains(text, `revision="`+head+`"`) {
		t.Errorf("the metrics do not have the revision %s", head)
	}
	checkInstall(t, dir, run)
}

// checkInstall installs it in an original's place, again and again: the original's program is kept,
// beside a copy of ours, too, and ours is what its scripts start.
func checkInstall(t *testing.T, dir string, run func(argv ...string) string) {
	t.Helper()
	prefix, at := filepath.Join(dir, "its prefix"), filepath.Join(dir, "im server")
	program := filepath.Join(at, "db_proxy_server")
	if err := errors.Join(os.Mkdir(at, 0o755), os.WriteFile(program, []byte("the original"),
		0o755)); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{prefix, filepath.Base(prefix)} {
		run("make", "install", "PREFIX="+prefix, "ORIGINAL="+at)
		if got := run(program, "-v"); got != run(filepath.Join(prefix, "bin", "dbproxy"),
			"version") {
			t.Errorf("its version is %s", got)
		}
	}
	run("cp", "--remove-destination", filepath.Join(prefix, "bin", "dbproxy"), program)
	run("sh", "-c", `! make install "PREFIX=$0" "ORIGINAL=$1"`, prefix, at)
	none := prefix + " of nobody"
	run("sh", "-c", `! make install "PREFIX=$0" "ORIGINAL=$1"`, none, at+" of nobody")
	if _, err := os.Stat(none); err == nil {
		t.Error("it is installed, though ORIGINAL is no directory")
	}
	if text, err := os.ReadFile(program + ".original"); err != nil ||
		string(text) != "the original" {
		t.Errorf("the original is %q, %v", text, err)
	}
	page, err := os.ReadFile(filepath.Join(prefix, "share", "man", "man1", "dbproxy-user-add.1"))
	if want := `\fB--phone\fP \fINUMBER\fP` + "\nthe phone number"; err != nil ||
		!strings.Contains(string(page), want) {
		t.Errorf("the manual page of \"user add\" lacks %q (%v):\n%s", want, err, page)
	}
}
