package sqldb

import (
	"context"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxList is how many keys one statement names at most.
const MaxList = 1000

// Chunked calls f with the keys for one statement at a time, and not at all when there are none.
// The last key is repeated until there are as many as a list has, which changes nothing where keys
// are looked up.
func Chunked[K any](keys []K, f func([]K) error) error { return chunked(keys, ListLength, f) }

// chunked is Chunked, with lists as long as length makes one of so many keys.
func chunked[K any](keys []K, length func(n int) int, f func([]K) error) error {
	for chunk := range slices.Chunk(keys, MaxList) {
		if want := length(len(chunk)); len(chunk) < want {
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

// QueryIn is Pool.Query for the rows with one of many keys, in as few queries as suit: see Chunked.
// The list of keys stands where the query has its only %s; first are the values of what is before
// it.
func QueryIn[K any](
	ctx context.Context, p *Pool, what, query string, keys []K, row func(Scanner) error,
	first ...any,
) error {
	return Chunked(keys, func(keys []K) error {
		params := slices.Concat(first, Args(keys))
		return p.Query(ctx, what, WithParams(query, len(keys)), params, row)
	})
}

// ExecIn is Exec for the rows with one of many keys, in as few statements as suit: see QueryIn.
func ExecIn[K any](ctx context.Context, s Session, stmt string, keys []K, first ...any) error {
	return chunked(keys, s.listLength, func(keys []K) error {
		_, err := Exec(ctx, s, WithParams(stmt, len(keys)), slices.Concat(first, Args(keys))...)
		return err
	})
}

// ArgsOf is Args for a list of whose elements each is several arguments.
func ArgsOf[T any](list []T, of func(T) []any) (args []any) {
	for _, v := range list {
		args = append(args, of(v)...)
	}
	return args
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
	case err == nil || !d.lacksCharacter(err):
		return err
	case half > 0:
		if err := byTextHalves(d, texts[:half], find); err != nil {
			return err
		}
		return byTextHalves(d, texts[half:], find)
	case isASCII(texts[0]): // every character set has these characters: something else is wrong
		return err
	default:
		return nil
	}
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}
