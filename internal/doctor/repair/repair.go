// Package repair finds in the records what races and crashes have left behind, and mends under a talk's
// lock what can be mended without loss, while others read and write.
//
// A Scan goes through one table, some rows at a time, without locks, and tells of Faults. To mend one,
// its talk is held (see package talk), and it is looked at again under that lock: it may be gone.
// Messages that are moved get ids at the end of their talk, and the journal, IMProxyJournal, says what
// each was before. All is read from the master.
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

// Fault is one thing that is wrong. Its text names what and where, and holds no content of messages.
type Fault struct {
	Kind  finding.Kind
	Talk  chat.Talk // whose lock its repair holds; zero: of none
	User  uint32    // 0: it is about no user
	Table string    // of a message or sound
	Row   int64     // its row there
	Text  string
}

// Cursor is how far a scan has come; the zero value is its beginning.
type Cursor struct{ a, b int64 }

// Scan goes through one table, some rows at a time.
type Scan struct {
	Table string
	next  func(ctx context.Context, after Cursor) (Found, error)
}

// Next scans the next rows. It takes no locks, and one statement reads a bounded number of rows.
func (s Scan) Next(ctx context.Context, after Cursor) (Found, error) { return s.next(ctx, after) }

// Found is what a scan has found in some rows.
type Found struct {
	Faults []Fault
	Rows   int // how many were scanned
	Next   Cursor
	Done   bool    // those were the last
	Share  float64 // of the table, how much was scanned until now
}

// Examination is one examination of the records. It is for one goroutine.
type Examination struct {
	records *records.Store
	db      *sqldb.DB
	began   uint32
	seen    tables.Seen      // what there is of all tables
	tops    map[string]int64 // the last id of tables when they were first scanned
	heard   idSet            // ids of sounds that messages refer to
	sounds  int64            // the last of them at the beginning
}

// Limits of what one statement scans, and of what one transaction changes.
const (
	scanRows    = 1000
	scanGroups  = 50 // groups, with all of their members
	moveRows    = 200
	scanTimeout = 30 * time.Second
	soundGrace  = 60 // seconds after which the message of a sound must be there
)

// Examine begins an examination. The kind of the error is NotFound when tables of the suite's are
// missing, or an earlier version's.
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
			outdated[0], tables.MigrateMend)
	}
	for _, t := range tables.Old() {
		if !c.there(t.Name) {
			return nil, chat.Errorf(chat.NotFound, "there is no table %s: create what is missing with "+
				"\"dbproxy migrate\"", t.Name)
		}
	}
	query := "SELECT COALESCE(MAX(id),0) FROM IMAudio"
	err = c.query(ctx, "sounds", query, nil, func(scan sqldb.Scanner) error { return scan(&c.sounds) })
	return c, err
}

// there is whether the database has a table.
func (c *Examination) there(table string) bool { return c.seen.Tables[table] != nil }

// Scans are all scans, in the order in which they are to be made: repairs of the first make the later
// ones simpler.
func (c *Examination) Scans() []Scan {
	scans := []Scan{
		{"IMRelationShip", c.relations}, {"IMRecentSession", c.sessions},
		{"IMGroupMember", c.members}, {"IMGroup", c.userCounts},
	}
	for i := range uint32(tables.Shards) {
		for _, kind := range []chat.TalkKind{chat.Pair, chat.Group} {
			shard := tables.Shard{Kind: kind, Number: i}
			scans = append(scans, Scan{shard.Table(), c.messages(shard)})
		}
	}
	scans = append(scans, Scan{"IMAudio", c.orphans})
	if c.Ready() {
		scans = append(scans, Scan{"IMProxyTalk (pairs)", c.talks(chat.Pair)},
			Scan{"IMProxyTalk (groups)", c.talks(chat.Group)}, Scan{"IMProxyLevel", c.levels})
	}
	return scans
}

// Ready reports whether all tables of our own are there. Without them nothing can be mended.
func (c *Examination) Ready() bool {
	return !slices.ContainsFunc(tables.Own(), func(t tables.Table) bool { return !c.there(t.Name) })
}

// Mend mends faults, all of one kind, as a scan found them; each is looked at again under its talk's
// lock first. Ids for messages come from seq. It returns how many were mended, or were gone, and why
// others were left as they are. After an error, all that was done is done whole, and the same call
// goes on where it stopped.
func (c *Examination) Mend(ctx context.Context, faults []Fault, seq chat.Sequencer) (mended int, left []string, err error) {
	if !c.Ready() {
		return 0, nil, chat.Errorf(chat.NotFound, "tables of dbproxy's own are missing: create them with \"dbproxy migrate\"")
	}
	if len(faults) > 0 && (faults[0].Kind == finding.ImpossibleID || faults[0].Kind == finding.DuplicateID) {
		return c.renumber(ctx, faults, seq)
	}
	for _, f := range faults {
		why := "it cannot be mended without loss"
		switch f.Kind {
		case finding.SplitTalk:
			why, err = c.merge(ctx, f.Talk, seq)
		case finding.DuplicateSession:
			why, err = c.mendSession(ctx, f)
		case finding.StraySession:
			why, err = c.mendStraySession(ctx, f)
		case finding.DuplicateMember, finding.WrongUserCount:
			why, err = c.mendMembers(ctx, f)
		case finding.StrayTalk:
			why, err = c.mendTalk(ctx, f)
		case finding.LevelAhead:
			why, err = c.mendLevel(ctx, f)
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

// query is sqldb.Each on the master, bounded in time, with the error classified.
func (c *Examination) query(
	ctx context.Context, what, query string, args []any, row func(sqldb.Scanner) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	return c.db.Fail("looking at "+what, sqldb.Each(ctx, c.db, query, args, row))
}

// chunk returns the id up to which the next rows of a table reach; what it begins has no faults yet.
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
	found.Done = found.Rows < max
	found.Share = share(found, c.tops[table])
	return found, err
}

func share(found Found, top int64) float64 {
	if found.Done || top <= 0 {
		return 1
	}
	return min(1, float64(found.Next.a)/float64(top))
}

// holding runs work with a talk held.
func (c *Examination) holding(
	ctx context.Context, of chat.Talk, work func(w talk.Work, h talk.Held) error,
) error {
	return c.db.Change(ctx, func(tx sqldb.Tx) error {
		w := c.records.Talking(tx)
		h, err := w.Hold(ctx, of)
		if err == nil {
			err = work(w, h)
		}
		if err == nil {
			err = w.Release(ctx, h)
		}
		return err
	})
}
