package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is every mistake of a configuration. It shows the first ten.
type Error struct {
	Path     string // of the file, as given to Load; empty without one
	Mistakes []Mistake

	warnings int // how many warnings were left out
}

// most is how many mistakes and warnings together are shown of a wrong file. That is enough for
// somebody who gave a file of another kind.
const most = 10

// Mistake is one thing that must be mended before the configuration can be used.
type Mistake struct {
	// Where is "dbproxyserver.conf:7", "DBPROXY_LISTENPORT" or "--max-frame"; or the file alone,
	// for what is missing.
	Where string
	Line  int    // of the file; 0: of none
	Text  string // what is wrong and how to mend it; secrets are never shown
}

// Warning is what is probably not meant, but does not keep anything from working.
type Warning Mistake

// String is the warning as a line of text.
func (w Warning) String() string { return w.Where + ": " + w.Text }

// Error lists the first ten mistakes, one a line: first those of the file, by line, then those of
// the command line, of the environment and what is missing.
func (e *Error) Error() string {
	where := e.origins()
	count := "has a mistake"
	switch n := len(e.Mistakes); {
	case len(where) > 1:
		count = fmt.Sprintf("have %d mistakes", n)
	case n > 1:
		count = fmt.Sprintf("has %d mistakes", n)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:", strings.Join(where, " and "), count)
	told := e.Mistakes[:min(len(e.Mistakes), most)]
	for _, m := range told {
		fmt.Fprintf(&b, "\n  %s: %s", m.Where, m.Text)
	}
	more := len(e.Mistakes) - len(told)
	switch {
	case more > 0 && e.warnings > 0:
		fmt.Fprintf(&b, "\n  ... and %d more, and %d warnings; mend these first", more, e.warnings)
	case more > 0:
		fmt.Fprintf(&b, "\n  ... and %d more; mend these first", more)
	case e.warnings > 0:
		fmt.Fprintf(&b, "\n  ... and %d more warnings; mend these first", e.warnings)
	}
	return b.String()
}

// fitting returns the first of the warnings: as many as the mistakes leave of most.
func (e *Error) fitting(warnings []Warning) []Warning {
	n := min(len(warnings), most-min(len(e.Mistakes), most))
	e.warnings = len(warnings) - n
	return warnings[:n]
}

// origins says what has the mistakes: the file, the environment, the command line.
func (e *Error) origins() (found []string) {
	for _, m := range e.Mistakes {
		of := "the environment"
		switch {
		case strings.HasPrefix(m.Where, "--"):
			of = "the command line"
		case m.Line > 0 || m.Where == e.Path:
			of = e.Path
		}
		if !slices.Contains(found, of) {
			found = append(found, of)
		}
	}
	return found
}

// byLine puts what has a line first, and leaves the order as it is otherwise.
func byLine[M Mistake | Warning](list []M) {
	slices.SortStableFunc(list, func(a, b M) int {
		l, m := Mistake(a).Line, Mistake(b).Line
		switch {
		case l == 0 || m == 0:
			return cmp.Compare(m, l) // at most one of them has a line
		default:
			return cmp.Compare(l, m)
		}
	})
}
