package terminal

import (
	"strings"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// mostPast is how many lines are kept to be fetched again.
const mostPast = 100

// line is a line that is being typed, and the lines before it. The lock of its Editor guards it.
type line struct {
	// chars are its characters as people see them: a letter with what combines with it is one, and
	// so is an emoji that is joined of several.
	chars  []string
	cursor int // how many of chars stand before the cursor
	first  int // the first of chars that view showed last

	past  []string // lines that were entered, the oldest first
	at    int      // which of past was fetched; len(past): none
	draft string   // what was being typed when the first of them was fetched
}

// text is what was typed.
func (l *line) text() string { return strings.Join(l.chars, "") }

// set makes the line before+after, with the cursor between them. Where the two join into one
// character, the cursor stands behind it.
func (l *line) set(before, after string) {
	l.chars, l.cursor = l.chars[:0], 0
	for all := graphemes.FromString(before + after); all.Next(); {
		l.chars = append(l.chars, all.Value())
		if all.Start() < len(before) {
			l.cursor++
		}
	}
}

// insert adds text at the cursor.
func (l *line) insert(text string) {
	l.set(strings.Join(l.chars[:l.cursor], "")+text, strings.Join(l.chars[l.cursor:], ""))
}

// press does what a key is for. Keys that mean nothing do nothing.
func (l *line) press(key rune) {
	switch key {
	case ctrlA:
		l.cursor = 0
	case ctrlE:
		l.cursor = len(l.chars)
	case ctrlB:
		l.cursor = max(l.cursor-1, 0)
	case ctrlF:
		l.cursor = min(l.cursor+1, len(l.chars))
	case ctrlP:
		l.fetch(l.at - 1)
	case ctrlN:
		l.fetch(l.at + 1)
	case backspace, rubout:
		l.remove(l.cursor-1, l.cursor)
	case ctrlD, deletion:
		l.remove(l.cursor, l.cursor+1)
	case ctrlU:
		l.remove(0, l.cursor)
	case ctrlK:
		l.remove(l.cursor, len(l.chars))
	case ctrlW:
		l.remove(l.wordBegin(), l.cursor)
	}
}

// remove removes the characters from begin up to end, where there are such, and has the cursor
// there.
func (l *line) remove(begin, end int) {
	if begin >= 0 && end <= len(l.chars) {
		l.set(strings.Join(l.chars[:begin], ""), strings.Join(l.chars[end:], ""))
	}
}

// wordBegin is where the word before the cursor begins.
func (l *line) wordBegin() int {
	begin := l.cursor
	for begin > 0 && l.chars[begin-1] == " " {
		begin--
	}
	for begin > 0 && l.chars[begin-1] != " " {
		begin--
	}
	return begin
}

// fetch makes this line the one at a position of the past. Behind the last of them stands what was
// being typed before any was fetched.
func (l *line) fetch(at int) {
	if at < 0 || at > len(l.past) {
		return
	}
	if l.at == len(l.past) {
		l.draft = l.text()
	}
	if l.at = at; at < len(l.past) {
		l.set(l.past[at], "")
	} else {
		l.set(l.draft, "")
	}
}

// enter empties the line, and returns what it was.
func (l *line) enter() string {
	text := l.text()
	if text != "" && (len(l.past) == 0 || l.past[len(l.past)-1] != text) {
		l.past = append(l.past[max(0, len(l.past)+1-mostPast):], text)
	}
	l.at, l.draft = len(l.past), ""
	l.set("", "")
	return text
}

// view returns what a screen of limit cells shows of the line, before the cursor and behind it.
// What is shown moves no further than the cursor makes it, and comes back where the line got
// shorter.
func (l *line) view(limit int) (before, after string) {
	shown := make([]string, len(l.chars))
	begins := make([]int, len(l.chars)+1) // the cell where each begins, and where the last ends
	for i, c := range l.chars {
		shown[i] = Clean(c)
		begins[i+1] = begins[i] + Width(shown[i])
	}
	limit = max(limit, 0)
	l.first = min(l.first, l.cursor)
	for begins[l.cursor]-begins[l.first] > limit {
		l.first++
	}
	for l.first > 0 && begins[len(shown)]-begins[l.first-1] <= limit {
		l.first--
	}
	end := len(shown)
	for begins[end]-begins[l.first] > limit {
		end--
	}
	return strings.Join(shown[l.first:l.cursor], ""), strings.Join(shown[l.cursor:end], "")
}
