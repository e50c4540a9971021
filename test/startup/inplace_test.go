package startup

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

// TestInThePlaceOfTheOriginalsProgram starts, restarts and stops as TeamTalk's scripts do.
func TestInThePlaceOfTheOriginalsProgram(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	for name, put := range map[string]func(from, to string) error{"a link": link,
		"a copy": copied} {
		t.Run(name, func(t *testing.T) {
			admin := fmt.Sprint("127.0.0.1:", lowPort(t))
			i := install(t, f, put, "DrainTimeout=2s", "AdminListen="+admin)
			i.write(t, "server.pid", "999999999\n")
			if name == "a copy" {
				i.write(t, "../restart.sh", strings.ReplaceAll(restart, "$OUTPUT", closed))
			}
			started := exec.CommandContext(rig.Within(t), filepath.Join(i.root, "restart.sh"),
				"db_proxy_server")
			started.Dir = i.root
			_ = started.Run() // it complains of that process, which is none, and goes on
			first := i.serves(t, "999999999\n")
			rig.SendText(t, i.dial(t), "by the first")
			log := i.log()
			if !strings.Contains(log, " msg=listening addr=0.0.0.0:") ||
				!strings.Contains(log, " pid="+first+" ") {
				t.Errorf("the log is no text, or another's:\n%s", log)
			}
			slow, err := net.Dial("tcp", i.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer slow.Close()
			whole := rig.FrameOf(t, rig.PairText(1, 2, strings.Repeat("never whole", 100_000)),
				1).Append(nil)
			repeatedly(t, 20*time.Millisecond, func(n int) error {
				_, err := slow.Write(whole[n : n+1])
				return err
			})
			i.restart(t)
			second := i.serves(t, first)
			rig.SendText(t, i.dial(t), "by the second")
			i.ends(t, first)
			if i.pid() != second {
				t.Errorf("after the end of %s server.pid has %s, not %s", first, i.pid(), second)
			}
			rig.SendText(t, i.dial(t), "still by the second")
			rig.Await(t, "the admin address of the second", func() bool {
				conn, err := net.Dial("tcp", admin)
				if err == nil {
					conn.Close()
				}
				return err == nil
			})
			if text := rig.AdminPageOf(t, admin, "/readyz"); !strings.Contains(text,
				`"ready": true`) {
				t.Errorf("it is not ready:\n%s", text)
			}
			if n, _ := strconv.Atoi(second); syscall.Kill(n, syscall.SIGTERM) != nil {
				t.Error("server.pid names nobody")
			}
			i.ends(t, second)
			if log = i.log(); !strings.Contains(log, "msg=stopped") ||
				strings.Contains(log, rig.Secret) {
				t.Errorf("the log is\n%s", log)
			}
		})
	}
}

// TestInPlaceTheFormerStillHasThePort: it is waited for, but not for ever, and server.pid goes on
// naming who has the port.
func TestInPlaceTheFormerStillHasThePort(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	i := install(t, f, link, "DrainTimeout=1s")
	ln, err := net.Listen("tcp4", strings.Replace(i.addr, "127.0.0.1", "0.0.0.0", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	i.restart(t)
	waits := func() bool {
		return strings.Contains(i.log(), "waiting for an address that another program has")
	}
	rig.Await(t, "a word that it waits", waits)
	begun := time.Now()
	rig.Await(t, "its end", func() bool { return len(i.running(t)) == 0 })
	const bound = time.Second + time.Second // DrainTimeout and one more
	if took := time.Since(begun); took > 5*bound {
		t.Errorf("it waited %v", took)
	}
	if !strings.Contains(i.log(), "level=ERROR msg=\"cannot listen on 0.0.0.0:") || i.pid() != "" {
		t.Errorf("server.pid has %q, the log is\n%s", i.pid(), i.log())
	}
	if err := os.Remove(filepath.Join(i.dir, "log", "default.log")); err != nil {
		t.Fatal(err)
	}
	i.restart(t)
	rig.Await(t, "a word that it waits", waits)
	ln.Close()
	i.serves(t, "")
	rig.SendText(t, i.dial(t), "now it has the port")
}

// TestInPlaceLogIsRotated by the keys for it. A crash is told in the latest one.
func TestInPlaceLogIsRotated(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	i := install(t, f, link, "LogFileSize=4KiB", "LogFileCount=2", "LogLevel=debug")
	i.restart(t)
	pid := i.serves(t, "")
	file := func(n int) string { return filepath.Join(i.dir, "log", fmt.Sprint("default.log.", n)) }
	started := ""
	rig.Await(t, "two full files", func() bool {
		i.asks(t)
		if text, err := os.ReadFile(file(1)); err == nil && started == "" {
			started = string(text)
		}
		text, err := os.ReadFile(file(2))
		return err == nil && started != "" && string(text) != started
	})
	for n := range 2 {
		if info, err := os.Stat(file(n + 1)); err != nil || info.Size() == 0 ||
			info.Size() > 4<<10 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if _, err := os.Stat(file(3)); err == nil {
		t.Error("there is a third")
	}
	if n, _ := strconv.Atoi(pid); syscall.Kill(n, syscall.SIGQUIT) != nil {
		t.Error("server.pid names nobody")
	}
	rig.Await(t, "stacks in the log", func() bool {
		return strings.Contains(i.log(), "SIGQUIT: quit") &&
			strings.Contains(i.log(), "goroutine 1 ")
	})
}

// TestInPlaceWithoutRoomForTheLog: it serves, and says at its admin address that lines are lost.
func TestInPlaceWithoutRoomForTheLog(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	admin := fmt.Sprint("127.0.0.1:", lowPort(t))
	i := install(t, f, link, "LogLevel=debug", "AdminListen="+admin)
	logs := filepath.Join(i.dir, "log")
	if err := os.Mkdir(logs, 0o755); err != nil {
		t.Fatal(err)
	}
	wrap, attr := onTmpfs(logs, "8k")
	argv := append(wrap, "./db_proxy_server")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.SysProcAttr = i.dir, attr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	i.serves(t, "")
	rig.Await(t, "lost lines", func() bool {
		i.asks(t)
		return rig.MetricOf(t, admin, "dbproxy_log_lines_lost_total") > 0
	})
	rig.SendText(t, i.dial(t), "with a full disk")
	if text := rig.AdminPageOf(t, admin, "/readyz"); !strings.Contains(text,
		"no space left on device") {
		t.Errorf("/readyz does not say so:\n%s", text)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended: %v", err)
	}
}

// TestInPlaceNothingToServe: why it does not start is in its log, where somebody finds it.
func TestInPlaceNothingToServe(t *testing.T) {
	t.Parallel()
	i := install(t, &rig.Fleet{}, link)
	i.write(t, "dbproxyserver.conf", "ListenPort=many\n")
	i.restart(t)
	rig.Await(t, "the mistakes in the log", func() bool {
		mistake := `level=ERROR msg="dbproxyserver.conf:1: ListenPort is \"many\"; `
		return strings.Contains(i.log(), mistake) && len(i.running(t)) == 0
	})
	if err := os.Remove(filepath.Join(i.dir, "dbproxyserver.conf")); err != nil {
		t.Fatal(err)
	}
	i.restart(t)
	rig.Await(t, "that there is no file", func() bool {
		return strings.Contains(i.log(),
			`level=ERROR msg="open dbproxyserver.conf: no such file or directory; `)
	})
	if _, err := os.Stat(filepath.Join(i.dir, "data")); err == nil {
		t.Error("it has made a data directory")
	}
}

// TestInPlaceOtherCommandLines are those of dbproxy; so is what any other name says.
func TestInPlaceOtherCommandLines(t *testing.T) {
	t.Parallel()
	i := install(t, &rig.Fleet{}, link)
	for name, c := range map[string]struct {
		program, want string
		args          []string
	}{
		"version":      {"db_proxy_server", "dbproxy ", []string{"-v"}},
		"a command":    {"db_proxy_server", "aesKey=", []string{"config", "example"}},
		"another name": {"db_proxy_server2", "Usage:", nil},
	} {
		program := filepath.Join(i.dir, c.program)
		if c.program != "db_proxy_server" {
			if err := link(rig.Binary, program); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(rig.Within(t), program, c.args...)
		cmd.Dir = i.dir
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
	if i.log() != "" || i.pid() != "" {
		t.Error("one of them has served")
	}
}
