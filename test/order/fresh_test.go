package order

import (
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
)

// TestWhatWasAnsweredIsRead has talks written to through one proxy after the other, while all of
// them keep the newest messages, as they are asked for all the time. Whoever asks after a message
// was answered, at whichever proxy, must find it, and all before it; where each proxy has a node of
// its own, at the same proxy.
func TestWhatWasAnsweredIsRead(t *testing.T) {
	rig.OnEngines(t, func(t *testing.T, w *rig.Setup) {
		w.Start(t)
		const talks, each = 4, 60
		readers := newReaders(t, w)
		var all sync.WaitGroup
		for k := range uint32(talks) {
			from, to := 1000+2*k, 1001+2*k
			var writers, askers []*client.Client
			for i := range max(2, len(w.Proxies)) {
				writers, askers = append(writers, w.Dial(t, i)), append(askers, w.Dial(t, i))
			}
			readers.ask(from, to)
			all.Go(func() {
				for i := range each {
					at, asked := i%len(writers), (i/2+1)%len(askers)
					if !w.Fleet.EveryID() { // another node may lack it for a moment
						asked = at
					}
					sent := rig.Submit(t, writers[at],
						rig.PairText(from, to, fmt.Sprint("text ", i)))
					wantNewest(t, askers[asked], from, to, sent.GetMsgId())
				}
			})
		}
		all.Wait()
		readers.stop()
	})
}

// TestWhatAnOriginalStoredIsRead is the same where an original server writes to the talks, too: in
// turn with a proxy, as both count in Redis.
func TestWhatAnOriginalStoredIsRead(t *testing.T) {
	t.Parallel()
	f, _ := rig.NewRedisFleet(t)
	w := rig.OpenFleet(t, f)
	w.Proxies = make([]*harness.Proxy, 2)
	w.Start(t)
	m := original.Beside(t, f, w.Dial(t, 0))
	relation := m.Relate(1, 2)
	readers := newReaders(t, w)
	readers.ask(1, 2)
	other := w.Dial(t, 1)
	for i := range 60 {
		var id uint32
		if i%3 > 0 {
			id = m.Send(relation, 1, 2, fmt.Sprint("of an original ", i))
		} else {
			id = m.Say(rig.PairText(1, 2, fmt.Sprint("of a proxy ", i)))
		}
		wantNewest(t, m.Client, 1, 2, id)
		wantNewest(t, other, 1, 2, id)
	}
	readers.stop()
}

// readers ask for pages of talks all the time, each proxy for each talk.
type readers struct {
	t       *testing.T
	w       *rig.Setup
	halt    chan struct{}
	running sync.WaitGroup
}

func newReaders(t *testing.T, w *rig.Setup) *readers {
	return &readers{t: t, w: w, halt: make(chan struct{})}
}

func (r *readers) ask(user, peer uint32) {
	for i := range r.w.Proxies {
		c := r.w.Dial(r.t, i)
		r.running.Go(func() {
			for newest := uint32(0); ; {
				select {
				case <-r.halt:
					return
				default:
				}
				ids := pageIDs(r.t, c, user, peer)
				if len(ids) > 0 && ids[0] < newest {
					r.t.Errorf("a page of %d and %d begins with %d, an earlier one with %d", user,
						peer, ids[0], newest)
				}
				if len(ids) > 0 {
					newest = ids[0]
				}
			}
		})
	}
}

func (r *readers) stop() {
	close(r.halt)
	r.running.Wait()
}

// pageIDs are the ids of the first page of two users' talk.
func pageIDs(t *testing.T, c *client.Client, user, peer uint32) (ids []uint32) {
	t.Helper()
	answer, err := client.Call[*impb.IMGetMsgListRsp](rig.Within(t), c,
		rig.Page(user, rig.Pair, peer, 0, 20))
	if err != nil {
		t.Error(err)
	}
	for _, m := range answer.GetMsgList() {
		ids = append(ids, m.GetMsgId())
	}
	return ids
}

// wantNewest checks that the page, the recent session and the newest id of a talk, of which nobody
// else writes, are those that a message with that id left.
func wantNewest(t *testing.T, c *client.Client, user, peer, id uint32) {
	t.Helper()
	ids := pageIDs(t, c, user, peer)
	for i, got := range ids {
		if got != id-uint32(i) {
			t.Errorf("after message %d of %d and %d the page has %v", id, user, peer, ids)
			break
		}
	}
	if len(ids) != int(min(id, 20)) {
		t.Errorf("after message %d of %d and %d the page has %v", id, user, peer, ids)
	}
	recent, err := client.Call[*impb.IMRecentContactSessionRsp](rig.Within(t), c,
		&impb.IMRecentContactSessionReq{UserId: &user, LatestUpdateTime: proto.Uint32(0)})
	if err != nil {
		t.Error(err)
	}
	for _, s := range recent.GetContactSessionList() {
		if s.GetSessionId() == peer && s.GetLatestMsgId() != id {
			t.Errorf("after message %d of %d and %d their session has %d", id, user, peer,
				s.GetLatestMsgId())
		}
	}
}
