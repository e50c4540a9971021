// Package checkup checks whether the servers of a configuration are fit for a proxy: whether they
// answer, have the settings and rights that a proxy needs, and agree with each other. It changes
// nothing, and what it writes to try that out is gone when it returns, or a second later.
//
// # What a check says
//
// A Finding is about one item of one server: what was found, on a scale of three grades, and unless
// it is good what comes of it and what to do about it. Advice names keys of the configuration and
// statements that can be copied. The findings on one server are a Subject.
//
//   - Wrong: it does not work. BeforeStart returns an error, unless it is the replica.
//   - Doubtful: it works, but may lose, slow down or hide something. BeforeStart logs it.
//   - Good: as it should be, or of no concern.
//
// # How a server is checked
//
// All checks all servers side by side: MySQL's master and its replica, the instances of Redis, and
// msfs. Each check connects first. When that fails there is one finding, "reachable", and no other.
// Why a server cannot be reached is explained by package advice, one table for all protocols; here
// stands only what a server itself says. After that each question is asked with a time limit, and
// one that has no answer becomes a doubtful finding, so that one broken item hides no other.
//
// Rights are tried, not read. A check sends statements and commands that change nothing, and the
// server says whether the user may. So nobody has to understand grants, roles and patterns.
//
// # Files
//
// servers.go has what is about all servers. Files of the names mysql_* check MySQL: settings
// (mysql.go), clusters, tables, the shape of tables and of their columns, replication. Files of the
// names redis_* check Redis. To add a check, add a function that adds findings, and call it from
// CheckMaster, CheckReplica or redisCheck.run.
package checkup

import (
	"fmt"
	"strings"
	"time"
)

// Grade says how good what was found is. The worse, the larger.
type Grade uint8

// The grades.
const (
	Good     Grade = iota // as it should be, or of no concern
	Doubtful              // it works, but may lose, slow down or hide something
	Wrong                 // it does not work
)

var grades = [...]string{Good: "good", Doubtful: "doubtful", Wrong: "wrong"}

// String is the grade in a word.
func (g Grade) String() string {
	if int(g) < len(grades) {
		return grades[g]
	}
	return fmt.Sprintf("grade %d", uint8(g))
}

// MarshalText is String, for JSON.
func (g Grade) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// Finding is what was found of one item. Its texts have no full stop at their ends.
type Finding struct {
	Item  string // what was checked, in a word or two: "sync_binlog"
	Grade Grade
	Text  string // what was found and, unless it is good, what comes of it
	Mend  string // what to do about it; empty when it is good
}

// Goodf reports something that is as it should be, in a text made as by fmt.Sprintf.
func Goodf(item, format string, args ...any) Finding {
	return Finding{Item: item, Grade: Good, Text: fmt.Sprintf(format, args...)}
}

// Doubt reports something doubtful, and what to do about it.
func Doubt(item, text, mend string) Finding { return Finding{item, Doubtful, text, mend} }

// Fault reports something wrong, and what to do about it.
func Fault(item, text, mend string) Finding { return Finding{item, Wrong, text, mend} }

// unseen reports something that could not be checked.
func unseen(item string, err error) Finding {
	return Finding{item, Doubtful, fmt.Sprintf("cannot be seen: %v", err), "look at it by hand"}
}

// clock compares the clock of a server with ours. ask asks the server for its time. What comes of
// that is known to within half of how long the answer takes.
func clock(now func() time.Time, ask func() (time.Time, error)) (Finding, error) {
	const (
		item  = "clock"
		mend  = "have both machines set their clocks by NTP"
		limit = 2 * time.Second
	)
	begun := now()
	theirs, err := ask()
	if err != nil {
		return Finding{}, err
	}
	within := now().Sub(begun) / 2
	ahead := theirs.Sub(begun.Add(within))
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	switch {
	case ahead-within > limit:
		return Doubt(item, fmt.Sprintf("%v ahead of ours", round(ahead)), mend), nil
	case ahead+within < -limit:
		return Doubt(item, fmt.Sprintf("%v behind ours", round(-ahead)), mend), nil
	default:
		off := round(ahead.Abs()+within) + time.Millisecond
		return Goodf(item, "as ours, to within %v", off), nil
	}
}

// list joins names for a sentence. Of many it names only the first: "a, b, c, d and 7 more".
func list(names []string) string {
	const most = 4
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Subject is one thing that was checked: a server, or the configuration itself.
type Subject struct {
	Name     string // "MySQL master"
	Where    string // "teamtalk at 127.0.0.1:3306"
	Findings []Finding
}
