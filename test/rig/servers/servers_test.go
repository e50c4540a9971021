package servers_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/wait"
)

// childVar makes the test binary one that starts servers and tells of them.
const childVar = "DBPROXY_SERVERS_TEST_CHILD"

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// TestChild is the process that TestNothingStays starts.
func TestChild(t *testing.T) {
	if os.Getenv(childVar) == "" {
		return
	}
	db, redis := servers.MariaDB(t), servers.StartRedis(t)
	dir := redis.Do(t, "CONFIG", "GET", "dir")
	values, err := dir.AsStrMap()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("CHILD", db.Pid(), redis.Pid(), filepath.Dir(values["dir"]))
	_, _ = io.Copy(io.Discard, os.Stdin) // until told to end
}

func TestNothingStays(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"ended", "killed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			child := exec.Command(os.Args[0], "-test.run=^TestChild$")
			child.Env = append(os.Environ(), childVar+"=1")
			in, err := child.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			var pids [2]int
			var root string
			lines := bufio.NewScanner(out)
			for root == "" && lines.Scan() {
				if n, _ := fmt.Sscanf(lines.Text(), "CHILD %d %d %s", &pids[0], &pids[1],
					&root); n == 0 {
					t.Log(lines.Text())
				}
			}
			if _, err := os.Stat(root); err != nil || !running(pids[0]) || !running(pids[1]) {
				t.Errorf("processes %v, directory %q: %v", pids, root, err)
			}
			if how == "killed" {
				err = child.Process.Kill()
			} else {
				err = in.Close()
			}
			if err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, out)
			if err := child.Wait(); how == "ended" && err != nil {
				t.Error(err)
			}
			wait.Until(t, "the end of the servers", func() bool {
				_, err := os.Stat(root)
				return errors.Is(err, os.ErrNotExist) && !running(pids[0]) && !running(pids[1])
			})
		})
	}
}

// running reports whether there is such a process that is not a zombie.
func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, 0) == nil
}
