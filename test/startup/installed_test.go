package startup

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/test/rig"
)

// restart does what TeamTalk's scripts do: in the directory of a program they kill what server.pid
// names, start the program at once, without arguments, and throw its output away.
const restart = `#!/bin/sh
cd "$1" || exit 1
if [ -e server.pid ]; then
	kill $(cat server.pid)
fi
setsid "./$1" $OUTPUT &
`

// Ways to throw an output away.
const (
	toNull = "</dev/null >/dev/null 2>&1"
	closed = "<&- >&- 2>&-"
)

// installed is a directory of TeamTalk with dbproxy in the place of its db_proxy_server.
type installed struct {
	root string // with restart.sh
	dir  string // with the program
	addr string
}

// install puts the binary there by a function, beside a configuration of the fleet.
func install(
	t *testing.T, f *rig.Fleet, put func(from, to string) error, more ...string,
) installed {
	t.Helper()
	rig.NoteSources()
	root := t.TempDir()
	port := lowPort(t)
	i := installed{root, filepath.Join(root, "db_proxy_server"), fmt.Sprint("127.0.0.1:", port)}
	conf := f.Conf
	listen := []string{fmt.Sprint("ListenPort=", port, ";"), "ListenIP=0.0.0.0;127.0.0.1"}
	conf.More = append(listen, more...)
	script := strings.ReplaceAll(restart, "$OUTPUT", toNull)
	for _, err := range []error{
		os.Mkdir(i.dir, 0o755),
		put(rig.Binary, filepath.Join(i.dir, "db_proxy_server")),
		os.WriteFile(filepath.Join(i.dir, "dbproxyserver.conf"), []byte(conf.String()), 0o600),
		os.WriteFile(filepath.Join(root, "restart.sh"), []byte(script), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, pid := range i.running(t) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		if t.Failed() {
			t.Logf("the log:\n%s", i.log())
		}
	})
	return i
}

// write writes a file of the directory.
func (i installed) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(i.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// link and copied are the two ways to put it there.
func link(from, to string) error { return os.Symlink(from, to) }

func copied(from, to string) error {
	return exec.Command("cp", from, to).Run()
}

// lowPort is a port that no system chooses by itself, nor a server of the tests.
func lowPort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 3000 + rand.IntN(6000)
		if ln, err := net.Listen("tcp", fmt.Sprint(":", port)); err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}

// restart runs the script.
func (i installed) restart(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(rig.Within(t), "./restart.sh", "db_proxy_server")
	cmd.Dir = i.root
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
}

// running are the processes whose working directory is the program's.
func (i installed) running(t *testing.T) (pids []int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if at, err := os.Readlink(dir); err == nil && at == i.dir {
			pid, _ := strconv.Atoi(strings.Split(dir, "/")[2]) // digits, by the pattern
			pids = append(pids, pid)
		}
	}
	return pids
}

func (i installed) pid() string {
	text, _ := os.ReadFile(filepath.Join(i.dir, "server.pid")) // empty: there is none
	return string(text)
}

func (i installed) log() string {
	text, _ := os.ReadFile(filepath.Join(i.dir, "log", "default.log")) // empty: there is none
	return string(text)
}

// serves waits until another process than the former serves, and returns its id.
func (i installed) serves(t *testing.T, former string) (pid string) {
	t.Helper()
	rig.Await(t, "another process in server.pid", func() bool {
		pid = i.pid()
		return pid != "" && pid != former
	})
	if n, err := strconv.Atoi(pid); err != nil || !contains(i.running(t), n) {
		t.Fatalf("server.pid has %q, and in the directory run %v", pid, i.running(t))
	}
	return pid
}

func contains(list []int, n int) bool {
	for _, one := range list {
		if one == n {
			return true
		}
	}
	return false
}

func (i installed) dial(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.Dial(rig.Within(t), i.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// asks has some lines logged.
func (i installed) asks(t *testing.T) {
	t.Helper()
	c := i.dial(t)
	rig.SendText(t, c, "on and on")
	c.Close()
}

// ends waits until a process has ended.
func (i installed) ends(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "the end of process "+pid, func() bool { return !contains(i.running(t), n) })
}
