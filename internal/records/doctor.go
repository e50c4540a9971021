package records

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
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

// Cursor is how far a survey has come; the zero value is its beginning.
type Cursor struct{ a, b int64 }

// Survey goes through one table, some rows at a time.
type Survey struct {
	Table string
	look  func(ctx context.Context, after Cursor) (Look, error)
}

// Look is what a survey has found in some rows.
type Look struct {
	Faults []Fault
	Rows   int // how many were looked at
	Next   Cursor
	Done   bool    // that were the last
	Share  float64 // of the table, how much has been looked at
}

// Look looks at the next rows. It takes no locks, and one statement reads a bounded number of rows.
func (v Survey) Look(ctx context.Context, after Cursor) (Look, error) { return v.look(ctx, after) }

// Examination looks through the records for what races and crashes have left behind, and mends what can be mended without
// loss, while others read and write. All is read from the master. An Examination is for one goroutine.
type Examination struct {
	s      *Store
	began  uint32
	tables map[string]map[string]bool // the columns of those tables that are there
	keys   map[string]*seenTable      // and their keys
	tops   map[string]int64           // the last id of tables when they were first looked at
	heard  idSet                      // ids of sounds that messages refer to
	sounds int64                      // the last of them at the beginning
}

// Limits of what one statement looks at, and of what one transaction changes.
const (
	lookRows    = 1000
	lookGroups  = 50 // groups, with all of their members
	moveRows    = 200
	lookTimeout = 30 * time.Second
	soundGrace  = 60 // seconds after which the message of a sound must be there
)

// Examine begins an examination.
func (s *Store) Examine(ctx context.Context) (*Examination, error) {
	c := &Examination{s: s, began: s.unix(), tables: make(map[string]map[string]bool), keys: make(map[string]*seenTable),
		tops: make(map[string]int64)}
	seen, err := s.dialect.inspect(ctx, s.read)
	if err != nil {
		return nil, s.failed("looking at the tables", err)
	}
	if err := seen.named(); err != nil {
		return nil, err
	}
	for _, t := range schema() {
		switch there := seen.tables[t.name]; {
		case t.outdated(there):
			return nil, chat.Errorf(chat.NotFound, "the table %s is an earlier version's: %s", t.name, migrateMend)
		case there != nil:
			c.tables[t.name], c.keys[t.name] = there.names(), there
		}
	}
	for _, t := range oldTables() {
		if c.tables[t.name] == nil {
			return nil, chat.Errorf(chat.NotFound, "there is no table %s: create what is missing with \"dbproxy migrate\"", t.name)
		}
	}
	err = c.query(ctx, "sounds", "SELECT COALESCE(MAX(id),0) FROM IMAudio", nil, func(scan scanner) error { return scan(&c.sounds) })
	return c, err
}

// Surveys are all surveys, in the order in which they are to be made: repairs of the first make the later ones simpler.
func (c *Examination) Surveys() []Survey {
	surveys := []Survey{
		{"IMRelationShip", c.relations}, {"IMRecentSession", c.sessions}, {"IMGroupMember", c.members}, {"IMGroup", c.userCounts},
	}
	for i := range uint32(shards) {
		surveys = append(surveys, Survey{pairTable(i), c.messages(chat.Pair, i)}, Survey{groupTable(i), c.messages(chat.Group, i)})
	}
	surveys = append(surveys, Survey{"IMAudio", c.orphans})
	if c.Ready() {
		surveys = append(surveys, Survey{"IMProxyTalk (pairs)", c.talks(chat.Pair)}, Survey{"IMProxyTalk (groups)", c.talks(chat.Group)},
			Survey{"IMProxyLevel", c.levels})
	}
	return surveys
}

// Ready reports whether all tables of our own are there. Without them nothing can be mended.
func (c *Examination) Ready() bool {
	return !slices.ContainsFunc(ownTables(), func(t table) bool { return c.tables[t.name] == nil })
}

// Mend mends faults, all of one kind, as a survey found them; each is looked at again under its talk's lock first. Ids for
// messages come from seq. It returns how many were mended, or were gone, and why others were left as they are. After an
// error, all that was done is done whole, and the same call goes on where it stopped.
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

// by has a server that guesses which key is the best one take this one, if the table has it: statistics that lag behind a
// growing table mislead it, and then a look takes minutes. It comes after a table's name in a query.
func (c *Examination) by(table, key string) string {
	if !c.s.dialect.shared() || c.keys[table] == nil || !c.keys[table].hasKey(key) {
		return ""
	}
	return " FORCE INDEX (" + keyName(key) + ")"
}

// query is each on the master, bounded in time, with the error classified.
func (c *Examination) query(ctx context.Context, what, query string, args []any, row func(scanner) error) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return c.s.failed("looking at "+what, each(ctx, c.s.read, query, args, row))
}

// chunk returns the id up to which the next rows of a table reach; the look it begins has no faults yet.
func (c *Examination) chunk(ctx context.Context, table string, after Cursor, max int) (look Look, err error) {
	if _, known := c.tops[table]; !known {
		var top int64
		if err := c.query(ctx, table, "SELECT COALESCE(MAX(id),0) FROM "+table, nil, func(scan scanner) error { return scan(&top) }); err != nil {
			return Look{}, err
		}
		c.tops[table] = top
	}
	query := "SELECT COALESCE(MAX(id),0),COUNT(*) FROM (SELECT id FROM " + table + " WHERE id>? ORDER BY id LIMIT ?) x"
	err = c.query(ctx, table, query, []any{after.a, max}, func(scan scanner) error { return scan(&look.Next.a, &look.Rows) })
	look.Done = look.Rows < max
	look.Share = share(look, c.tops[table])
	return look, err
}

func share(look Look, top int64) float64 {
	if look.Done || top <= 0 {
		return 1
	}
	return min(1, float64(look.Next.a)/float64(top))
}

// held is a talk under its lock.
type held struct {
	*talkRow
	talk chat.Talk
	ours bool // it has a row; else its talkRow only says what the original's tables do
}

// hold locks a talk until the end of the transaction. A talk that has no row gets none: to adopt it is for those who send.
func (c *Examination) hold(ctx context.Context, tx *sql.Tx, talk chat.Talk) (h held, err error) {
	w := c.s.talking(tx)
	t, err := w.lockFirst(ctx, talk)
	if err != nil {
		return held{}, err
	}
	h = held{talkRow: t, talk: talk}
	if h.talkRow == nil {
		h.talkRow = new(talkRow)
	}
	if h.ours = h.rev > 0; !h.ours && talk.Kind == chat.Pair {
		found, err := findRelations(ctx, tx, w.d, "", []chat.Talk{talk})
		if err != nil {
			return held{}, err
		}
		h.relation = found[talk]
	}
	h.checked = true
	return h, w.lastStored(ctx, []chat.Talk{talk}, map[chat.Talk]*talkRow{talk: h.talkRow})
}

// owner is the id under which a talk's messages are stored: its relation's, or the group's.
func (h held) owner() uint32 { return ownerOf(h.talk, h.talkRow).id }

// letGo saves a held talk, or takes back the row by which it was locked. The lock stays until the end of the transaction.
func (c *Examination) letGo(ctx context.Context, tx *sql.Tx, h held) error {
	if h.ours {
		return c.s.talking(tx).save(ctx, []chat.Talk{h.talk}, map[chat.Talk]*talkRow{h.talk: h.talkRow})
	}
	_, err := exec(ctx, tx, "DELETE FROM IMProxyTalk WHERE kind=? AND a=? AND b=? AND rev=0", uint32(h.talk.Kind), h.talk.A, h.talk.B)
	return err
}

// holding runs work with a talk held.
func (c *Examination) holding(ctx context.Context, talk chat.Talk, work func(tx *sql.Tx, h held) error) error {
	return c.s.change(ctx, func(tx *sql.Tx) error {
		h, err := c.hold(ctx, tx, talk)
		if err == nil {
			err = work(tx, h)
		}
		if err == nil {
			err = c.letGo(ctx, tx, h)
		}
		return err
	})
}
