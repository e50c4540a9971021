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

// chunked calls f with the keys for one statement at a time, and not at all when there are none. The last key is
// repeated until there are a power of two of them, or a thousand, which changes nothing where keys are looked up, and leaves few
// different statements.
func chunked[K any](keys []K, f func([]K) error) error {
	for chunk := range slices.Chunk(keys, idsPerStatement) {
		if want := min(1<<bits.Len(uint(len(chunk)-1)), idsPerStatement); len(chunk) < want {
			chunk = slices.Concat(chunk, slices.Repeat(chunk[len(chunk)-1:], want-len(chunk)))
		}
		if err := f(chunk); err != nil {
			return err
		}
	}
	return nil
}

func keysOf[K comparable, V any](m map[K]V) []K { return slices.Collect(maps.Keys(m)) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
