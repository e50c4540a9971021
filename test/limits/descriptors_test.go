package limits

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// limited is a command that runs another one with so many descriptors.
func limited(n int) []string {
	return []string{"bash", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, n)}
}

// TestFewDescriptors: with a low limit of open files as many connections are served as leave the
// stores theirs, and a warning says what to set. However many others connect, what comes on those
// that are served is stored, voice too.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		t.Parallel()
		o := harness.Options{Data: w.Data, Wrap: limited(72),
			Args: []string{"--admin", "127.0.0.1:0"}}
		limit := "--max-connections" // a data directory has no keys
		if w.Fleet != nil {
			o.Config = rig.WriteConfig(t, w.Fleet.Conf)
			limit = "MaxConnections (--max-connections)"
		}
		p := rig.StartWith(t, o)
		warned, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
			return strings.Contains(l.Message, "open files")
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ulimit -n", "LimitNOFILE=", ", or lower " + limit + `"`} {
			if warned.Level != "WARN" || !strings.Contains(warned.Raw, want) {
				t.Errorf("the warning is %s; it lacks %s", warned.Raw, want)
			}
		}
		c := rig.Dial(t, p)
		rig.SendText(t, c, "before")
		crowd(t, p.Addr, 100)
		rig.Await(t, "/readyz says what becomes of one more", func() bool {
			said := rig.AdminPage(t, p, "/readyz")
			return strings.Contains(said,
				"one more takes the place of one that asked nothing for 2m0s, or is refused; "+
					"raise "+limit+", or run another proxy") &&
				strings.Contains(said, "does, or raise "+limit+`"`)
		})
		crowd(t, rig.AdminAddr(t, p), 100)
		const messages = 30
		for i := range messages {
			sound := fmt.Sprint("\x00\x00\x00\x07sound ", i)
			if rig.Submit(t, c, rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, 1, 2,
				sound)).GetMsgId() == 0 {
				t.Fatal("a voice message is not stored")
			}
			rig.SendText(t, c, fmt.Sprint("text ", i))
		}
		got := rig.Call[*impb.IMGetMsgListRsp](t, c, rig.Page(2, rig.Pair, 1, 0, 100)).GetMsgList()
		if len(got) != 2*messages+1 {
			t.Errorf("a page has %d messages", len(got))
		}
		for _, m := range got {
			if m.GetMsgType() == impb.MsgType_MSG_TYPE_SINGLE_AUDIO &&
				!strings.Contains(string(m.GetMsgData()), "sound") {
				t.Errorf("message %d has no sound", m.GetMsgId())
			}
		}
		wantNoWrongCause(t, p.Log.String())
		if strings.Contains(p.Log.String(), "too many open files") {
			t.Error("it has run out of descriptors")
		}
	})
}

// crowd makes connections that nobody says anything on, until the test ends.
func crowd(t *testing.T, addr string, n int) {
	t.Helper()
	for range n {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// wantNoWrongCause finds what a lack of descriptors must not be taken for.
func wantNoWrongCause(t *testing.T, said string) {
	t.Helper()
	for _, wrong := range []string{
		"must be able to write", "permission", "start the server", "start MySQL",
		"start Redis",
		"no address is known", "is msfs running", "chown", "damaged"} {
		if strings.Contains(said, wrong) {
			t.Errorf("it says %q:\n%s", wrong, said)
		}
	}
}

// TestTooFewDescriptors starts the binary with any number that is too small: it says so, and what
// to do.
func TestTooFewDescriptors(t *testing.T) {
	t.Parallel()
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		t.Parallel()
		where := []string{"--data", w.Data}
		if w.Fleet != nil {
			where = []string{"--config", rig.WriteConfig(t, w.Fleet.Conf)}
		}
		for n := 9; n < 40; n++ {
			argv := append(limited(n), rig.Binary, "serve", "--listen", "127.0.0.1:0")
			cmd := exec.CommandContext(rig.Within(t), argv[0], append(argv[1:], where...)...)
			out, err := cmd.CombinedOutput()
			said := string(out)
			if err == nil || cmd.ProcessState.ExitCode() != 1 ||
				!strings.Contains(said, "ulimit -n") {
				t.Errorf("with %d descriptors it ends with %v and says:\n%s", n, cmd.ProcessState,
					said)
			}
			_, last, _ := strings.Cut("\n"+said, "\ndbproxy: ")
			wantNoWrongCause(t, last)
		}
	})
}

// TestNoDescriptorsLeft takes them away from proxies at work: what they then say names the cause.
func TestNoDescriptorsLeft(t *testing.T) {
	t.Parallel()
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		t.Parallel()
		w.Start(t)
		p, c := w.Proxy(0), w.Dial(t, 0)
		rig.SendText(t, c, "before")
		allow(t, p, 1)
		voice := rig.Message(impb.MsgType_MSG_TYPE_SINGLE_AUDIO, 1, 2, "\x00\x00\x00\x07sound")
		say := func() (stored bool) { return rig.Call[*impb.IMMsgData](t, c, voice).GetMsgId() > 0 }
		say()
		if w.Fleet != nil { // and connections that have to be made anew
			killConnections(t, w.Fleet)
		}
		rig.Await(t, "the log says so", func() bool {
			say()
			text := p.Log.String()
			return strings.Contains(text, "too many open files") &&
				strings.Contains(text, "ulimit -n")
		})
		wantNoWrongCause(t, p.Log.String())
		allow(t, p, 1000)
		rig.Await(t, "all is well again", func() bool {
			text := rig.Call[*impb.IMMsgData](t, c, rig.PairText(1, 2, "after"))
			return say() && text.GetMsgId() > 0
		})
	})
}

// allow changes how many descriptors a process may have.
func allow(t *testing.T, p *harness.Proxy, n int) {
	t.Helper()
	args := []string{fmt.Sprint("--pid=", p.Pid()), fmt.Sprintf("--nofile=%d:", n)}
	out, err := exec.CommandContext(rig.Within(t), "prlimit", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("prlimit: %v\n%s", err, out)
	}
}

// killConnections has the database end all connections to it.
func killConnections(t *testing.T, f *rig.Fleet) {
	t.Helper()
	rows, err := f.DB.Admin.QueryContext(t.Context(),
		"SELECT id FROM information_schema.PROCESSLIST WHERE user = ?", f.DB.User)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ids []int
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		_, _ = f.DB.Admin.ExecContext(t.Context(), fmt.Sprint("KILL ", id)) // it may be gone
	}
}

// TestSoftLimitIsRaised: a soft limit that is below the hard one does not count.
func TestSoftLimitIsRaised(t *testing.T) {
	t.Parallel()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	p := rig.StartWith(t, harness.Options{Data: rig.NewStore(t),
		Wrap: []string{"bash", "-c", `ulimit -Sn 40; exec "$0" "$@"`},
		Args: []string{"--max-connections", "50"}})
	for range 45 {
		rig.CheckServed(t, rig.Dial(t, p))
	}
	if strings.Contains(p.Log.String(), "open files") {
		t.Error("it complains of the soft limit")
	}
}
