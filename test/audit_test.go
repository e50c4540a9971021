package test

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// talk names a conversation in these tests: two users, the smaller first, or a group.
type talk struct {
	group     uint32
	low, high uint32
}

func pairTalk(u, v uint32) talk { return talk{low: min(u, v), high: max(u, v)} }

func groupTalk(g uint32) talk { return talk{group: g} }

func (t talk) String() string {
	if t.group != 0 {
		return fmt.Sprintf("group %d", t.group)
	}
	return fmt.Sprintf("pair %d-%d", t.low, t.high)
}

// row is a stored message.
type row struct {
	id      uint32 // within its talk
	from    uint32
	content string
}

// readRows reads all stored messages, each talk's in the order of paging: by created, then by the tables' own ids. What is
// in the wrong one of the eight tables, or belongs to no relation, fails the test.
func readRows(t *testing.T, db *sql.DB) map[talk][]row {
	t.Helper()
	rows := make(map[talk][]row)
	read := func(query string, table int) {
		result, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer result.Close()
		for result.Next() {
			var k talk
			var m row
			var owner int
			if err := result.Scan(&owner, &k.group, &k.low, &k.high, &m.id, &m.from, &m.content); err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			if owner%8 != table {
				t.Errorf("a message of %v, relation or group %d, is in table %d", k, owner, table)
			}
			rows[k] = append(rows[k], m)
		}
		if err := result.Err(); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	for i := range 8 {
		read(fmt.Sprintf(`SELECT m.relateId, 0, coalesce(r.smallId, 0), coalesce(r.bigId, 0), m.msgId, m.fromId, m.content
			FROM IMMessage_%d m LEFT JOIN IMRelationShip r ON r.id = m.relateId ORDER BY m.created, m.id`, i), i)
		read(fmt.Sprintf(`SELECT groupId, groupId, 0, 0, msgId, userId, content FROM IMGroupMessage_%d
			ORDER BY created, id`, i), i)
	}
	if list := rows[talk{}]; len(list) > 0 {
		t.Errorf("%d messages belong to no relation", len(list))
	}
	return rows
}

// ledger notes what was answered. Its methods are safe for concurrent use.
type ledger struct {
	gaps  bool // ids may have been left out: a proxy was killed that had reserved them
	mixed bool // original servers wrote as well, who do not see to it that times go with ids

	mu    sync.Mutex
	rows  map[talk]map[uint32]row // by message id
	top   map[talk]uint32         // the largest id
	wrong []string
}

func newLedger() *ledger {
	return &ledger{rows: make(map[talk]map[uint32]row), top: make(map[talk]uint32)}
}

// answered notes an answered message.
func (l *ledger) answered(k talk, m *impb.IMMsgData) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := m.GetMsgId()
	if id == 0 {
		l.wrong = append(l.wrong, fmt.Sprintf("%v: %q was not stored", k, m.GetMsgData()))
		return
	}
	if l.rows[k] == nil {
		l.rows[k] = make(map[uint32]row)
	}
	if before, ok := l.rows[k][id]; ok {
		l.wrong = append(l.wrong, fmt.Sprintf("%v: id %d was given to %q and to %q", k, id, before.content, m.GetMsgData()))
	}
	l.top[k] = max(l.top[k], id)
	l.rows[k][id] = row{id: id, from: m.GetFromUserId(), content: string(m.GetMsgData())}
}

// fault notes something that audit is to report.
func (l *ledger) fault(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, what)
}

// highest is the largest id answered in a talk so far.
func (l *ledger) highest(k talk) (id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.top[k]
}

// acknowledged is how many messages were answered with an id.
func (l *ledger) acknowledged() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, messages := range l.rows {
		n += len(messages)
	}
	return n
}

// audit compares what was answered with what is stored: every message answered with an id is there, as it was sent;
// each talk's ids are 1 to n without a gap, in the order of paging; and no text is there twice (each was sent once).
func (l *ledger) audit(t *testing.T, stored map[talk][]row) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wrong {
		t.Error(w)
	}
	texts := make(map[string]talk)
	for k, list := range stored {
		if l.mixed {
			list = slices.SortedFunc(slices.Values(list), func(a, b row) int { return cmp.Compare(a.id, b.id) })
		}
		before := uint32(0)
		for i, m := range list {
			if m.id <= before || m.id != before+1 && !l.gaps {
				t.Errorf("%v: message %d in order has id %d, the one before it %d", k, i+1, m.id, before)
				break
			}
			before = m.id
		}
		for _, m := range list {
			if other, twice := texts[m.content]; twice {
				t.Errorf("%q is stored in %v and again in %v with id %d", m.content, other, k, m.id)
			}
			texts[m.content] = k
		}
	}
	for k, messages := range l.rows {
		byID := make(map[uint32]row, len(stored[k]))
		for _, m := range stored[k] {
			byID[m.id] = m
		}
		for id, m := range messages {
			if got := byID[id]; got != m {
				t.Errorf("%v: %v was answered, %v is stored", k, m, got)
			}
		}
	}
}
