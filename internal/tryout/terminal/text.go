package terminal

import (
	"fmt"
	"strings"
	"unicode"
)

// Clean makes text from elsewhere safe to print on one line, for those who read it: line breaks
// become ⏎, and what would move the cursor, colour the screen or turn the direction of writing
// becomes �.
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

// Printable makes text from elsewhere safe to print, for those who need to know exactly what it is:
// what would steer a terminal is written out, as "\n" for a line break.
func Printable(text string) string {
	steers := func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Bidi_Control) || r == unicode.ReplacementChar
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

// ShellWord quotes a word for a shell, where it needs that.
func ShellWord(word string) string {
	special := func(r rune) bool {
		letter := 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9'
		return r < 0x80 && !letter && !strings.ContainsRune("/._-+:@%,", r)
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
