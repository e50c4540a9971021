package terminal

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Width is how many places text takes on a terminal: two for a Chinese character, none for what combines.
func Width(text string) (n int) {
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Fit cuts text so that it takes at most places, the last being … where something was cut.
func Fit(text string, places int) string {
	if Width(text) <= places {
		return text
	}
	n := 0
	for i, r := range text {
		if n += runeWidth(r); n > places-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// Pad fills text with spaces to places.
func Pad(text string, places int) string {
	return text + strings.Repeat(" ", max(0, places-Width(text)))
}

// Clean makes text from elsewhere safe to print on one line: line breaks become ⏎, and what would move the cursor,
// colour the screen or turn the direction of writing becomes �.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '⏎'
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return '\ufffd'
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\r\n", "\n"))
}
