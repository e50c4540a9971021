// Package checkup checks whether the servers of a configuration are fit for a proxy: whether they
// answer, have the settings and rights that a proxy needs, and agree with each other. What it finds
// is on one scale (Grade), each with what comes of it and what to do about it. It changes
// nothing but keys and rows of its own, which it removes.
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

// Finding is what was found of one thing.
type Finding struct {
	Item  string // what was checked, in a word or two: "sync_binlog"
	Grade Grade
	Text  string // what was found and, unless it is good, what comes of it; no full stop at its end
	Mend  string // what to do about it, likewise; empty when it is good
}

// Goodf reports something that is as it should be.
func Goodf(item, format string, args ...any) Finding {
	return Finding{Item: item, Grade: Good, Text: fmt.Sprintf(format, args...)}
}

// Doubt reports something doubtful.
func Doubt(item, text, mend string) Finding { return Finding{item, Doubtful, text, mend} }

// Fault reports something wrong.
func Fault(item, text, mend string) Finding { return Finding{item, Wrong, text, mend} }

// Unseen reports something that could not be checked.
func Unseen(item string, err error) Finding {
	return Finding{item, Doubtful, fmt.Sprintf("cannot be seen: %v", err), "look at it by hand"}
}

// Clock reports by how much the clock of a server is ahead of ours. That is known up to an error of
// within. Clocks that differ by more than limit for certain are doubtful.
func Clock(ahead, within, limit time.Duration) Finding {
	const (
		item = "clock"
		mend = "have both machines set their clocks by NTP"
	)
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	switch {
	case ahead-within > limit:
		return Doubt(item, fmt.Sprintf("%v ahead of ours", round(ahead)), mend)
	case ahead+within < -limit:
		return Doubt(item, fmt.Sprintf("%v behind ours", round(-ahead)), mend)
	default:
		return Goodf(item, "as ours, to within %v", round(ahead.Abs()+within)+time.Millisecond)
	}
}

// List joins names for a sentence. Of many it names only the first: "a, b, c, d and 7 more".
func List(names []string) string {
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

// Worst is the worst grade among the findings.
func Worst(subjects []Subject) (worst Grade) {
	for _, s := range subjects {
		for _, f := range s.Findings {
			worst = max(worst, f.Grade)
		}
	}
	return worst
}
