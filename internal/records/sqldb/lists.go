package sqldb

import (
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxList is how many keys one statement names at most.
const MaxList = 1000

// Chunked calls f with the keys for one statement at a time, and not at all when there are none. The
// last key is repeated until there are as many as a list has, which changes nothing where keys are
// looked up.
func Chunked[K any](keys []K, f func([]K) error) error {
	for chunk := range slices.Chunk(keys, MaxList) {
		if want := ListLength(len(chunk)); len(chunk) < want {
			chunk = slices.Concat(chunk, slices.Repeat(chunk[len(chunk)-1:], want-len(chunk)))
		}
		if err := f(chunk); err != nil {
			return err
		}
	}
	return nil
}

// ListLength is how long a list of n keys is made: the next power of two, or MaxList, so that there
// are few different statements, each of which is prepared once for a connection.
func ListLength(n int) int { return min(1<<bits.Len(uint(n-1)), MaxList) }

// Params is a list of n parameters, without brackets.
func Params(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

// tuples is n bracketed lists of width parameters, as in VALUES.
func tuples(n, width int) string {
	return strings.TrimSuffix(strings.Repeat("("+Params(width)+"),", n), ",")
}

// WithParams puts a list of n parameters where format has its only %s.
func WithParams(format string, n int) string {
	return strings.Replace(format, "%s", Params(n), 1)
}

// Args turns a list into the arguments of a statement.
func Args[T any](list []T) []any {
	args := make([]any, len(list))
	for i, v := range list {
		args[i] = v
	}
	return args
}

// ByText calls find for texts that are looked up in a column, in as few calls as suit: see Chunked.
// A column may be of a character set that lacks a character of some text. MySQL then refuses the
// whole statement, though it only means that no row can have that text. So find is called again for
// fewer and fewer of them, and for those texts never with success.
func ByText(d Dialect, texts []string, find func(texts []string) error) error {
	return Chunked(texts, func(some []string) error { return byTextHalves(d, some, find) })
}

func byTextHalves(d Dialect, texts []string, find func([]string) error) error {
	err := find(texts)
	switch half := len(texts) / 2; {
	case err == nil || !d.LacksCharacter(err):
		return err
	case half > 0:
		if err := byTextHalves(d, texts[:half], find); err != nil {
			return err
		}
		return byTextHalves(d, texts[half:], find)
	case isASCII(texts[0]): // which every character set has: something else is wrong
		return err
	default:
		return nil
	}
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
