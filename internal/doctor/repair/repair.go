// Package repair finds in the records what races and crashes have left behind, and mends what can
// be mended without loss, while others read and write.
//
// # Finding
//
// An Examination has a Scan for each table. A Scan goes through its table by the primary key, a
// thousand rows at a time, takes no locks, and reports each Fault. So a fault may be gone, or may
// have changed, by the time somebody mends it. Everything is read from the master.
//
// The state of talks and devices (state.go) is read in the same way. Package doctor compares it
// with the copy in Redis.
//
// # Mending
//
// To mend a fault, its talk is held: one transaction locks the talk's row (see package talk), reads
// again what is wrong, mends that, and saves the row. Nobody else changes that talk meanwhile, and
// what is mended already is left alone. So every repair can be repeated, and one that is
// interrupted goes on where it stopped.
//
// No message is lost. A message whose id is impossible or used twice, or that is stored under
// another relation than the one in use, is appended to its talk with a new id (move.go). A row that
// another one replaces gets status 1, as if its user had removed it. The journal, IMProxyJournal,
// says what each such row was before; it is written in the same transaction.
package repair

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// Fault is one thing that is wrong. Its text says what and where, and quotes no message.
type Fault struct {
	Kind  finding.Kind
	Talk  chat.Talk // the talk that is held for the repair; zero where there is none
	User  uint32    // whom it is about; 0 for nobody
	Table string    // the table of the message, the sound or another row
	Row   int64     // the id of that row
	Text  string
}

// Cursor is how far a scan has come. The zero value is the beginning.
type Cursor struct{ a, b int64 }

// Scan goes through one table, some rows at a time.
type Scan struct {
	Table string
	// Next scans the next rows. It takes no locks, and one statement reads a bounded number of
	// rows.
	Next func(ctx context.Context, after Cursor) (Found, error)
}

// Found is what a scan has found in some rows.
type Found struct {
	Faults []Fault
	Rows   int     // how many rows were scanned
	Next   Cursor  // where the next call goes on
	Done   bool    // those were the last rows
	Share  float64 // how much of the table has been scanned by now, from 0 to 1
}

// Examination is one examination of the records. It is for one goroutine.
type Examination struct {
	records *records.Store
	db      *sqldb.DB
	began   uint32           // Unix seconds
	seen    tables.Seen      // the tables that are there, ours and the suite's
	tops    map[string]int64 // the largest key of each table when its scan began
	heard   idSet            // the ids of sounds that messages refer to
	sounds  int64            // the largest id of a sound at the beginning
}

// Limits of what one statement scans, and of what one transaction changes.
const (
	scanRows    = 1000
	scanGroups  = 50 // groups, each with all of its members
	moveRows    = 200
	scanTimeout = 30 * time.Second
	soundGrace  = 60 // seconds from when a sound is stored until its message must be there
)

// Examine begins an examination. The error has the kind NotFound when tables of the suite are
// missing, or are those of an earlier version.
func Examine(ctx context.Context, store *records.Store) (*Examination, error) {
	c := &Examination{
		records: store, db: store.DB(), began: store.Unix(), tops: make(map[string]int64),
	}
	var err error
	if c.seen, err = tables.Inspect(ctx, c.db.Pool); err != nil {
		return nil, err
	}
	if err := c.seen.Named(); err != nil {
		return nil, err
	}
	if outdated := c.seen.Outdated(); len(outdated) > 0 {
		return nil, chat.Errorf(chat.NotFound, "the table %s is an earlier version's: %s",
			outdated[0], c.db.Advise(tables.MigrateMend))
	}
	if err := c.seen.Suite(c.db.Pool); err != nil {
		return nil, err
	}
	c.sounds, err = c.number(ctx, "sounds", "SELECT COALESCE(MAX(id),0) FROM IMAudio")
	return c, err
}

// there reports whether the database has a table.
func (c *Examination) there(table string) bool { return c.seen.Tables[table] != nil }

// Scans returns all scans in the order in which they are to be made: what the first ones have
// mended makes the later ones simpler.
func (c *Examination) Scans() []Scan {
	scans := []Scan{
		c.byID("IMRelationShip", scanRows, c.relations),
		c.byID("IMRecentSession", scanRows, c.sessions),
		c.byID("IMGroupMember", scanRows, c.members),
		c.byID("IMGroup", scanGroups, c.userCounts),
	}
	for i := range uint32(tables.Shards) {
		for _, kind := range []chat.TalkKind{chat.Pair, chat.Group} {
			shard := tables.Shard{Kind: kind, Number: i}
			scans = append(scans, c.byID(shard.Table(), scanRows, c.messages(shard)))
		}
	}
	scans = append(scans, c.byID("IMAudio", scanRows, c.orphans))
	if c.Ready() {
		scans = append(scans, c.talks(chat.Pair), c.talks(chat.Group), c.levels())
	}
	return scans
}

// byID returns the scan of a table by its ids, at most max rows at a time. find finds what is wrong
// with the rows whose ids are above after, and not above upTo.
func (c *Examination) byID(
	table string, max int, find func(ctx context.Context, after, upTo int64) ([]Fault, error),
) Scan {
	return Scan{table, func(ctx context.Context, after Cursor) (Found, error) {
		found, err := c.chunk(ctx, table, after, max)
		if err == nil && found.Rows > 0 {
			found.Faults, err = find(ctx, after.a, found.Next.a)
		}
		return found, err
	}}
}

// Ready reports whether all tables of our own are there. Without them nothing can be mended.
func (c *Examination) Ready() bool {
	return !slices.ContainsFunc(tables.Own(), func(t tables.Table) bool { return !c.there(t.Name) })
}

// repair mends one fault in a transaction that holds its talk. why says what kept it from that.
type repair func(c *Examination, ctx context.Context, h held, f Fault) (why string, err error)

// held is a talk that is held, and the transaction that holds it.
type held struct {
	tx talk.Work
	talk.Held
}

// repairs are those of one transaction each. Split talks and wrong ids take several: see merge and
// renumber. Other kinds cannot be mended without loss.
var repairs = map[finding.Kind]repair{
	finding.DuplicateSession: (*Examination).mendSession,
	finding.StraySession:     (*Examination).mendStraySession,
	finding.DuplicateMember:  (*Examination).mendMembers,
	finding.WrongUserCount:   (*Examination).mendMembers,
	finding.StrayTalk:        (*Examination).mendTalk,
	finding.LevelAhead:       (*Examination).mendLevel,
}

// Mend mends faults, all of one kind, as a scan found them. Each is read again first, with its talk
// held. Ids for messages come from seq. Mend returns how many faults were mended or had gone, and
// why others were left as they are. When it returns an error, each repair before that is complete,
// and the same call goes on where this one stopped.
func (c *Examination) Mend(
	ctx context.Context, faults []Fault, seq chat.Sequencer,
) (mended int, left []string, err error) {
	if !c.Ready() {
		return 0, nil, chat.Errorf(chat.NotFound, "tables of dbproxy's own are missing: create "+
			"them with \"dbproxy migrate\"")
	}
	if len(faults) == 0 {
		return 0, nil, nil
	}
	kind := faults[0].Kind
	if kind == finding.ImpossibleID || kind == finding.DuplicateID {
		return c.renumber(ctx, faults, seq)
	}
	for _, f := range faults {
		why := "it cannot be mended without loss"
		if kind == finding.SplitTalk {
			why, err = c.merge(ctx, f.Talk, seq)
		} else if mend := repairs[kind]; mend != nil {
			err = c.holding(ctx, f.Talk, func(h held) (err error) {
				why, err = mend(c, ctx, h, f)
				return err
			})
		}
		switch {
		case err != nil:
			return mended, left, fmt.Errorf("%s: %w", f.Text, err)
		case why != "":
			left = append(left, f.Text+": "+why)
		default:
			mended++
		}
	}
	return mended, left, nil
}

// by has the engine read a table by one of its keys, if the table has it: see
// sqldb.Dialect.ForceIndex. It comes after the table's name in a query.
func (c *Examination) by(table, key string) string {
	if there := c.seen.Tables[table]; there == nil || !there.HasKey(key) {
		return ""
	}
	return c.db.ForceIndex(tables.KeyName(key))
}

// query is sqldb.Each on the master, bounded in time. The error is classified, and says what was
// looked at.
func (c *Examination) query(
	ctx context.Context, what, query string, args []any, row func(sqldb.Scanner) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	return c.db.Fail("looking at "+what, sqldb.Each(ctx, c.db, query, args, row))
}

// number is query for one number.
func (c *Examination) number(
	ctx context.Context, what, query string, args ...any,
) (n int64, err error) {
	err = c.query(ctx, what, query, args, func(scan sqldb.Scanner) error { return scan(&n) })
	return n, err
}

// among returns which of some ids a query finds. Their list takes the place of its %s.
func (c *Examination) among(
	ctx context.Context, what, query string, ids []uint32,
) (map[uint32]bool, error) {
	var found []uint32
	err := sqldb.Chunked(ids, func(ids []uint32) error {
		query := sqldb.WithParams(query, len(ids))
		return c.query(ctx, what, query, sqldb.Args(ids), onto(&found))
	})
	set := make(map[uint32]bool, len(found))
	for _, id := range found {
		set[id] = true
	}
	return set, err
}

// column returns what a query answers in its only column, as a list.
func column[T any](
	ctx context.Context, q sqldb.Querier, query string, args ...any,
) (all []T, err error) {
	err = sqldb.Each(ctx, q, query, args, onto(&all))
	return all, err
}

// onto returns a function that appends the only column of each row to a list.
func onto[T any](list *[]T) func(sqldb.Scanner) error {
	return sqldb.Onto(list, func(v *T) []any { return []any{v} })
}

// chunk returns how far the next max rows of a table reach, without any faults yet.
func (c *Examination) chunk(
	ctx context.Context, table string, after Cursor, max int,
) (found Found, err error) {
	if err := c.top(ctx, table, "SELECT COALESCE(MAX(id),0) FROM "+table); err != nil {
		return Found{}, err
	}
	query := "SELECT COALESCE(MAX(id),0),COUNT(*) FROM (SELECT id FROM " + table +
		" WHERE id>? ORDER BY id LIMIT ?) x"
	err = c.query(ctx, table, query, []any{after.a, max}, func(scan sqldb.Scanner) error {
		return scan(&found.Next.a, &found.Rows)
	})
	return c.measured(found, table, max), err
}

// top notes the largest key of a table when its scan begins.
func (c *Examination) top(ctx context.Context, what, query string, args ...any) (err error) {
	if _, known := c.tops[what]; !known {
		c.tops[what], err = c.number(ctx, what, query, args...)
	}
	return err
}

// measured returns what was found with Done and Share, where max rows were asked for.
func (c *Examination) measured(found Found, what string, max int) Found {
	top := c.tops[what]
	found.Done, found.Share = found.Rows < max, 1
	if !found.Done && top > 0 {
		found.Share = min(1, float64(found.Next.a)/float64(top))
	}
	return found
}

// holding runs work in a transaction that holds a talk. The database may undo the transaction; then
// work runs again.
func (c *Examination) holding(ctx context.Context, of chat.Talk, work func(h held) error) error {
	return c.db.Change(ctx, func(tx sqldb.Tx) error {
		w := c.records.Talking(tx)
		h, err := w.Hold(ctx, of)
		if err == nil {
			err = work(held{w, h})
		}
		if err == nil {
			err = w.Release(ctx, h)
		}
		return err
	})
}
