package records_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/servers"
	"github.com/teamtalk-go/dbproxy/test/tables"
)

// rivals are all that rely on the row of a talk, the group that is given. Most of them change
// nothing.
var rivals = []struct {
	name string
	run  func(ctx context.Context, s *records.Store, group uint32) error
}{
	{"a message", func(ctx context.Context, s *records.Store, group uint32) error {
		return store(ctx, s, groupTexts(group, 2, "rival"))
	}},
	{"an ack", func(ctx context.Context, s *records.Store, group uint32) error {
		read := groupTexts(group, 2, "")
		read.Drafts[0].Read = true
		return store(ctx, s, read)
	}},
	{"a member added", func(ctx context.Context, s *records.Store, group uint32) error {
		_, _, err := s.AddMembers(ctx, group, []uint32{4}, 2000)
		return err
	}},
	{"a stranger removed", func(ctx context.Context, s *records.Store, group uint32) error {
		_, err := s.RemoveMembers(ctx, group, []uint32{9}, 2000)
		return err
	}},
	{"a mute", func(ctx context.Context, s *records.Store, group uint32) error {
		return s.SetMute(ctx, group, 2, 0)
	}},
	{"the removal of a session", func(ctx context.Context, s *records.Store, group uint32) error {
		return s.Remove(ctx, 2, chat.GroupTalk(group), 2000)
	}},
	{"the group sync", func(ctx context.Context, s *records.Store, group uint32) error {
		return s.SyncSessions(ctx, group, []uint32{2}, 900)
	}},
	{"the doctor", func(ctx context.Context, s *records.Store, group uint32) error {
		examination, err := s.Examine(ctx)
		if err != nil {
			return err
		}
		return examination.HoldGroup(ctx, group, func(chat.Change) error { return nil })
	}},
}

// groupTexts is a message to a group.
func groupTexts(group, from uint32, text string) chat.Batch {
	return chat.Batch{ID: chat.NewCommitID(), Now: 1000, Drafts: []chat.Draft{
		{Talk: chat.GroupTalk(group), From: from, Type: chat.GroupText, Content: text, Time: 1000},
	}}
}

func store(ctx context.Context, s *records.Store, b chat.Batch) error {
	_, err := s.Append(ctx, b, counters.Embedded{})
	return err
}

// TestNodesExcludeEachOther has two nodes of a Galera hold the same talk: a batch at one, and
// everything else that relies on the talk's row at the other. Both commit, one after the other. The
// second is undone (error 1213) and runs again.
func TestNodesExcludeEachOther(t *testing.T) {
	t.Parallel()
	g := servers.SharedGalera(t)
	for _, rival := range rivals {
		t.Run(rival.name+" first", func(t *testing.T) {
			p := newNodes(t, g)
			batch := make(chan error, 1)
			ids := &heldIDs{reached: make(chan struct{}), goOn: make(chan struct{})}
			go func() {
				_, err := p.stores[0].Append(p.ctx, groupTexts(p.group, 1, "batch"), ids)
				batch <- err
			}()
			p.await(ids.reached)
			if err := rival.run(p.ctx, p.stores[1], p.group); err != nil {
				t.Error(err)
			}
			close(ids.goOn)
			if err := <-batch; err != nil {
				t.Error(err)
			}
			if n := ids.asked.Load(); n != 2 {
				t.Errorf("ids were given out %d times", n)
			}
			p.check()
		})
		t.Run(rival.name+" second", func(t *testing.T) {
			p := newNodes(t, g)
			done := make(chan error, 1)
			p.hold.Store(true)
			go func() { done <- rival.run(p.ctx, p.stores[0], p.group) }()
			p.await(p.reached)
			if err := store(p.ctx, p.stores[1], groupTexts(p.group, 1, "batch")); err != nil {
				t.Error(err)
			}
			close(p.goOn)
			if err := <-done; err != nil {
				t.Error(err)
			}
			p.check()
		})
	}
}

// nodes are a store on each of two nodes, and a group of users 1, 2 and 3 that has a message. The
// first store can be held once it has locked a talk.
type nodes struct {
	*testing.T
	ctx    context.Context
	stores [2]*records.Store
	group  uint32

	hold, locked  atomic.Bool
	reached, goOn chan struct{}

	mu   sync.Mutex
	said strings.Builder // the log of the first store
}

func newNodes(t *testing.T, g *servers.Galera) *nodes {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p := &nodes{T: t, ctx: ctx, reached: make(chan struct{}), goOn: make(chan struct{})}
	handler := slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelDebug})
	log := slog.New(handler)
	db := tables.On(t, g.Nodes[0])
	other := db.On(t, g.Nodes[1])
	var err error
	opt := records.Options{Log: log}
	p.stores[0], err = records.OpenNotingMySQL(tables.At(db), opt, p.note)
	closing(t, p.stores[0], err)
	opt.Log = discard
	at := tables.At(other)
	at.StatementTimeout = 30 * time.Second // the machine may be busy
	p.stores[1], err = records.OpenMySQL(at, nil, opt)
	closing(t, p.stores[1], err)
	group := chat.NewGroup{Name: "g", Creator: 1, Members: []uint32{1, 2, 3}}
	p.group, err = p.stores[0].Create(ctx, group, 500)
	if err == nil {
		err = store(ctx, p.stores[0], groupTexts(p.group, 2, "old"))
	}
	if err == nil { // admin's connections wait until the node has what was committed
		row := other.Admin.QueryRowContext(ctx, "SELECT COUNT(*) FROM IMProxyTalk")
		err = row.Scan(new(int))
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// note holds the store, where it is to be held, at the first statement after that which locks a
// talk.
func (p *nodes) note(query string, _ []driver.NamedValue) {
	switch {
	case !p.hold.Load():
	case p.locked.Load():
		p.hold.Store(false)
		close(p.reached)
		<-p.goOn
	default:
		p.locked.Store(strings.Contains(query, "IMProxyTalk"))
	}
}

// Write takes the log.
func (p *nodes) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(text)
}

func (p *nodes) await(reached <-chan struct{}) {
	p.Helper()
	select {
	case <-reached:
	case <-p.ctx.Done():
		p.Fatal("the talk was not locked")
	}
}

// check sees that the first node was told 1213, and that all messages are there once, in the order
// of their ids.
func (p *nodes) check() {
	p.Helper()
	p.mu.Lock()
	said := p.said.String()
	p.mu.Unlock()
	if !strings.Contains(said, "1213") {
		p.Errorf("no transaction was undone: %s", said)
	}
	page, err := p.stores[0].Page(p.ctx, chat.GroupTalk(p.group), chat.PageQuery{Count: 100})
	if err != nil {
		p.Fatal(err)
	}
	seen := make(map[string]bool)
	for i, m := range page {
		if want := uint32(len(page) - i); m.ID != want || seen[string(m.Data)] {
			p.Errorf("message %q has id %d, want %d", m.Data, m.ID, want)
		}
		seen[string(m.Data)] = true
	}
	if !seen["batch"] || !seen["old"] {
		p.Errorf("stored is %v", page)
	}
	n := uint32(len(page))
	known, err := p.stores[0].GroupsNow(p.ctx, []uint32{p.group})
	if err != nil || len(known) != 1 || known[0].LastID != n || known[0].Count != n {
		p.Errorf("of %d messages the talk's row says %+v, %v", len(page), known, err)
	}
}

// heldIDs gives out ids as if the talk's row said all, and holds the first transaction that asks.
type heldIDs struct {
	counters.Embedded
	asked         atomic.Int32
	reached, goOn chan struct{}
}

func (h *heldIDs) Next(ctx context.Context, want []chat.Reserve) []uint32 {
	if h.asked.Add(1) == 1 {
		close(h.reached)
		<-h.goOn
	}
	return h.Embedded.Next(ctx, want)
}

// TestNodeCatchesUp has a node not apply anything for a while. What relies on what was acknowledged
// at the other node meanwhile is not refused: it waits until the node has it.
func TestNodeCatchesUp(t *testing.T) {
	t.Parallel()
	g := servers.StartGalera(t)
	p := newNodes(t, g)
	gate, err := g.Nodes[1].Admin(t).Conn(p.ctx)
	if err == nil {
		defer gate.Close()
		_, err = gate.ExecContext(p.ctx, "SET SESSION wsrep_sync_wait=0;"+
			"BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT")
	}
	if err != nil {
		t.Fatal(err)
	}
	fresh := chat.NewGroup{Name: "new", Creator: 1, Members: []uint32{1, 2}}
	group, err := p.stores[0].Create(p.ctx, fresh, 600)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 4)
	go func() {
		b := groupTexts(group, 2, "at once")
		receipt, err := p.stores[1].Append(p.ctx, b, counters.Embedded{})
		if err == nil {
			err = receipt.Stored[0].Err
		}
		done <- err
	}()
	go func() { done <- p.stores[1].SetMute(p.ctx, group, 2, 1) }()
	go func() {
		_, err := p.stores[1].Find(p.ctx, group) // before members are changed
		done <- err
	}()
	go func() {
		_, err := p.stores[1].Mutes(p.ctx, group, []uint32{1})
		done <- err
	}()
	const waiting = "SELECT COUNT(*) FROM information_schema.processlist" +
		" WHERE info LIKE '%FROM IMProxyMark%' AND id<>CONNECTION_ID()"
	for n := 0; err == nil && n < 4; time.Sleep(10 * time.Millisecond) {
		err = gate.QueryRowContext(p.ctx, waiting).Scan(&n)
	}
	if err == nil {
		_, err = gate.ExecContext(p.ctx, "BACKUP STAGE END")
	}
	if err := errors.Join(err, <-done, <-done, <-done, <-done); err != nil {
		t.Error(err)
	}
}

// TestNodeGoesOnAfterAStatementThatCannotBePrepared has one batch fail for a missing table, and then
// another one on the same connection.
func TestNodeGoesOnAfterAStatementThatCannotBePrepared(t *testing.T) {
	t.Parallel()
	b := tables.On(t, servers.StartGalera(t).Nodes[0])
	at := tables.At(b)
	at.MaxConns = 2 // one of them for batches
	s, _ := opened(t, at)
	group, err := s.Create(t.Context(), chat.NewGroup{Name: "g", Creator: 1, Members: []uint32{1, 2}}, 500)
	if err == nil {
		_, err = b.Admin.ExecContext(t.Context(), fmt.Sprintf("DROP TABLE IMGroupMessage_%d", group%8))
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Append(t.Context(), groupTexts(group, 2, "x"), counters.Embedded{})
	if chat.KindOf(err) != chat.Unavailable {
		t.Errorf("without the table: %v", err)
	}
	if _, err := s.Append(t.Context(), oneText(1, 2, "x"), counters.Embedded{}); err != nil {
		t.Errorf("what needs another table: %v", err)
	}
}
