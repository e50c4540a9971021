package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/tryout/demo"
)

// TestDemoTellsWhatDiffers has one step fail: the play goes on, says which it was, and returns an
// error.
func TestDemoTellsWhatDiffers(t *testing.T) {
	addr, _ := demoProxy(t)
	conn, err := reach(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out strings.Builder
	err = demo.Play(t.Context(), demo.Options{
		Client: conn, Out: &out,
		Start: func(context.Context, string) (string, func() error, error) {
			return "", nil, errors.New("no second proxy today")
		},
	})
	if err == nil || err.Error() != "1 of 19 steps differed from what was expected" {
		t.Errorf("Play: %v", err)
	}
	for _, want := range []string{
		"\n18 drain        DIFFERS  no second proxy today\n19 tidy up      ok  ",
		"\n19 steps, 1 DIFFERED from what was expected, see above.\n" +
			"It added messages 1 to 102 of emma and frank, ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

// TestDemoEndsWithTheProxy plays against a proxy whose connection is gone.
func TestDemoEndsWithTheProxy(t *testing.T) {
	addr, _ := demoProxy(t)
	conn, err := reach(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	var out strings.Builder
	err = demo.Play(t.Context(), demo.Options{Client: conn, Out: &out})
	if err == nil || !strings.HasPrefix(err.Error(), "the play ended at step 1 of 19: ") {
		t.Errorf("Play: %v", err)
	}
}

// TestTheGreetingIsInOnePiece has standard output and the log go to the same screen: the log says
// where it listens before the greeting begins, and nothing stands in the midst of that.
func TestTheGreetingIsInOnePiece(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"dbproxy", "serve", "--demo", "--listen", "127.0.0.1:0", "--data",
		filepath.Join(t.TempDir(), "data")}
	screen, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for lines := bufio.NewScanner(screen); lines.Scan(); {
		fmt.Fprintln(&shown, lines.Text())
		if strings.Contains(lines.Text(), "Ctrl-C stops it.") {
			break
		}
	}
	log, greeting, _ := strings.Cut(shown.String(), "\n\n  dbproxy listens on  ")
	if !strings.Contains(log, `"listening"`) || strings.Contains(greeting, `"level"`) {
		t.Errorf("it shows:\n%s", &shown)
	}
	if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
