package terminal

import (
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
// word that is longer than that gets a line of its own. There is at least one line.
func Wrap(text string, limit int) (lines []string) {
	for paragraph := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
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

// Indent is the lines of Wrap, one below the other, each begun with indent, which counts in limit.
// The last one has no line break.
func Indent(text, indent string, limit int) string {
	return indent + strings.Join(Wrap(text, limit-Width(indent)), "\n"+indent)
}
