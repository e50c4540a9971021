package checkup

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// CheckShape connects to the server that is written, and reports what of its tables is not as it
// should be, though it is there: types, keys, columns of others. It changes nothing.
// "dbproxy migrate" shows these findings, as it mends none of them.
func CheckShape(ctx context.Context, m sqldb.MySQL, opt CheckOptions) []Finding {
	c, reached := inspect(ctx, m, opt)
	defer c.close()
	if !reached {
		return c.found
	}
	c.found = nil
	c.all(ctx, question{item: "tables", ask: func(ctx context.Context) error {
		if err := c.readTables(ctx); err != nil {
			return err
		}
		return c.shape(ctx)
	}})
	return slices.DeleteFunc(c.found, func(f Finding) bool { return f.Grade == Good })
}

// onlyRead reports whether serving only reads a table, but for what people say of themselves.
func onlyRead(t tables.Table) bool { return t.Name == "IMUser" || t.Name == "IMDepart" }

// gradeOf is how bad it is that a table cannot be written.
func gradeOf(t tables.Table) Grade {
	if onlyRead(t) {
		return Doubtful
	}
	return Wrong
}

// shape checks what the tables that are there are like.
func (c *inspection) shape(ctx context.Context) error {
	s := shape{c: c, parts: make(map[partKey]*shapePart)}
	for _, t := range tables.All() {
		if there := c.seen.Tables[t.Name]; there != nil && !t.Outdated(there) {
			s.table(t, there)
		}
	}
	err := s.rulesOfOthers(ctx)
	s.report()
	return err
}

// shape gathers what is odd about tables, so that there is one finding for each kind and grade.
type shape struct {
	c     *inspection
	parts map[partKey]*shapePart
}

type partKey struct {
	item  string
	grade Grade
}

// shapePart is a finding in the making.
type shapePart struct {
	where   []string       // such as "IMUser.nick (int(11))"
	mends   []string       // statements, the clauses of each table together
	clauses map[string]int // by table, the index of its ALTER TABLE in mends
}

// oddity is a kind of what may be odd.
type oddity struct {
	item string
	text map[Grade]string // what comes of it; the list of where it is follows
}

// The oddities, in the order in which they are reported.
var (
	oddViews = oddity{"views", map[Grade]string{
		Good:  "only read, and served; \"dbproxy migrate\" passes over them",
		Wrong: "in place of tables that are written"}}
	oddNumbers = oddity{"numbers", map[Grade]string{
		Doubtful: "may be too small, or no number",
		Wrong:    "too small, or no whole number, so that writes are refused or sorted wrongly"}}
	oddIDs = oddity{"ids", map[Grade]string{
		Doubtful: "not counted by the database, or no key of its own",
		Wrong: "not counted by the database, or without their key: writes fail, or read whole " +
			"tables"}}
	oddTexts = oddity{"texts", map[Grade]string{
		Doubtful: "shorter than what clients may send, or no text: what does not fit is refused",
		Wrong:    "no text: each write fails"}}
	oddNulls = oddity{"empty values", map[Grade]string{
		Doubtful: "may be NULL, which is read as 0 or empty; a row in which one is may not be " +
			"found, or sorted last"}}
	oddColumns = oddity{"columns of others", map[Grade]string{
		Doubtful: "have no default, so that \"dbproxy user add\" and the like fail",
		Wrong:    "have no default, so that each write fails"}}
	oddUniques = oddity{"unique keys", map[Grade]string{
		Doubtful: "not the suite's; a row that they forbid is not stored"}}
	oddForeigns = oddity{"foreign keys", map[Grade]string{
		Doubtful: "not the suite's, where users need not exist; a row that they forbid is not " +
			"stored"}}
	oddTriggers = oddity{"triggers", map[Grade]string{
		Doubtful: "not the suite's; what they refuse is not stored, what they do takes time"}}
	oddities = []oddity{oddViews, oddNumbers, oddIDs, oddTexts, oddNulls, oddColumns, oddUniques,
		oddForeigns, oddTriggers}
)

// note notes where something is odd, and the clause of an ALTER TABLE that mends it. The clause is
// "" for none, and begins with "!" if it is a whole statement.
func (s *shape) note(k oddity, grade Grade, table, where, clause string) {
	key := partKey{k.item, grade}
	p := s.parts[key]
	if p == nil {
		p = &shapePart{clauses: make(map[string]int)}
		s.parts[key] = p
	}
	p.where = append(p.where, where)
	whole, isWhole := strings.CutPrefix(clause, "!")
	at, known := p.clauses[table]
	switch {
	case clause == "":
	case isWhole:
		p.mends = append(p.mends, whole)
	case known:
		p.mends[at] += ", " + clause
	default:
		p.clauses[table] = len(p.mends)
		p.mends = append(p.mends, "ALTER TABLE "+table+" "+clause)
	}
}

// report adds the findings. There is none for what is odd nowhere.
func (s *shape) report() {
	for _, k := range oddities {
		for _, grade := range []Grade{Good, Doubtful, Wrong} {
			p := s.parts[partKey{k.item, grade}]
			if p == nil {
				continue
			}
			f := Finding{Item: k.item, Grade: grade, Text: k.text[grade] + ": " + list(p.where)}
			if grade > Good {
				f.Mend = cmp.Or(strings.Join(p.mends, "; "), "look at what they do")
			}
			s.c.add(f)
		}
	}
}

// rulesOfOthers checks what forbids rows beside the tables' own definitions.
func (s *shape) rulesOfOthers(ctx context.Context) error {
	names := make(map[string]string)
	for _, name := range s.c.seen.There() {
		names[strings.ToLower(name)] = name
	}
	const triggers = "SELECT EVENT_OBJECT_TABLE,TRIGGER_NAME,ACTION_TIMING,EVENT_MANIPULATION" +
		" FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA=DATABASE()"
	const foreign = "SELECT TABLE_NAME,CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS" +
		" WHERE TABLE_SCHEMA=DATABASE() AND CONSTRAINT_TYPE='FOREIGN KEY'"
	err := sqldb.Each(ctx, s.c.db, triggers, nil, func(scan sqldb.Scanner) error {
		var table, name, timing, event string
		err := scan(&table, &name, &timing, &event)
		if own := names[strings.ToLower(table)]; own != "" {
			where := fmt.Sprintf("%s (%s %s %s)", name, timing, event, own)
			s.note(oddTriggers, Doubtful, own, where, "")
		}
		return err
	})
	if err != nil {
		return err
	}
	return sqldb.Each(ctx, s.c.db, foreign, nil, func(scan sqldb.Scanner) error {
		var table, name string
		err := scan(&table, &name)
		if own := names[strings.ToLower(table)]; own != "" {
			s.note(oddForeigns, Doubtful, own, own+" ("+name+")",
				"DROP FOREIGN KEY "+quoted(name))
		}
		return err
	})
}
