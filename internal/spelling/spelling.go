// Package spelling finds what a mistyped word may have been meant to be.
package spelling

import "strings"

// maxWord is how long, in bytes, a word may be that is near to anything: no name is longer.
const maxWord = 128

// Nearest returns those of the names that are nearest to a word, no matter in which case: names
// that begin with it, or that are at most two slips of the finger away from it.
func Nearest(word string, names []string) (near []string) {
	if len(word) > maxWord {
		return nil
	}
	word = strings.ToLower(word)
	best := 2
	for _, name := range names {
		lower := strings.ToLower(name)
		d := Slips(word, lower)
		if word != "" && strings.HasPrefix(lower, word) {
			d = min(d, 1)
		}
		if d > best || d >= len(name) {
			continue
		}
		if d < best {
			best, near = d, nil
		}
		near = append(near, name)
	}
	return near
}

// DidYouMean is a question whether one of these was meant. It names at most three.
func DidYouMean(meant []string) string {
	quoted := make([]string, 0, 3)
	for _, m := range meant[:min(3, len(meant))] {
		quoted = append(quoted, `"`+m+`"`)
	}
	return "did you mean " + strings.Join(quoted, " or ") + "?"
}

// Slips returns how many letters must be put in, left out or replaced to make b of a, their
// Levenshtein distance. It takes time and memory by the product of their lengths.
func Slips(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1) // row[j]: from what of a was seen to the first j letters of b
	for j := range row {
		row[j] = j
	}
	for i, r := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, s := range to {
			replaced := diagonal
			if r != s {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, diagonal+1, row[j]+1)
		}
	}
	return row[len(to)]
}
