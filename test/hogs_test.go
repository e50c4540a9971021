package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/harness"
)

// politeWait is how long a peer that sends and reads may wait beside any others. A test fails at
// five times that.
const politeWait = time.Second

// theirs is the address that hogs of these tests come from. The polite peers come from 127.0.0.1.
const theirs = "127.0.0.2"

// hog is a connection whose peer does not care what becomes of it.
type hog struct{ net.Conn }

// push writes until the peer takes no more.
func (h hog) push(b []byte, times int) {
	for range times {
		if _, err := h.Write(b); err != nil {
			return
		}
	}
}

// hogs has n connections from an address each do something, until the returned function is called.
func hogs(t *testing.T, p *harness.Proxy, from string, n int, do func(h hog)) (end func()) {
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
		all.Go(func() { do(hog{c}) })
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
	*wire
	t     *testing.T
	seq   uint16
	worst time.Duration
}

// ask sends a request, whose answer must come in time.
func (p *polite) ask(req proto.Message) pdu.Frame {
	p.t.Helper()
	p.seq++
	begun := time.Now()
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*politeWait)
	defer cancel()
	_ = p.SetWriteDeadline(begun.Add(5 * politeWait))
	p.put(p.t, frameOf(p.t, req, p.seq).Append(nil))
	f, err := p.next(ctx)
	if err != nil || f.Seq != p.seq {
		p.t.Fatalf("a polite peer asked %s, and after %v: %v", catalog.Name(req), time.Since(begun), err)
	}
	p.worst = max(p.worst, time.Since(begun))
	return f
}

// round looks somebody up, sends messages, small ones and one with much attach data, and reads the
// largest page.
func (p *polite) round() {
	p.t.Helper()
	p.ask(usersInfo(1, 1))
	for _, attached := range []int{0, 100_000, 3_000_000} {
		req := pairText(3, 4, "hello")
		req.AttachData = make([]byte, attached)
		f := p.ask(req)
		var answer impb.IMMsgData
		if err := proto.Unmarshal(f.Body, &answer); err != nil || answer.GetMsgId() == 0 || len(answer.GetAttachData()) != attached {
			p.t.Fatalf("a message is answered with id %d and %d bytes of attach data: %v",
				answer.GetMsgId(), len(answer.GetAttachData()), err)
		}
	}
	if f := p.ask(page(1, pair, 2, 0, 4294967295)); f.Len() < 3<<20 {
		p.t.Fatalf("the page has %d bytes", f.Len())
	}
}

// politely has a peer ask for some seconds, on one connection and on new ones.
func politely(t *testing.T, p *harness.Proxy, seconds int) {
	t.Helper()
	old := &polite{wire: connect(t, p), t: t}
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); {
		old.round()
		fresh := &polite{wire: connect(t, p), t: t}
		fresh.round()
		old.worst = max(old.worst, fresh.worst)
	}
	t.Logf("a polite peer waited %v at most", old.worst)
}

// fillTalk makes the talk of users 1 and 2 one whose largest page is as long as any.
func fillTalk(t *testing.T, p *harness.Proxy) {
	t.Helper()
	c := dial(t, p)
	text := strings.Repeat("😀", 4096)
	for range 300 {
		call[*impb.IMMsgData](t, c, pairText(1, 2, text))
	}
}

// cases are what peers do that harms others where it can.
func hogCases(t *testing.T) map[string]func(p *harness.Proxy, from string) (end func()) {
	attached := pairText(5, 6, "x")
	attached.AttachData = make([]byte, 16_000_000)
	large := frameOf(t, attached, 1).Append(nil)
	askAll := frameOf(t, &impb.IMAllUserReq{UserId: new(uint32(1)), LatestUpdateTime: new(uint32(0))}, 1).Append(nil)
	askPage := frameOf(t, page(1, pair, 2, 0, 4294967295), 1).Append(nil)
	begun := func(sent int) []byte {
		b := pdu.Frame{Service: 3, Command: 0x0301, Body: make([]byte, sent-pdu.HeaderLen)}.Append(nil)
		binary.BigEndian.PutUint32(b, 16<<20)
		return b
	}
	pages := func(n int) func(*harness.Proxy, string) func() {
		return func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, n, func(h hog) { h.push(askPage, 10_000) })
		}
	}
	dribble := func(n int) func(*harness.Proxy, string) func() {
		return func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, n, func(h hog) {
				h.push(begun(20_000), 1)
				for h.wrote([]byte{1}) {
					time.Sleep(time.Second)
				}
			})
		}
	}
	return map[string]func(*harness.Proxy, string) func(){
		"large frames whose answers are not taken": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 1, func(h hog) { h.push(large, 9) })
		},
		"large frames whose answers are sipped": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 1, func(h hog) {
				go h.sip(512<<10, 3*time.Second)
				h.push(large, 9)
			})
		},
		"eight with large frames": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 8, func(h hog) { h.push(large, 9) })
		},
		"six ask for pages":   pages(6),
		"sixty ask for pages": pages(60),
		"sixty ask for pages and sip": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 60, func(h hog) {
				go h.sip(256<<10, time.Second)
				h.push(askPage, 10_000)
			})
		},
		"many ask for a thousand pages each": func(p *harness.Proxy, from string) func() {
			n := 300
			if underRace { // the machine would have no time left for others
				n = 20
			}
			burst := bytes.Repeat(askPage, 1000)
			return hogs(t, p, from, n, func(h hog) { h.push(burst, 1) })
		},
		"twenty ask for everybody": func(p *harness.Proxy, from string) func() {
			n := 20
			if underRace { // the machine would have no time left for others
				n = 3
			}
			return hogs(t, p, from, n, func(h hog) { h.push(askAll, 10_000) })
		},
		"ten ask for everybody and sip": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 10, func(h hog) {
				go h.sip(1<<20, time.Second)
				h.push(askAll, 10_000)
			})
		},
		"twenty dribble":      dribble(20),
		"two hundred dribble": dribble(200),
		"forty send half of a frame": func(p *harness.Proxy, from string) func() {
			return hogs(t, p, from, 40, func(h hog) { h.push(begun(8<<20), 1) })
		},
	}
}

func (h hog) wrote(b []byte) bool {
	_, err := h.Write(b)
	return err == nil
}

// sip reads n bytes every so often, until the connection ends.
func (h hog) sip(n int64, every time.Duration) {
	for {
		if _, err := io.CopyN(io.Discard, h, n); err != nil {
			return
		}
		time.Sleep(every)
	}
}

// TestPolitePeersBesideHogs has peers harm others as much as they can, and one that sends and reads
// beside them. internal/server tries more of them, from the same address, too.
func TestPolitePeersBesideHogs(t *testing.T) {
	w := openEmbedded(t)
	hire(t, w.fill(t), 100_001, manyPeople())
	p := start(t, w.data, "--admin", "127.0.0.1:0")
	fillTalk(t, p)
	for name, begin := range hogCases(t) {
		t.Run(name, func(t *testing.T) {
			end := begin(p, theirs)
			defer awaitMetric(t, p, "dbproxy_requests_in_flight 0\n") // all is over once they are gone
			defer end()
			politely(t, p, 2)
		})
	}
	if !underRace { // which needs many times as much
		checkMemory(t, p, 640<<20)
	}
}

// TestHogsAreNamed looks whether operators are told who holds most, and that peers are held up.
func TestHogsAreNamed(t *testing.T) {
	p := start(t, newStore(t), "--admin", "127.0.0.1:0")
	fillTalk(t, p)
	for _, name := range []string{"large frames whose answers are not taken", "six ask for pages"} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			end := hogCases(t)[name](p, theirs)
			defer end()
			awaitPeers(t, p, func(c peersCheck) bool {
				return c.State == "doubtful" && strings.Contains(c.Text, theirs+" holds most memory")
			})
			awaitMetric(t, p, fmt.Sprintf(`dbproxy_budget_most_bytes{address=%q} `, theirs))
			_, err := p.Log.Await(within(t), func(l harness.Line) bool {
				return strings.Contains(l.Message, "memory for requests and answers is short") && l.Text("address") == theirs
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

// get reads a page of the admin address.
func get(t *testing.T, p *harness.Proxy, path string) string {
	t.Helper()
	listening, err := p.Log.Await(within(t), func(l harness.Line) bool { return l.Message == "listening" })
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(within(t), http.MethodGet, "http://"+listening.Text("admin")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// awaitPeers waits until the check of peers is as wanted.
func awaitPeers(t *testing.T, p *harness.Proxy, wanted func(peersCheck) bool) {
	t.Helper()
	var last peersCheck
	for ctx := within(t); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		var v struct{ Checks []peersCheck }
		if err := json.Unmarshal([]byte(get(t, p, "/readyz")), &v); err != nil {
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
	for ctx := within(t); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if strings.Contains(get(t, p, "/metrics"), "\n"+line) {
			return
		}
	}
	t.Errorf("the metrics never have %q", line)
}
