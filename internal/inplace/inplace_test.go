package inplace_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/inplace"
)

const patience = 30 * time.Second

// ours is an empty directory, with what we own in it followed.
func ours(t *testing.T) inplace.Dir {
	t.Helper()
	return inplace.Dir{Path: t.TempDir(), User: os.Geteuid()}
}

// others is the same directory for whom what is ours is another user's.
func others(d inplace.Dir) inplace.Dir {
	d.User++
	return d
}

func textOf(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to string, path ...string) {
	t.Helper()
	if err := os.Symlink(to, filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, path ...string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestPID(t *testing.T) {
	for name, before := range map[string]func(inplace.Dir){
		"none": func(inplace.Dir) {},
		"a former one": func(d inplace.Dir) {
			write(t, "123456789012345", d.Path, "server.pid")
		},
		"a link of ours": func(d inplace.Dir) { link(t, "my.pid", d.Path, "server.pid") },
		"a chain of ours": func(d inplace.Dir) {
			link(t, "my.pid", d.Path, "a")
			link(t, "a", d.Path, "server.pid")
		},
	} {
		d := ours(t)
		before(d)
		if err := d.WritePID(4711); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := textOf(t, d.Path, "server.pid"); got != "4711" {
			t.Errorf("%s: it is %q", name, got)
		}
		if strings.Contains(name, "of ours") && textOf(t, d.Path, "my.pid") != "4711" {
			t.Errorf("%s: the link is gone", name)
		}
		for _, left := range names(t, d.Path) {
			if strings.HasPrefix(left, ".") {
				t.Errorf("%s: %s is left", name, left)
			}
		}
	}
}

// TestAnotherUsersLinkIsNoWayToOurFiles: what it points to stays as it is, or is not made.
func TestAnotherUsersLinkIsNoWayToOurFiles(t *testing.T) {
	for _, victim := range []string{"victim", "nowhere"} {
		d := ours(t)
		write(t, "precious", d.Path, "victim")
		link(t, victim, d.Path, "server.pid")
		if err := others(d).WritePID(4711); err != nil ||
			textOf(t, d.Path, "server.pid") != "4711" {
			t.Error(err)
		}
		if err := os.Mkdir(filepath.Join(d.Path, "log"), 0o700); err != nil {
			t.Fatal(err)
		}
		link(t, filepath.Join("..", victim), d.Path, "log", "default.log")
		l, err := others(d).OpenLog(1000, 1, nil)
		if !errors.Is(err, inplace.ErrLink) ||
			!strings.Contains(err.Error(),
				"log/default.log is not written: it is a link that another user owns") {
			t.Error(err)
		}
		if _, err := l.Write([]byte("a line\n")); !errors.Is(err, inplace.ErrLink) {
			t.Error(err)
		}
		if textOf(t, d.Path, "victim") != "precious" ||
			fmt.Sprint(names(t, d.Path)) != "[log server.pid victim]" {
			t.Errorf("there are %v", names(t, d.Path))
		}
	}
	d := ours(t)
	link(t, ".", d.Path, "log")
	if _, err := others(d).OpenLog(1000, 1, nil); !errors.Is(err, inplace.ErrLink) {
		t.Errorf("the directory: %v", err)
	}
	if got := names(t, d.Path); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

func TestRunning(t *testing.T) {
	parent := os.Getppid()
	for text, want := range map[string]int{
		strconv.Itoa(parent): parent, fmt.Sprint(parent, "\n"): parent,
		strconv.Itoa(os.Getpid()): 0,
		"999999999":               0, "": 0, "-1": 0, "0": 0, "x": 0,
	} {
		d := ours(t)
		write(t, text, d.Path, "server.pid")
		if got := d.Running(); got != want {
			t.Errorf("%q: %d runs, want %d", text, got, want)
		}
	}
	if got := ours(t).Running(); got != 0 {
		t.Errorf("without a file %d runs", got)
	}
}

// TestAPIDFileThatIsNone neither holds a start up nor is read to an end that it does not have. It
// is replaced.
func TestAPIDFileThatIsNone(t *testing.T) {
	fifo, endless := ours(t), ours(t)
	if err := syscall.Mkfifo(filepath.Join(fifo.Path, "server.pid"), 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, "/dev/zero", endless.Path, "server.pid")
	for _, d := range []inplace.Dir{fifo, endless} {
		found := make(chan int, 1)
		go func() { found <- d.Running() }()
		select {
		case pid := <-found:
			if pid != 0 {
				t.Errorf("%d runs", pid)
			}
		case <-time.After(patience):
			t.Fatal("it is read for ever")
		}
	}
	if err := fifo.WritePID(4711); err != nil || textOf(t, fifo.Path, "server.pid") != "4711" {
		t.Error(err)
	}
}

// open opens the log of a directory.
func open(t *testing.T, d inplace.Dir, max int64, keep int) *inplace.Log {
	t.Helper()
	l, err := d.OpenLog(max, keep, func(err error) []byte {
		return fmt.Appendf(nil, "full: %v\n", err)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func say(t *testing.T, l *inplace.Log, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := fmt.Fprintln(l, line); err != nil || n != len(line)+1 {
			t.Fatalf("%q: %d bytes, %v", line, n, err)
		}
	}
}

// TestRotation: full files are put aside whole, so many of them, and what was there before counts.
func TestRotation(t *testing.T) {
	d := ours(t)
	l := open(t, d, 9, 2)
	say(t, l, "one", "two", "three", "a line that is longer", "four", "five", "six", "seven")
	for name, want := range map[string]string{
		"default.log": "seven\n", "default.log.1": "five\nsix\n", "default.log.2": "four\n",
	} {
		if got := textOf(t, d.Path, "log", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := names(t, d.Path, "log"); len(got) != 3 {
		t.Errorf("there are %v", got)
	}
	l = open(t, d, 9, 2)
	say(t, l, "eight")
	if got := textOf(t, d.Path, "log", "default.log.1"); got != "seven\n" {
		t.Errorf("after another start, .1 is %q", got)
	}
	l.Rotate(1000, 0)
	say(t, l, "nine")
	if got := textOf(t, d.Path, "log", "default.log"); got != "eight\nnine\n" {
		t.Errorf("with more room it is %q", got)
	}
	l.Rotate(9, 0)
	say(t, l, "ten")
	if got := textOf(t, d.Path, "log", "default.log"); got != "ten\n" ||
		textOf(t, d.Path, "log", "default.log.1") != "seven\n" {
		t.Errorf("without files put aside it is %q", got)
	}
}

// TestALogThatCannotBePutAside grows, and says so once for each size.
func TestALogThatCannotBePutAside(t *testing.T) {
	d := ours(t)
	l := open(t, d, 20, 1)
	write(t, "", d.Path, "log", "keep")
	if err := os.MkdirAll(filepath.Join(d.Path, "log", "default.log.1", "in the way"),
		0o700); err != nil {
		t.Fatal(err)
	}
	say(t, l, "0123456789", "0123456789")
	text := textOf(t, d.Path, "log", "default.log")
	if !strings.HasPrefix(text, "0123456789\nfull: rename ") ||
		!strings.HasSuffix(text, "\n0123456789\n") {
		t.Errorf("it is %q", text)
	}
	if err := os.RemoveAll(filepath.Join(d.Path, "log", "default.log.1")); err != nil {
		t.Fatal(err)
	}
	for len(names(t, d.Path, "log")) < 3 {
		say(t, l, "0123456789")
	}
}

// TestALogThatIsTakenAway: who removes it, or moves it, or has removed its directory, gets a new
// one.
func TestALogThatIsTakenAway(t *testing.T) {
	d := ours(t)
	l := open(t, d, 1<<20, 1)
	for name, take := range map[string]func(string) error{
		"removed": os.Remove, "moved": func(path string) error {
			return os.Rename(path, path+".old")
		},
		"its directory": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		say(t, l, "before")
		path := filepath.Join(d.Path, inplace.LogFile)
		if err := take(path); err != nil {
			t.Fatal(err)
		}
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			say(t, l, "after")
			if text, err := os.ReadFile(path); err == nil && string(text) == "after\n" {
				break
			}
			if time.Since(begun) > patience {
				t.Fatalf("%s: there is no new one", name)
			}
		}
	}
}

// TestALogThatCannotBeOpened is tried again with each line.
func TestALogThatCannotBeOpened(t *testing.T) {
	d := ours(t)
	write(t, "", d.Path, "log")
	l, err := d.OpenLog(1000, 1, nil)
	if err == nil || l == nil {
		t.Fatal(err)
	}
	if n, err := l.Write([]byte("lost\n")); n != 0 || err == nil {
		t.Error(n, err)
	}
	if err := os.Remove(filepath.Join(d.Path, "log")); err != nil {
		t.Fatal(err)
	}
	say(t, l, "written")
	if err := l.Close(); err != nil || textOf(t, d.Path, inplace.LogFile) != "written\n" {
		t.Error(err)
	}
}

// TestALogThatIsNoFile: a pipe that nobody reads would hold us up, and a device keeps nothing.
func TestALogThatIsNoFile(t *testing.T) {
	d := ours(t)
	if err := os.Mkdir(filepath.Join(d.Path, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(d.Path, inplace.LogFile)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenLog(1000, 1, nil); err == nil {
		t.Error("a pipe without a reader was opened")
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := d.OpenLog(1000, 1, nil); err == nil ||
		!strings.Contains(err.Error(), "is no file") {
		t.Errorf("a pipe with a reader: %v", err)
	}
}
