package startup

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// silent listens and never says a word: what connects there waits.
func silent(t *testing.T) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// TestServersUnreachable starts the binary where MySQL or Redis cannot be used: it says which,
// where, why and what to do.
func TestServersUnreachable(t *testing.T) {
	t.Parallel()
	f, redis := rig.NewRedisFleet(t)
	guarded := servers.StartRedis(t, "--requirepass", "guarded")
	stopped := servers.StartRedis(t)
	stopped.Kill(t)
	mute := silent(t)
	master := fmt.Sprintf("127.0.0.1:%d", f.Conf.MySQL.Port)
	for name, tt := range map[string]struct {
		lines []string
		want  []string
	}{
		"mysql refuses connections": {
			[]string{fmt.Sprint("teamtalk_master_port=", stopped.Port())},
			[]string{"MySQL master", stopped.Addr(), f.DB.Name, "nothing listens", "start MySQL",
				"teamtalk_master_port"},
		},
		"mysql says nothing": {
			[]string{fmt.Sprint("teamtalk_master_port=", mute)},
			[]string{"MySQL master", fmt.Sprint("127.0.0.1:", mute), "no answer",
				"teamtalk_master_connect_timeout"},
		},
		"no such mysql": {
			[]string{"teamtalk_master_host=nowhere.invalid"},
			[]string{"MySQL master", "nowhere.invalid", "teamtalk_master_host"},
		},
		"wrong password of mysql": {
			[]string{"teamtalk_master_password=" + rig.Secret},
			[]string{"MySQL master", master, f.DB.User, "teamtalk_master_password"},
		},
		"no such database": {
			[]string{"teamtalk_master_dbname=nosuch"},
			[]string{"MySQL master", master, "nosuch", "teamtalk_master_dbname"},
		},
		"redis refuses connections": {
			[]string{fmt.Sprint("token_port=", stopped.Port())},
			[]string{"Redis token", stopped.Addr(), "nothing listens", "start Redis", "token_port"},
		},
		"redis says nothing": {
			[]string{fmt.Sprint("unread_port=", mute)},
			[]string{"Redis unread", fmt.Sprint("127.0.0.1:", mute), "no answer",
				"unread_connect_timeout"},
		},
		"redis wants a password": {
			[]string{fmt.Sprint("group_set_port=", guarded.Port())},
			[]string{"Redis group_set", guarded.Addr(), "NOAUTH", "group_set_password"},
		},
		"wrong password of redis": {
			[]string{fmt.Sprint("group_set_port=", guarded.Port()),
				"group_set_password=" + rig.Secret},
			[]string{"Redis group_set", guarded.Addr(), "WRONGPASS", "group_set_password"},
		},
		"no such redis database": {
			[]string{"group_member_db=99"},
			[]string{"Redis group_member", redis.Addr() + "/99", "out of range", "group_member_db"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := f.Conf
			conf.More = tt.lines
			cmd := exec.CommandContext(rig.Within(t), rig.Binary, "serve", "--config",
				rig.WriteConfig(t, conf), "--listen", "127.0.0.1:0")
			out, _ := cmd.CombinedOutput()
			_, said, _ := strings.Cut(string(out), "\ndbproxy: ")
			for _, want := range tt.want {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q", want)
				}
			}
			one, leaks := strings.Count(said, "reachable: ") == 1,
				strings.Contains(string(out), rig.Secret)
			if !one || leaks || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("it ended with %v and wrote:\n%s", cmd.ProcessState, out)
			}
		})
	}
}

// TestWaitForServers starts the binary before MySQL and Redis, which come one after the other.
func TestWaitForServers(t *testing.T) {
	t.Parallel()
	mysql, redis := servers.StartMariaDB(t), servers.StartRedis(t)
	f := rig.NewFleetOn(t, mysql)
	f.Conf.Redis = rig.HostAndPort(redis)
	mysql.Kill(t)
	redis.Kill(t)
	p := rig.Launch(t, harness.Options{Config: rig.WriteConfig(t, f.Conf),
		Args: []string{"--wait"}})
	waitsFor := func(what string) {
		t.Helper()
		_, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
			return strings.HasPrefix(l.Message, "waiting") && strings.Contains(l.Text("for"), what)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	waitsFor(mysql.Addr())
	mysql.Restart(t)
	waitsFor(redis.Addr())
	redis.Restart(t)
	if err := p.AwaitListening(rig.Within(t)); err != nil {
		t.Fatal(err)
	}
	original.CheckAll(t, rig.Dial(t, p), 1000)
}

// TestWaitingEnds stops a binary that waits.
func TestWaitingEnds(t *testing.T) {
	t.Parallel()
	f := rig.NewFleet(t)
	f.Conf.Redis = map[string]string{"host": "127.0.0.1", "port": strconv.Itoa(silent(t))}
	p := rig.Launch(t, harness.Options{Config: rig.WriteConfig(t, f.Conf),
		Args: []string{"--wait"}})
	_, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
		return strings.HasPrefix(l.Message, "waiting")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
	case <-rig.Within(t).Done():
		t.Error("it still waits")
	}
}

// TestConfigInWorkingDirectory starts the binary where an original was started: beside its
// dbproxyserver.conf, which says where to listen.
func TestConfigInWorkingDirectory(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	hosts := []string{"127.0.0.1"}
	// some systems have one loopback address only
	if ln, err := net.Listen("tcp", "127.0.0.2:0"); err == nil {
		ln.Close()
		hosts = append(hosts, "127.0.0.2")
	}
	var p *harness.Proxy
	rig.Await(t, "a free port", func() bool {
		port := strconv.Itoa(freePort(t))
		f.Conf.More = []string{"ListenIP=" + strings.Join(hosts, ";"), "ListenPort=" + port}
		p = rig.Launch(t, harness.Options{Dir: filepath.Dir(rig.WriteConfig(t, f.Conf))})
		err := p.AwaitListening(rig.Within(t))
		if err != nil && !strings.Contains(err.Error(), "another program has that port") {
			t.Fatal(err)
		}
		return err == nil
	})
	for i, addr := range strings.Split(p.Addr, ",") {
		if host, _, _ := net.SplitHostPort(addr); host != hosts[i] {
			t.Errorf("listens on %s instead of %s", addr, hosts[i])
		}
		at := *p
		at.Addr = addr
		original.CheckAll(t, rig.Dial(t, &at), uint32(1000*(i+1)))
	}
	_, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
		return l.Text("config") == "dbproxyserver.conf" &&
			strings.Contains(l.Text("why"), "working directory")
	})
	if err != nil {
		t.Error(err)
	}
}

// TestAdminAddressTaken starts two proxies with the same configuration, an original's, on one
// machine: where nobody set AdminListen both serve, the second without it. Where somebody did it
// starts with it, or not at all.
func TestAdminAddressTaken(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	original := strings.ReplaceAll(f.Conf.String(), "AdminListen=off\n", "")
	write := func(line string) string {
		path := filepath.Join(t.TempDir(), "dbproxyserver.conf")
		if err := os.WriteFile(path, []byte(line+original), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const taken = "127.0.0.1:10601"
	if ln, err := net.Listen("tcp", taken); err == nil { // else somebody else has it
		t.Cleanup(func() { ln.Close() })
	}
	for range 2 {
		p := rig.StartWith(t, harness.Options{Config: write("")})
		warned, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
			return strings.Contains(l.Message, "without metrics")
		})
		if err != nil || warned.Level != "WARN" || !strings.Contains(warned.Raw, taken) ||
			!strings.Contains(warned.Raw, "AdminListen") {
			t.Errorf("%v: %s", err, warned.Raw)
		}
		rig.CheckServed(t, rig.Dial(t, p))
	}
	listen := []string{"--listen", "127.0.0.1:0"}
	set := exec.CommandContext(rig.Within(t), rig.Binary,
		append([]string{"serve", "--config", write("AdminListen=" + taken + "\n")}, listen...)...)
	refusedStart(t, set, taken, "AdminListen")
	flag := exec.CommandContext(rig.Within(t), rig.Binary,
		append([]string{"serve", "--config", write(""), "--admin", taken}, listen...)...)
	refusedStart(t, flag, taken, "--admin")
	env := exec.CommandContext(rig.Within(t), rig.Binary,
		append([]string{"serve", "--config", write("")}, listen...)...)
	env.Env = append(os.Environ(), "DBPROXY_ADMINLISTEN="+taken)
	refusedStart(t, env, taken, "AdminListen")
}

// freePort is a port on which nobody listens now.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
