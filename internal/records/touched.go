package records

import (
	"sync"

	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// touched knows which rows of the original's this process wrote in the current second with the
// messages of a talk: its sessions, and a group's time of last talk. All that is written there is
// the second. So while nobody else changes the talk, another message in it changes nothing there,
// and the rows are left alone. It is safe for concurrent use.
//
// Whoever among proxies removes a session or changes a group's members holds the talk's lock, and
// gives it another revision. An original does not. A session that it removes in the second in which
// messages come stays removed until one comes in a later second, as if the removal had been the
// last thing of that second. (A removed relation would hide the messages themselves. So relations
// are brought back to life with each batch.)
type touched struct {
	mu   sync.Mutex
	at   uint32                // guarded by mu: the second, Unix
	rows map[touchedRow]uint32 // guarded by mu: the revision of the talk that each was written with
}

// touchedRow names a row of the original's that belongs to a talk.
type touchedRow struct {
	table touchedTable
	id    uint32
}

type touchedTable uint8

const (
	sessionTable touchedTable = iota
	groupTable
)

// has reports whether a row was written at that second, and its talk, whose row t is locked, was
// not changed since.
func (m *touched) has(row touchedRow, at uint32, t *talk.Row) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	rev, ok := m.rows[row]
	return ok && m.at == at && rev == t.Rev
}

// note keeps in mind which rows were written at a second, or found written, by a transaction that
// was committed: each with the row of its talk as it was saved.
func (m *touched) note(rows map[touchedRow]*talk.Row, at uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at != at || m.rows == nil {
		m.at, m.rows = at, make(map[touchedRow]uint32)
	}
	for row, t := range rows {
		m.rows[row] = t.Rev
	}
}
