package terminal_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func TestQuestions(t *testing.T) {
	var out strings.Builder
	q := terminal.NewQuestions(strings.NewReader("y\n\n YES \nno\n"), &out)
	var got []bool
	for range 5 {
		got = append(got, q.Yes(t.Context(), "Sure?"))
	}
	if diff := cmp.Diff([]bool{true, false, true, false, false}, got); diff != "" {
		t.Error(diff)
	}
	if want := strings.Repeat("Sure? [y/N] ", 5) + "\n"; out.String() != want {
		t.Errorf("asked %q, want %q", &out, want)
	}
}

func TestAnAnswerThatNeverComesCanBeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, never := io.Pipe()
	defer never.Close()
	cancel()
	if terminal.NewQuestions(in, io.Discard).Yes(ctx, "Sure?") {
		t.Error("no answer is a yes")
	}
	_, err := terminal.PipedPassword(ctx, bufio.NewReader(in))
	if err == nil || err.Error() != "interrupted" {
		t.Error(err)
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	p := sitDown(t, 40)
	typed := make(chan string)
	go func() {
		password, err := terminal.Password(t.Context(), p.tty, p.tty, "Password: ")
		if err != nil {
			t.Error(err)
		}
		typed <- password
	}()
	p.sees("Password: |")
	p.hides()
	p.types("秘密" + enter)
	if got := <-typed; got != "秘密" {
		t.Errorf("the password is %q", got)
	}
	p.sees("|") // of the next line
}

func TestPasswordCanBeInterrupted(t *testing.T) {
	p := sitDown(t, 40)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := terminal.Password(ctx, p.tty, p.tty, "Password: ")
		ended <- err
	}()
	p.sees("Password: |")
	p.hides()
	cancel()
	if err := <-ended; err == nil || err.Error() != "interrupted" {
		t.Error(err)
	}
	p.sees("|")
	p.types("shown")
	p.sees("shown|") // the terminal echoes again
}
