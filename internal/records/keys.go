package records

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
)

// member is a user in a group.
type member struct{ group, user uint32 }

// idsPerStatement is how many ids one statement names at most.
const idsPerStatement = 1000

// chunked calls f with the keys for one statement at a time, and not at all when there are none.
// The last key is repeated until there are as many as a list has, which changes nothing where keys
// are looked up.
func chunked[K any](keys []K, f func([]K) error) error {
	for chunk := range slices.Chunk(keys, idsPerStatement) {
		if want := listLength(len(chunk)); len(chunk) < want {
			chunk = slices.Concat(chunk, slices.Repeat(chunk[len(chunk)-1:], want-len(chunk)))
		}
		if err := f(chunk); err != nil {
			return err
		}
	}
	return nil
}

// listLength is how long a list of n keys is made: the next power of two, or a thousand, so that
// there are few different statements, each of which is prepared once for a connection.
func listLength(n int) int { return min(1<<bits.Len(uint(n-1)), idsPerStatement) }

func keysOf[K comparable, V any](m map[K]V) []K { return slices.Collect(maps.Keys(m)) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
