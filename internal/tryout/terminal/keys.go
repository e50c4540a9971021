package terminal

import (
	"bufio"
	"strings"
	"unicode"
)

// Keys that mean something, as terminals send them. The key Delete sends a sequence, for which
// deletion stands.
const (
	ctrlA, ctrlB, ctrlC, ctrlD, ctrlE, ctrlF     = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
	backspace, ctrlK, enter, ctrlN, ctrlP, ctrlU = 0x08, 0x0b, '\r', 0x0e, 0x10, 0x15
	ctrlW, escape, rubout                        = 0x17, 0x1b, 0x7f
	deletion                                     = -1
)

// What a terminal is told so that it remembers where its cursor is, and moves it there again.
const saveCursor, restoreCursor = "\x1b7", "\x1b8"

// sequences is what cursor keys send after an escape, which differs by terminal and mode, with the
// key that does the same.
var sequences = map[string]rune{
	"[A": ctrlP, "OA": ctrlP, // up
	"[B": ctrlN, "OB": ctrlN, // down
	"[C": ctrlF, "OC": ctrlF, // right
	"[D": ctrlB, "OD": ctrlB, // left
	"[H": ctrlA, "OH": ctrlA, "[1~": ctrlA, "[7~": ctrlA, // home
	"[F": ctrlE, "OF": ctrlE, "[4~": ctrlE, "[8~": ctrlE, // end
	"[3~": deletion,
}

// readKey reads a key, or text, which is more than one character when it was pasted. The key is 0
// for text, and for sequences that mean nothing.
func readKey(in *bufio.Reader) (key rune, text string, err error) {
	r, _, err := in.ReadRune()
	switch {
	case err != nil:
		return 0, "", err
	case r == '\n':
		return enter, "", nil
	case r == escape:
		return readSequence(in), "", nil
	case unicode.IsControl(r):
		return r, "", nil
	}
	var b strings.Builder
	b.WriteRune(r)
	for in.Buffered() > 0 {
		if next, err := in.Peek(1); err != nil || unicode.IsControl(rune(next[0])) {
			break
		}
		if r, _, err = in.ReadRune(); err != nil {
			break // the next call meets it again
		}
		b.WriteRune(r)
	}
	return 0, b.String(), nil
}

// readSequence reads what follows an escape, and returns the key that it stands for; 0 for none. A
// control character ends it and is read next: somebody pressed Escape before another key.
func readSequence(in *bufio.Reader) rune {
	sequence := ""
	for {
		r, _, err := in.ReadRune()
		switch {
		case err != nil:
			return 0
		case unicode.IsControl(r):
			_ = in.UnreadRune() // it cannot fail right after ReadRune
			return 0
		}
		first := sequence == ""
		sequence += string(r)
		switch {
		case first && r != '[' && r != 'O':
			return 0
		case !first && r >= 0x40 && r <= 0x7e: // the last of a sequence
			return sequences[sequence]
		}
	}
}
