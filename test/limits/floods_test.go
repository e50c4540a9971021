package limits

import (
	"fmt"
	"net"
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

// floods are kinds of small requests, each as the i-th of a connection. Many connections send them
// without a pause, and take the answers.
var floods = map[string]func(conn, i uint32) proto.Message{
	"people": func(uint32, uint32) proto.Message { return rig.UsersInfo(1, 1, 2) },
	"unread": func(_, i uint32) proto.Message { return rig.Unread(1 + i) },
	"logins": func(conn, i uint32) proto.Message {
		return login(fmt.Sprintf("x-%d-%d", conn, i), "wrong")
	},
	"groups": func(_, i uint32) proto.Message {
		return &impb.IMNormalGroupListReq{UserId: new(1 + i)}
	},
	"signatures": func(conn, i uint32) proto.Message { return signature(1000+100*conn+i, "x") },
	"one talk":   func(uint32, uint32) proto.Message { return rig.PairText(5, 8, "x") },
	"many talks": func(conn, i uint32) proto.Message {
		return rig.PairText(1000+i, 2000+conn, "x")
	},
}

func signature(user uint32, text string) *impb.IMChangeSignInfoReq {
	return &impb.IMChangeSignInfoReq{UserId: &user, SignInfo: &text}
}

// flooders is how many connections flood, and inFlight how many of each are pending.
func flooders() int {
	if rig.UnderRace { // the machine would have no time left for others
		return 20
	}
	return 300
}

const inFlight = 16

// flood has connections ask, until the returned function is called. Every other one asks as much as
// may be pending, takes the answers and begins anew on another connection.
func flood(t *testing.T, p *harness.Proxy, ask func(conn, i uint32) proto.Message) (end func()) {
	t.Helper()
	var all sync.WaitGroup
	stop := make(chan struct{})
	for conn := range uint32(flooders()) {
		reconnect := conn%2 == 1
		frames := make([][]byte, inFlight)
		for i := range uint32(inFlight) {
			frames[i] = rig.FrameOf(t, ask(conn, i), uint16(i)).Append(nil)
		}
		all.Go(func() {
			for ask := true; ask; ask = reconnect && !over(stop) {
				askFor(t, p.Addr, frames, stop, reconnect)
			}
		})
	}
	return func() {
		close(stop)
		all.Wait()
	}
}

func over(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// askFor asks for all on a connection, and for each again when it has an answer, unless once.
func askFor(t *testing.T, addr string, frames [][]byte, stop <-chan struct{}, once bool) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(theirs)}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		select {
		case <-stop:
		case <-gone:
		}
		_ = c.Close()
	}()
	for _, f := range frames {
		peers.Push(c, f, 1)
	}
	answers := pdu.NewReader(c, 64<<20)
	for n := 1; !once || n <= len(frames); n++ {
		f, err := answers.Next()
		if err != nil {
			return // it is over, or the proxy has ended it
		}
		if !once && int(f.Seq) < len(frames) {
			peers.Push(c, frames[f.Seq], 1)
		}
	}
}

// smallRound asks for one small thing of each kind.
func (p *polite) smallRound() {
	p.t.Helper()
	for _, req := range []proto.Message{
		rig.UsersInfo(1, 1), rig.Unread(2), login("bob", "wrong"), rig.PairText(3, 4, "hello"),
		signature(3, "me"),
	} {
		p.ask(req)
	}
}

// TestPolitePeersBesideFloods has many peers ask for small things ceaselessly, and one beside them
// that asks for one thing after the other, on one connection and on new ones.
func TestPolitePeersBesideFloods(t *testing.T) {
	rig.OnStores(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t, "--admin", "127.0.0.1:0")
		p := w.Proxy(0)
		for name, ask := range floods {
			t.Run(name, func(t *testing.T) {
				old := newPolite(t, p)
				end := flood(t, p, ask)
				// all is over once they are gone
				defer awaitMetric(t, p, "dbproxy_requests_in_flight 0\n")
				defer end()
				for until := time.Now().Add(peers.Wait / 2); time.Now().Before(until); {
					old.smallRound()
					fresh := newPolite(t, p)
					fresh.smallRound()
					old.worst = max(old.worst, fresh.worst)
				}
				t.Logf("a polite peer waited %v at most", old.worst)
			})
		}
	})
}
