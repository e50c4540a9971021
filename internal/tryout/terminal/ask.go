package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Questions are asked of a person, who answers each with a line.
type Questions struct {
	in  *bufio.Reader
	out io.Writer
}

// NewQuestions asks on out, and reads the answers from in, of which nobody else may read from then
// on.
func NewQuestions(in io.Reader, out io.Writer) Questions {
	return Questions{bufio.NewReader(in), out}
}

// Yes asks a question that is answered by yes or no. The end of the input, and of ctx, is a no.
func (q Questions) Yes(ctx context.Context, question string) bool {
	fmt.Fprintf(q.out, "%s [y/N] ", question)
	line, err := Interruptible(ctx, func() (string, error) { return q.in.ReadString('\n') })
	if err != nil {
		fmt.Fprintln(q.out)
	}
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes"
}

// Password asks for a password on out, and reads it from the terminal in, which does not show it.
// When ctx ends before, it fails, and leaves the terminal as it was.
func Password(ctx context.Context, in *os.File, out io.Writer, question string) (string, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	fmt.Fprint(out, question)
	defer fmt.Fprintln(out)
	typed, err := Interruptible(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	switch {
	case err != nil && ctx.Err() != nil:
		return "", errors.Join(err, term.Restore(fd, before))
	case err != nil:
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return string(typed), nil
}

// PipedPassword reads a password that is the first line of in. It fails when ctx ends before.
func PipedPassword(ctx context.Context, in *bufio.Reader) (string, error) {
	line, err := Interruptible(ctx, func() (string, error) { return in.ReadString('\n') })
	switch {
	case err != nil && ctx.Err() != nil:
		return "", err
	case err != nil && !errors.Is(err, io.EOF):
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// Interruptible waits for read, which knows no context, or for the end of ctx. In the second case
// read goes on until the process ends, and nobody hears what it returns.
func Interruptible[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type outcome struct {
		result T
		err    error
	}
	came := make(chan outcome, 1)
	go func() {
		result, err := read()
		came <- outcome{result, err}
	}()
	select {
	case o := <-came:
		return o.result, o.err
	case <-ctx.Done():
		return *new(T), errors.New("interrupted")
	}
}
