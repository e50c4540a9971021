package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/teamtalk-go/dbproxy/internal/terminal"
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
	widths := t.widths()
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for ; total > max; total-- {
		widest := cut[0]
		for _, i := range cut {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= minCut {
			break
		}
		widths[widest]--
	}
	short := make(table, len(t))
	for i, row := range t {
		short[i] = make([]string, len(row))
		for j, cell := range row {
			short[i][j] = terminal.Fit(printable(cell), widths[j])
		}
	}
	return short.write(w)
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
