package terminal

import (
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
)

// cells measures text. Of characters that Unicode calls ambiguous, such as … and →, it says one
// cell whatever the locale is, as nearly all terminals show them so.
var cells = runewidth.Condition{StrictEmojiNeutral: true}

// Width is how many cells text takes on a terminal: two for a Chinese character or an emoji, also
// one that is joined of several, and none for what combines with the character before it.
func Width(text string) int { return cells.StringWidth(text) }

// Fit cuts text so that it takes at most limit cells, the last being … where something was cut.
func Fit(text string, limit int) string { return cells.Truncate(text, limit, "…") }

// Pad fills text with spaces up to width cells.
func Pad(text string, width int) string { return cells.FillRight(text, width) }

// Wrap breaks text between words into lines of at most limit cells. Line breaks that it has stay. A
// word that is longer than that gets a line of its own. There is at least one line. A command of
// ours in quotes, "dbproxy user list", is one word, so that people can copy it.
func Wrap(text string, limit int) (lines []string) {
	for paragraph := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		line := ""
		for _, word := range words(paragraph) {
			switch {
			case line == "":
				line = word
			case Width(line)+1+Width(word) > limit:
				lines, line = append(lines, line), word
			default:
				line += " " + word
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// words are the words of a line, as Wrap takes them.
func words(line string) (list []string) {
	fields := strings.Fields(line)
	for len(fields) > 0 {
		n := 1
		if strings.HasSuffix(fields[0], `"dbproxy`) {
			end := slices.IndexFunc(fields[1:], func(f string) bool {
				return strings.Contains(f, `"`)
			})
			n += end + 1 // 1 where the quote does not end
		}
		list, fields = append(list, strings.Join(fields[:n], " ")), fields[n:]
	}
	return list
}

// Indent is the lines of Wrap, one below the other, each begun with indent, which counts in limit.
// The last one has no line break.
func Indent(text, indent string, limit int) string {
	return indent + strings.Join(Wrap(text, limit-Width(indent)), "\n"+indent)
}
