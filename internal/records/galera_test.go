package records_test

import (
	"context"
	"database/sql"
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
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
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
		examination, err := repair.Examine(ctx, s)
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

// storeAll is store; a message that is refused is an error.
func storeAll(ctx context.Context, s *records.Store, b chat.Batch) error {
	receipt, err := s.Append(ctx, b, counters.Embedded{})
	for _, m := range receipt.Stored {
		err = errors.Join(err, m.Err)
	}
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

	// waits is how often the second store waited for the cluster, asked how often it looked for
	// groups.
	waits, asked atomic.Int32

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
	db := testdb.On(t, g.Nodes[0])
	g.Nodes[1].New(t) // what is made there comes after db, so that the node has db, too
	other := db.On(t, g.Nodes[1])
	var err error
	opt := records.Options{Log: log}
	opt.Note = p.note
	p.stores[0], err = records.OpenMySQL(testdb.At(db), nil, opt)
	closing(t, p.stores[0], err)
	opt.Log = discard
	at := testdb.At(other)
	at.StatementTimeout = 30 * time.Second // the machine may be busy
	opt.Note = p.count
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
func (p *nodes) note(query string, _ []any) {
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

// count counts what the second store does.
func (p *nodes) count(query string, _ []any) {
	switch {
	case strings.Contains(query, "FROM IMProxyMark"):
		p.waits.Add(1)
	case strings.Contains(query, "FROM IMGroup g"):
		p.asked.Add(1)
	}
}

// reach waits until something was counted so often.
func (p *nodes) reach(count *atomic.Int32, n int32) {
	p.Helper()
	for ; count.Load() < n; time.Sleep(time.Millisecond) {
		if p.ctx.Err() != nil {
			p.Fatalf("it came to %d, not to %d", count.Load(), n)
		}
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
	page, err := testdb.Page(p.ctx, p.stores[0], chat.GroupTalk(p.group),
		chat.PageQuery{Count: 100})
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

// gate holds back what a node gets from the others.
type gate struct {
	*nodes
	conn *sql.Conn
}

func newGate(p *nodes, g *servers.Galera) gate {
	p.Helper()
	conn, err := g.Nodes[1].Admin(p.T).Conn(p.ctx)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { conn.Close() })
	gate := gate{p, conn}
	gate.exec("SET SESSION wsrep_sync_wait=0")
	return gate
}

func (g gate) close() { g.exec("BACKUP STAGE START; BACKUP STAGE BLOCK_COMMIT") }
func (g gate) open()  { g.exec("BACKUP STAGE END") }

func (g gate) exec(text string) {
	g.Helper()
	if _, err := g.conn.ExecContext(g.ctx, text); err != nil {
		g.Fatal(err)
	}
}

// fresh makes a group of users 1 and 2 at the first node.
func (p *nodes) fresh() uint32 {
	p.Helper()
	group, err := p.stores[0].Create(p.ctx,
		chat.NewGroup{Name: "new", Creator: 1, Members: []uint32{1, 2}}, 600)
	if err != nil {
		p.Fatal(err)
	}
	return group
}

// TestNodeCatchesUp has a node not apply anything for a while. What relies on what was acknowledged
// at the other node meanwhile is not refused: it waits until the node has it.
func TestNodeCatchesUp(t *testing.T) {
	t.Parallel()
	g := servers.StartGalera(t)
	p := newNodes(t, g)
	gate, s := newGate(p, g), p.stores[1]
	for name, run := range map[string]func(group uint32) error{
		"a message": func(group uint32) error {
			return storeAll(p.ctx, s, groupTexts(group, 2, "at once"))
		},
		"a mute": func(group uint32) error { return s.SetMute(p.ctx, group, 2, 1) },
		"before members are changed": func(group uint32) error {
			_, err := s.Find(p.ctx, group)
			return err
		},
		"mutes": func(group uint32) error {
			_, err := s.Mutes(p.ctx, group, []uint32{1})
			return err
		},
	} {
		gate.close()
		group, waits := p.fresh(), p.waits.Load()
		done := make(chan error, 1)
		go func() { done <- run(group) }()
		p.reach(&p.waits, waits+1)
		gate.open()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkWrongMessages(p, gate)
}

// checkWrongMessages sends many messages to a group that does not exist, and one to a group that
// was just made at the other node. They wait for the cluster together.
func checkWrongMessages(p *nodes, gate gate) {
	const many = 40
	gate.close()
	p.fresh() // something to wait for
	waits, asked := p.waits.Load(), p.asked.Load()
	wrong := make(chan error, many)
	for range many {
		go func() { wrong <- storeAll(p.ctx, p.stores[1], groupTexts(999_999, 2, "to nobody")) }()
	}
	p.reach(&p.asked, asked+many)
	right, group := make(chan error, 1), p.fresh()
	go func() { right <- storeAll(p.ctx, p.stores[1], groupTexts(group, 2, "to somebody")) }()
	p.reach(&p.asked, asked+many+1)
	gate.open()
	for range many {
		if err := <-wrong; chat.KindOf(err) != chat.NotAllowed {
			p.Errorf("a message to no group: %v", err)
		}
	}
	if err := <-right; err != nil {
		p.Errorf("a message to a group that was just made: %v", err)
	}
	// The first one waits, and then all together; but some may have been on their way to that.
	if n := p.waits.Load() - waits; n < 2 || n > many/4 {
		p.Errorf("%d messages to no group cost %d waits", many, n)
	}
}

// TestNodeGoesOnAfterAStatementThatCannotBePrepared has one batch fail for a missing table, and
// then another one on the same connection.
func TestNodeGoesOnAfterAStatementThatCannotBePrepared(t *testing.T) {
	t.Parallel()
	b := testdb.On(t, servers.StartGalera(t).Nodes[0])
	at := testdb.At(b)
	at.MaxConns = 2 // one of them for batches
	s, _ := opened(t, at)
	group, err := s.Create(t.Context(),
		chat.NewGroup{Name: "g", Creator: 1, Members: []uint32{1, 2}}, 500)
	if err == nil {
		_, err = b.Admin.ExecContext(t.Context(),
			fmt.Sprintf("DROP TABLE IMGroupMessage_%d", group%8))
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
