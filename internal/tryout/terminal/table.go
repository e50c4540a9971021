package terminal

import (
	"io"
	"slices"
	"strings"
)

// Table is rows of texts, the first being the heads of the columns. Texts are printed as Printable
// has them.
type Table [][]string

// minCut is how narrow a column is cut at most, in cells.
const minCut = 8

// Write prints the table with its columns aligned.
func (t Table) Write(w io.Writer) error {
	_, err := io.WriteString(w, strings.Join(t.printable().Lines(), "\n")+"\n")
	return err
}

// WriteWithin is Write in lines of at most limit cells: the widest texts of the columns cut are
// cut.
func (t Table) WriteWithin(w io.Writer, limit int, cut ...int) error {
	short := t.printable()
	widths := short.widthsWithin(limit, cut)
	for _, row := range short {
		for i := range row {
			row[i] = Fit(row[i], widths[i])
		}
	}
	return short.Write(w)
}

// Lines are the rows with their columns aligned. They have the texts as they are, which must not
// steer a terminal.
func (t Table) Lines() (lines []string) {
	widths := t.widths()
	for _, row := range t {
		line := ""
		for i, text := range row {
			line += Pad(text, widths[i]+2)
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// printable is a table of the same texts, as Printable has them.
func (t Table) printable() (all Table) {
	for _, row := range t {
		row = slices.Clone(row)
		for i := range row {
			row[i] = Printable(row[i])
		}
		all = append(all, row)
	}
	return all
}

// WriteFolded is Write in lines of at most limit cells: the widest texts of the columns folded go
// on in the next line.
func (t Table) WriteFolded(w io.Writer, limit int, folded ...int) error {
	whole := t.printable()
	widths := whole.widthsWithin(limit, folded)
	var lines Table
	for _, rest := range whole {
		for more := true; more; {
			line := make([]string, len(rest))
			more = false
			for i := range rest {
				line[i], rest[i] = breakAt(rest[i], widths[i])
				more = more || rest[i] != ""
			}
			lines = append(lines, line)
		}
	}
	return lines.Write(w)
}

// breakAt returns what of a text fits into limit cells, and the rest. It breaks behind a sign that
// separates, if there is one: words as those of Wrap are rare in tables.
func breakAt(text string, limit int) (first, rest string) {
	first = cells.Truncate(text, limit, "")
	if first == text {
		return text, ""
	}
	for _, signs := range []string{",; ", "/_-"} {
		if sign := strings.LastIndexAny(first, signs); sign >= 0 {
			return text[:sign+1], text[sign+1:]
		}
	}
	return first, text[len(first):]
}

// widthsWithin is how wide the columns are in lines of at most limit cells. Of those named by
// narrower, the widest are made so.
func (t Table) widthsWithin(limit int, narrower []int) []int {
	widths := t.widths()
	total := 2 * (len(widths) - 1)
	for _, n := range widths {
		total += n
	}
	for ; total > limit; total-- {
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

// widths is how wide the columns are when nothing is cut.
func (t Table) widths() (widths []int) {
	for _, row := range t {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(text))
		}
	}
	return widths
}
