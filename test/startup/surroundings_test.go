package startup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// pipe is a pipe whose ends are closed when the test ends.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// TestLogReaderGoesAway: the proxy goes on when nobody reads its log any more, nor its standard
// output.
func TestLogReaderGoesAway(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	b := launchBare(t, w, w)
	w.Close()
	c := b.dial(t)
	r.Close()
	rig.SendText(t, c, "one")
	rig.SendText(t, b.dial(t), "two")
	b.goesOn(t)
	if n := rig.MetricOf(t, b.admin, "dbproxy_log_lines_lost_total"); n == 0 {
		t.Error("no line of the log counts as lost")
	}
	if text := rig.AdminPageOf(t, b.admin, "/readyz"); !strings.Contains(text, "broken pipe") {
		t.Errorf("/readyz does not say so:\n%s", text)
	}
	b.stop(t)
}

// TestLogReaderComesBack: another one reads on, and learns how many lines nobody has read.
func TestLogReaderComesBack(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(flag int) *os.File {
		f, err := os.OpenFile(name, flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	r := open(os.O_RDONLY | syscall.O_NONBLOCK)
	w := open(os.O_WRONLY)
	b := launchBare(t, nil, w)
	w.Close()
	c := b.dial(t)
	r.Close()
	rig.Await(t, "lines are lost", func() bool {
		rig.CheckServed(t, b.dial(t))
		return rig.MetricOf(t, b.admin, "dbproxy_log_lines_lost_total") > 0
	})
	told := awaitLine(t, open(os.O_RDONLY), "lines of the log were lost")
	if !strings.Contains(told, `"lines":`) || !strings.Contains(told, "WARN") ||
		!strings.Contains(told, "broken pipe") {
		t.Errorf("it says %s", told)
	}
	rig.SendText(t, c, "one")
	rig.Await(t, "/readyz finds the log good", func() bool {
		text := strings.Join(strings.Fields(rig.AdminPageOf(t, b.admin, "/readyz")), " ")
		return strings.Contains(text, `"name": "log", "state": "good"`)
	})
	b.stop(t)
}

// awaitLine reads until a line that has a text, and has the rest read until the test ends.
func awaitLine(t *testing.T, r io.Reader, text string) (line string) {
	t.Helper()
	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if strings.Contains(lines.Text(), text) {
				select {
				case found <- lines.Text():
				default:
				}
			}
		}
	}()
	select {
	case line = <-found:
	case <-rig.Within(t).Done():
		t.Fatalf("no line of the log has %q", text)
	}
	return line
}

// TestLogReaderDoesNotRead: nobody waits for it, from the start to the end; and when it reads, all
// is there.
func TestLogReaderDoesNotRead(t *testing.T) {
	t.Parallel()
	for _, reads := range []bool{false, true} {
		t.Run(fmt.Sprint("reads late: ", reads), func(t *testing.T) {
			t.Parallel()
			r, w := pipe(t)
			fillPipe(t, w)
			b := launchBare(t, w, w)
			w.Close()
			c := b.dial(t)
			rig.SendText(t, c, "one")
			for range 200 {
				rig.CheckServed(t, b.dial(t))
			}
			if reads {
				awaitLine(t, r, `"listening"`)
				if n := rig.MetricOf(t, b.admin, "dbproxy_log_lines_lost_total"); n != 0 {
					t.Errorf("%g lines are lost", n)
				}
			}
			b.stop(t)
		})
	}
}

// TestFailedStartWithStuckLog: what cannot start ends, though nobody reads why.
func TestFailedStartWithStuckLog(t *testing.T) {
	t.Parallel()
	_, w := pipe(t)
	fillPipe(t, w)
	cmd := exec.CommandContext(rig.Within(t), rig.Binary, "serve",
		"--data", "/dev/null", "--listen", "127.0.0.1:0")
	cmd.Stderr = w
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
}

// TestCtrlCTwice ends a command that waits for who does not read: the first time it is asked to
// end, the second time made.
func TestCtrlCTwice(t *testing.T) {
	t.Parallel()
	data := rig.NewStore(t)
	c := rig.Dial(t, rig.Start(t, data))
	for range 20 {
		rig.SendText(t, c, strings.Repeat("long ", 500))
	}
	_, w := pipe(t)
	fillPipe(t, w)
	cmd := exec.CommandContext(rig.Within(t), rig.Binary, "tail", "--content", "--data", data)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.After(rig.Patience); ; {
		if err := cmd.Process.Signal(os.Interrupt); err != nil &&
			!errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case <-ended:
			return
		case <-deadline:
			_ = cmd.Process.Kill() // it may be ending
			<-ended
			t.Fatal("it does not end")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// TestLogCannotBeWritten: a disk that is full, outputs that were never open, a file that may not
// grow.
func TestLogCannotBeWritten(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Truncate(1 << 40); err != nil { // beyond what "ulimit -f" lets it have
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		stdout, stderr *os.File
		wrap           []string
		counted        bool
	}{
		"a full disk":    {full, full, nil, true},
		"closed outputs": {nil, nil, []string{"bash", "-c", `exec "$0" "$@" >&- 2>&-`}, false},
		"a file too long": {file, file,
			[]string{"bash", "-c", `ulimit -f 1000000; exec "$0" "$@"`}, true},
		"nothing is open": {nil, nil, []string{"bash", "-c", `exec "$0" "$@" <&- >&- 2>&-`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := launchBare(t, tt.stdout, tt.stderr, tt.wrap...)
			c := b.dial(t)
			rig.SendText(t, c, "one")
			rig.CheckServed(t, c)
			if n := rig.MetricOf(t, b.admin,
				"dbproxy_log_lines_lost_total"); (n > 0) != tt.counted {
				t.Errorf("%g lines of the log count as lost", n)
			}
			b.stop(t)
		})
	}
}

// TestDemoWithoutReader: what "serve --demo" prints need not be read.
func TestDemoWithoutReader(t *testing.T) {
	t.Parallel()
	for name, stuck := range map[string]bool{"gone": false, "stuck": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w := pipe(t)
			if stuck {
				fillPipe(t, w)
			} else {
				r.Close()
			}
			p := harness.Options{
				Data: filepath.Join(t.TempDir(), "demo"), Args: []string{"--demo"}, Stdout: w,
			}
			c := rig.Dial(t, rig.StartWith(t, p))
			rig.Call[*impb.IMUsersInfoRsp](t, c, rig.UsersInfo(1, 1))
		})
	}
}

// fillPipe fills a pipe.
func fillPipe(t *testing.T, w *os.File) {
	t.Helper()
	if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := w.Write(bytes.Repeat([]byte{'\n'}, 4096)); err != nil {
			return
		}
	}
}

// TestHeadEndsQuietly: commands whose output nobody reads to its end say nothing of it.
func TestHeadEndsQuietly(t *testing.T) {
	t.Parallel()
	data := rig.NewStore(t)
	c := rig.Dial(t, rig.Start(t, data))
	for i := range 20 {
		rig.SendText(t, c, fmt.Sprint("message ", i))
	}
	for _, command := range []string{
		"tail", "tail --once --lines 20", "user list", "call --list", "config example",
		"help serve",
	} {
		t.Run(command, func(t *testing.T) {
			where := ""
			if strings.HasPrefix(command, "tail") || strings.HasPrefix(command, "user") {
				where = " --data '" + data + "'"
			}
			cmd := exec.CommandContext(rig.Within(t), "bash", "-c",
				`"$0" `+command+where+` | head -n 1`, rig.Binary)
			var said bytes.Buffer
			cmd.Stderr = &said
			feedTail(t, c, command)
			if out, err := cmd.Output(); err != nil || len(out) == 0 || said.Len() > 0 {
				t.Errorf("%v, %q, and on standard error %q", err, out, said.String())
			}
		})
	}
}

// feedTail has new messages come until the test ends, if that is what the command waits for: only
// by writing it notices that nobody reads.
func feedTail(t *testing.T, c *client.Client, command string) {
	t.Helper()
	if command != "tail" {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = client.Call[*impb.IMMsgData](ctx, c, rig.PairText(1, 2, "news"))
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}
