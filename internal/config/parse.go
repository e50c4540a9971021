package config

import "strings"

// blanks are what does not count around keys and values.
const blanks = " \t\r"

// entry is a line of the file that sets a key.
type entry struct {
	line       int // from 1
	key, value string
	cut        bool // a comment begins right behind the value, without a blank
}

// parsed is what a file says.
type parsed struct {
	entries  []entry // those that count, by line: the first of each key that has a value
	repeated []entry // later ones of the same keys
	hashed   []entry // those whose value is empty because it begins with "#"
	skipped  []int   // lines that say something, but have no "="
}

// parse reads the text of a configuration file as the original does: "#" starts a comment
// anywhere; blanks around keys and values do not count; the first of equal keys wins; lines without
// "=" are skipped; a value may contain "="; an empty value counts as absent. A byte order mark at
// the start of a line is passed over: several files may have been put together. No text is an error
// here.
func parse(text []byte) (p parsed) {
	seen := make(map[string]bool)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimPrefix(strings.TrimSuffix(line, "\n"), mark)
		code, _, commented := strings.Cut(line, "#")
		key, value, found := strings.Cut(code, "=")
		e := entry{
			line: n, key: strings.Trim(key, blanks), value: strings.Trim(value, blanks),
			cut: commented && strings.TrimRight(value, blanks) == value,
		}
		switch {
		case !found:
			if e.key != "" {
				p.skipped = append(p.skipped, n)
			}
		case e.key == "" || e.value == "":
			if e.key != "" && e.cut {
				p.hashed = append(p.hashed, e)
			}
		case seen[e.key]:
			p.repeated = append(p.repeated, e)
		default:
			seen[e.key] = true
			p.entries = append(p.entries, e)
		}
	}
	return p
}
