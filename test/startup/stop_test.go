package startup

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// stops sends SIGTERM and waits for the end, which must come in time. The code says whether all was
// finished, and when not, the log has what was left.
func stops(t *testing.T, p *harness.Proxy, drain time.Duration) {
	t.Helper()
	begun := time.Now()
	if err := p.Terminate(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
		t.Logf("it ended after %v", time.Since(begun).Round(time.Millisecond))
	case <-time.After(stopBound(drain)):
		t.Fatalf("it has not ended %v after SIGTERM", stopBound(drain))
	}
	unfinished := strings.Contains(p.Log.String(), "ended before all was finished") ||
		strings.Contains(p.Log.String(), "connections were not done")
	if code := p.ExitCode(); code != 0 && code != 1 || (code == 1) != unfinished {
		t.Errorf("it ended with code %d; its log says that it did not finish: %v", code, unfinished)
	}
}

// signalled sends a signal to a proxy.
func signalled(t *testing.T, p *harness.Proxy, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.Pid(), s); err != nil {
		t.Fatal(err)
	}
}

// TestSignalsThatChangeNothing: a proxy says so and goes on, also when its whole process group gets
// them, as when a terminal is closed.
func TestSignalsThatChangeNothing(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string][]string{"plain": nil, "nohup": {"nohup"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := rig.StartWith(t, harness.Options{Data: rig.NewStore(t), Wrap: wrap,
				Attr: &syscall.SysProcAttr{Setpgid: true}})
			c := rig.Dial(t, p)
			for s, word := range map[syscall.Signal]string{
				syscall.SIGHUP: "SIGHUP", syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2",
			} {
				if err := syscall.Kill(-p.Pid(), s); err != nil {
					t.Fatal(err)
				}
				_, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
					return l.Text("signal") == word &&
						strings.Contains(l.Message, "nothing to read again yet")
				})
				if err != nil {
					t.Fatalf("%v: %v", s, err)
				}
				rig.CheckServed(t, c)
			}
			signalled(t, p, syscall.SIGPIPE) // of this one nobody needs to know
			rig.SendText(t, c, "it goes on")
			stops(t, p, 4*time.Second)
		})
	}
}

// TestStopWhatPeersDo stops proxies while peers do what they should not.
func TestStopWhatPeersDo(t *testing.T) {
	t.Parallel()
	for name, peer := range map[string]func(*testing.T, *harness.Proxy){
		"does nothing":           func(t *testing.T, p *harness.Proxy) { rig.Connect(t, p) },
		"sends half a frame":     halfAFrame,
		"sends a byte at a time": byteAtATime,
		"takes no answers":       takesNoAnswers,
		"sends without end":      sendsWithoutEnd,
		"takes a profile":        profile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := rig.Start(t, rig.NewStore(t), "--admin", "127.0.0.1:0")
			c := rig.Dial(t, p)
			rig.SendText(t, c, "before")
			for range 5 {
				peer(t, p)
			}
			stops(t, p, 4*time.Second)
			if rows := audit.ReadRows(t, rig.OpenStore(t, p.Data)); len(rows) != 1 {
				t.Errorf("%d talks have messages", len(rows))
			}
		})
	}
}

// accepted waits until a connection is served.
func accepted(t *testing.T, p *harness.Proxy, conn net.Conn) {
	t.Helper()
	_, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
		return l.Message == "connection opened" && l.Text("peer") == conn.LocalAddr().String()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func halfAFrame(t *testing.T, p *harness.Proxy) {
	w := rig.Connect(t, p)
	accepted(t, p, w)
	whole := rig.FrameOf(t, rig.PairText(1, 2, strings.Repeat("never whole", 1000)), 1).Append(nil)
	w.Put(t, whole[:len(whole)/2])
}

func byteAtATime(t *testing.T, p *harness.Proxy) {
	w := rig.Connect(t, p)
	accepted(t, p, w)
	whole := rig.FrameOf(t, rig.PairText(1, 2, strings.Repeat("never whole", 100_000)),
		1).Append(nil)
	repeatedly(t, 20*time.Millisecond, func(i int) error {
		_, err := w.Write(whole[i : i+1])
		return err
	})
}

// repeatedly does something until it fails, or the test ends.
func repeatedly(t *testing.T, pause time.Duration, do func(i int) error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil && do(i) == nil; i++ {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// takesNoAnswers has more answers come than the system keeps for somebody who does not read them.
func takesNoAnswers(t *testing.T, p *harness.Proxy) {
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, p, conn)
	req := rig.UsersInfo(1, 1)
	req.AttachData = make([]byte, 1<<20)
	one := rig.FrameOf(t, req, 1).Append(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			if _, err := conn.Write(one); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
}

func sendsWithoutEnd(t *testing.T, p *harness.Proxy) {
	w := rig.Connect(t, p)
	accepted(t, p, w)
	go func() {
		for {
			if _, err := w.Next(context.Background()); err != nil {
				return
			}
		}
	}()
	one := rig.FrameOf(t, rig.UsersInfo(1, 1), 1).Append(nil)
	repeatedly(t, time.Millisecond, func(int) error {
		_, err := w.Write(one)
		return err
	})
}

func profile(t *testing.T, p *harness.Proxy) {
	admin := rig.AdminAddr(t, p)
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := http.Get("http://" + admin + "/debug/pprof/trace?seconds=20")
		if err == nil {
			resp.Body.Close()
		}
	}()
	t.Cleanup(func() { <-done })
}

// TestStopWhatStoresDo stops proxies while their stores do not answer, with messages pending:
// they end in time all the same, and what was acknowledged before is stored.
func TestStopWhatStoresDo(t *testing.T) {
	t.Parallel()
	type parts struct {
		mysql *servers.DatabaseServer
		redis *servers.Redis
		files *msfs.Server
	}
	for name, change := range map[string]struct{ freeze, thaw func(*testing.T, parts) }{
		"mysql": {
			func(t *testing.T, p parts) { p.mysql.Freeze(t) },
			func(t *testing.T, p parts) { p.mysql.Thaw(t) },
		},
		"redis": {
			func(t *testing.T, p parts) { p.redis.Freeze(t) },
			func(t *testing.T, p parts) { p.redis.Thaw(t) },
		},
		"msfs": {
			func(_ *testing.T, p parts) {
				p.files.Trouble(
					msfs.Trouble{Hold: make(chan struct{})})
			},
			func(*testing.T, parts) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.StartMariaDB(t)
			f, redis := rig.NewRedisFleetOn(t, server)
			f.Conf.More = []string{"RequestTimeout=20s", "DrainTimeout=2s", "MsfsTimeout=20s",
				"teamtalk_master_statement_timeout=20s"}
			p := f.Start(t)
			c := rig.Dial(t, p)
			const before = 20
			for i := range before {
				rig.SendText(t, c, fmt.Sprint("before ", i))
			}
			all := parts{server, redis, f.Files}
			change.freeze(t, all)
			for i := range uint32(20) { // nobody waits for these
				text := rig.PairText(1000+i, 3000+i, "meanwhile")
				sound := rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, 1000+i, 2000+i,
					"\x00\x00\x00\x07sound")
				for _, req := range []*impb.IMMsgData{text, sound} {
					if err := c.Start(t.Context(), req, func(proto.Message, error) {}); err != nil {
						t.Fatal(err)
					}
				}
			}
			stops(t, p, 2*time.Second)
			change.thaw(t, all)
			if n := len(audit.ReadRows(t, f.DB.Admin)[lines.PairTalk(1, 2)]); n != before {
				t.Errorf("%d of %d acknowledged messages are stored", n, before)
			}
		})
	}
}

// TestStopWhileStarting stops proxies that wait for their servers.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	f.Conf.Redis = map[string]string{"host": "127.0.0.1", "port": fmt.Sprint(silent(t))}
	f.Conf.More = []string{"DrainTimeout=1s", fmt.Sprint("teamtalk_master_port=", silent(t)),
		"teamtalk_master_connect_timeout=1m",
		"unread_connect_timeout=1m"}
	p := rig.Launch(t, harness.Options{Config: rig.WriteConfig(t, f.Conf),
		Args: []string{"--wait"}})
	_, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
		return l.Text("config") != ""
	})
	if err != nil {
		t.Fatal(err)
	}
	stops(t, p, time.Second)
}

// TestToldTwiceToStop: a second signal, some time after the first, ends a proxy at once; two
// together are one.
func TestToldTwiceToStop(t *testing.T) {
	t.Parallel()
	p := rig.Start(t, rig.NewStore(t), "--drain-timeout", "1m")
	c := rig.Dial(t, p)
	rig.SendText(t, c, "before")
	byteAtATime(t, p)
	signalled(t, p, syscall.SIGTERM)
	signalled(t, p, syscall.SIGINT)
	select {
	case <-c.Stopping():
	case <-time.After(rig.Patience):
		t.Fatal("peers are not told that it stops")
	}
	select {
	case <-p.Exited():
		t.Fatal("two signals at a time do not let it finish")
	case <-time.After(time.Second):
	}
	signalled(t, p, syscall.SIGTERM)
	select {
	case <-p.Exited():
	case <-time.After(rig.Patience):
		t.Fatal("the second signal does not end it")
	}
	if p.ExitCode() != 1 || !strings.Contains(p.Log.String(), "told again to stop") {
		t.Errorf("code %d, log:\n%s", p.ExitCode(), p.Log)
	}
	if rows := audit.ReadRows(t, rig.OpenStore(t, p.Data)); len(rows[lines.PairTalk(1, 2)]) != 1 {
		t.Errorf("stored is %v", rows)
	}
}
