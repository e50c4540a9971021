package limits

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/peers"
)

// theirs is the address that hogs of these tests come from. The polite peers come from 127.0.0.1.
const theirs = "127.0.0.2"

// hogs has n connections from an address each do something, until the returned function is called.
func hogs(t *testing.T, p *harness.Proxy, from string, n int, do func(c net.Conn)) (end func()) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var conns []net.Conn
	var all sync.WaitGroup
	for range n {
		c, err := d.DialContext(t.Context(), "tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		all.Go(func() { do(c) })
	}
	return func() {
		for _, c := range conns {
			_ = c.Close()
		}
		all.Wait()
	}
}

// polite is a peer that asks for one thing after the other and reads the answers.
type polite struct {
	net.Conn
	t      *testing.T
	frames *pdu.Reader
	seq    uint16
	worst  time.Duration
}

func newPolite(t *testing.T, p *harness.Proxy) *polite {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &polite{Conn: c, t: t, frames: pdu.NewReader(c, 64<<20)}
}

// ask sends a request, whose answer must come in time.
func (p *polite) ask(req proto.Message) pdu.Frame {
	p.t.Helper()
	p.seq++
	f, took := peers.Ask(p.t, p, p.frames, rig.FrameOf(p.t, req, p.seq))
	p.worst = max(p.worst, took)
	return f
}

// round asks for somebody, sends messages, small ones and one with much attach data, and reads the
// largest page.
func (p *polite) round() {
	p.t.Helper()
	p.ask(rig.UsersInfo(1, 1))
	for _, attached := range []int{0, 100_000, 3_000_000} {
		req := rig.PairText(3, 4, "hello")
		req.AttachData = make([]byte, attached)
		f := p.ask(req)
		var answer impb.IMMsgData
		if err := proto.Unmarshal(f.Body, &answer); err != nil || answer.GetMsgId() == 0 ||
			len(answer.GetAttachData()) != attached {
			p.t.Fatalf("a message is answered with id %d and %d bytes of attach data: %v",
				answer.GetMsgId(), len(answer.GetAttachData()), err)
		}
	}
	if f := p.ask(rig.Page(1, rig.Pair, 2, 0, 4294967295)); f.Len() < 3<<20 {
		p.t.Fatalf("the page has %d bytes", f.Len())
	}
}

// politely has a peer ask for some seconds, on one connection and on new ones.
func politely(t *testing.T, p *harness.Proxy, seconds int) {
	t.Helper()
	old := newPolite(t, p)
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		old.round()
		fresh := newPolite(t, p)
		fresh.round()
		old.worst = max(old.worst, fresh.worst)
	}
	t.Logf("a polite peer waited %v at most", old.worst)
}

// fillTalk makes the talk of users 1 and 2 one whose largest page is as long as any.
func fillTalk(t *testing.T, p *harness.Proxy) {
	t.Helper()
	c := rig.Dial(t, p)
	text := strings.Repeat("😀", 4096)
	for range 300 {
		rig.Call[*impb.IMMsgData](t, c, rig.PairText(1, 2, text))
	}
}

// hogCases are what peers do that harms others where it can, by name.
func hogCases(t *testing.T) map[string]func(p *harness.Proxy, from string) (end func()) {
	attached := rig.PairText(5, 6, "x")
	attached.AttachData = make([]byte, 16_000_000)
	large := rig.FrameOf(t, attached, 1).Append(nil)
	askAll := rig.FrameOf(t, &impb.IMAllUserReq{UserId: new(uint32(1)),
		LatestUpdateTime: new(uint32(0))}, 1).Append(nil)
	askPage := rig.FrameOf(t, rig.Page(1, rig.Pair, 2, 0, 4294967295), 1).Append(nil)
	pages := func(n int) func(*harness.Proxy, string) func() {
		return func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, n, func(c net.Conn) { peers.Push(c, askPage, 10_000) })
		}
	}
	dribble := func(n int) func(*harness.Proxy, string) func() {
		return func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, n, func(c net.Conn) { peers.Dribble(c) })
		}
	}
	return map[string]func(*harness.Proxy, string) func(){
		"large frames whose answers are not taken": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 1, func(c net.Conn) { peers.Push(c, large, 9) })
		},
		"large frames whose answers are sipped": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 1, func(c net.Conn) {
				go peers.Sip(c, 512<<10, 3*time.Second)
				peers.Push(c, large, 9)
			})
		},
		"eight with large frames": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 8, func(c net.Conn) { peers.Push(c, large, 9) })
		},
		"six ask for pages":   pages(6),
		"sixty ask for pages": pages(60),
		"sixty ask for pages and sip": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 60, func(c net.Conn) {
				go peers.Sip(c, 256<<10, time.Second)
				peers.Push(c, askPage, 10_000)
			})
		},
		"many ask for a thousand pages each": func(p *harness.Proxy, from string) func() {
			n := 300
			if rig.UnderRace { // the machine would have no time left for others
				n = 20
			}
			burst := bytes.Repeat(askPage, 1000)
			return hogs(t, p, from, n, func(c net.Conn) { peers.Push(c, burst, 1) })
		},
		"twenty ask for everybody": func(p *harness.Proxy, from string) func() {
			n := 20
			if rig.UnderRace { // the machine would have no time left for others
				n = 3
			}
			return hogs(t, p, from, n, func(c net.Conn) { peers.Push(c, askAll, 10_000) })
		},
		"ten ask for everybody and sip": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 10, func(c net.Conn) {
				go peers.Sip(c, 1<<20, time.Second)
				peers.Push(c, askAll, 10_000)
			})
		},
		"twenty dribble":      dribble(20),
		"two hundred dribble": dribble(200),
		"forty send half of a frame": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 40, func(c net.Conn) {
				peers.Push(c, peers.Begun(16<<20, 8<<20), 1)
			})
		},
	}
}

// TestPolitePeersBesideHogs has peers harm others as much as they can, and one that sends and reads
// beside them. internal/server tries more of them, from the same address, too.
func TestPolitePeersBesideHogs(t *testing.T) {
	w := rig.OpenEmbedded(t)
	hire(t, fill(t, w), 100_001, manyPeople())
	p := rig.Start(t, w.Data, "--admin", "127.0.0.1:0")
	fillTalk(t, p)
	for name, begin := range hogCases(t) {
		t.Run(name, func(t *testing.T) {
			end := begin(p, theirs)
			// all is over once they are gone
			defer awaitMetric(t, p, "dbproxy_requests_in_flight 0\n")
			defer end()
			politely(t, p, 1)
		})
	}
	if !rig.UnderRace { // which needs many times as much
		rig.CheckMemory(t, p, 640<<20)
	}
}

// TestHogsAreNamed checks that operators are told who holds most, and that peers are held up.
func TestHogsAreNamed(t *testing.T) {
	p := rig.Start(t, rig.NewStore(t), "--admin", "127.0.0.1:0")
	fillTalk(t, p)
	for _, name := range []string{"large frames whose answers are not taken", "six ask for pages"} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			end := hogCases(t)[name](p, theirs)
			defer end()
			awaitPeers(t, p, func(c peersCheck) bool {
				return c.State == "doubtful" && strings.Contains(c.Text,
					theirs+" holds most memory")
			})
			awaitMetric(t, p, fmt.Sprintf(`dbproxy_budget_most_bytes{address=%q} `, theirs))
			_, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
				return strings.Contains(l.Message, "memory for requests and answers is short") &&
					l.Text("address") == theirs
			})
			if err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("it was named after %v", took)
			}
		})
	}
}

// peersCheck is the check of that name in /readyz.
type peersCheck struct{ Name, State, Text string }

// awaitPeers waits until the check of peers is as wanted.
func awaitPeers(t *testing.T, p *harness.Proxy, wanted func(peersCheck) bool) {
	t.Helper()
	var last peersCheck
	for ctx := rig.Within(t); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		var v struct{ Checks []peersCheck }
		if err := json.Unmarshal([]byte(rig.AdminPage(t, p, "/readyz")), &v); err != nil {
			t.Fatal(err)
		}
		for _, c := range v.Checks {
			if c.Name != "peers" {
				continue
			}
			if last = c; wanted(c) {
				return
			}
		}
	}
	t.Fatalf("the check of peers stays %+v", last)
}

// awaitMetric waits until the metrics have a line that begins so.
func awaitMetric(t *testing.T, p *harness.Proxy, line string) {
	t.Helper()
	rig.Await(t, line, func() bool {
		return strings.Contains(rig.AdminPage(t, p, "/metrics"), "\n"+line)
	})
}
