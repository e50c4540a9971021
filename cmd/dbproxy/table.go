package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// table is rows of cells, the first being the heads of the columns.
type table [][]string

// minCut is how narrow a column is cut at most, in places.
const minCut = 8

// write prints the table with its columns aligned; Chinese characters count as the two places they take.
func (t table) write(w io.Writer) error {
	out := bufio.NewWriter(w)
	widths := t.widths()
	for _, row := range t {
		var line strings.Builder
		for i, cell := range row {
			cell = printable(cell)
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-terminal.Width(cell)+2))
		}
		out.WriteString(strings.TrimRight(line.String(), " "))
		out.WriteByte('\n')
	}
	return out.Flush()
}

// writeWithin is write in lines of at most max places, for which the widest cells of the columns named by cut are cut.
func (t table) writeWithin(w io.Writer, max int, cut ...int) error {
	widths := t.widthsWithin(max, cut)
	short := make(table, len(t))
	for i, row := range t {
		short[i] = make([]string, len(row))
		for j, cell := range row {
			short[i][j] = terminal.Fit(printable(cell), widths[j])
		}
	}
	return short.write(w)
}

// writeFolded is write in lines of at most max places, for which the widest cells of the columns
// named by folded go on in the next line.
func (t table) writeFolded(w io.Writer, max int, folded ...int) error {
	widths := t.widthsWithin(max, folded)
	var lines table
	for _, row := range t {
		rest := make([]string, len(row))
		for i, cell := range row {
			rest[i] = printable(cell)
		}
		for more := true; more; {
			line := make([]string, len(row))
			more = false
			for i := range rest {
				line[i], rest[i] = breakAt(rest[i], widths[i])
				more = more || rest[i] != ""
			}
			lines = append(lines, line)
		}
	}
	return lines.write(w)
}

// breakAt returns what of a cell fits into that many places, and the rest. It breaks behind a sign
// that separates, if there is one.
func breakAt(text string, places int) (first, rest string) {
	if terminal.Width(text) <= places {
		return text, ""
	}
	end, n := 0, 0
	for i, r := range text {
		if n += terminal.Width(string(r)); n > places {
			end = i
			break
		}
	}
	for _, signs := range []string{",; ", "/_-"} {
		if sign := strings.LastIndexAny(text[:end], signs); sign >= 0 {
			return text[:sign+1], text[sign+1:]
		}
	}
	return text[:end], text[end:]
}

// widthsWithin are the widths of the columns in lines of at most max places, for which the widest of
// those that may be narrower are.
func (t table) widthsWithin(max int, narrower []int) []int {
	widths := t.widths()
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for ; total > max; total-- {
		widest := narrower[0]
		for _, i := range narrower {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= minCut {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t table) widths() (widths []int) {
	for _, row := range t {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], terminal.Width(printable(cell)))
		}
	}
	return widths
}

// printable is text as it may go to a terminal: what would steer it (control characters, changes of direction) is
// written out, as "\n" for a new line.
func printable(text string) string {
	steers := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar
	}
	if !strings.ContainsFunc(text, steers) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if steers(r) {
			b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
