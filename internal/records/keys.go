package records

import (
	"cmp"
	"maps"
	"slices"
)

// member is a user in a group.
type member struct{ group, user uint32 }

// chunked calls f with at most idsPerStatement of the keys at a time, and not at all when there are none.
func chunked[K any](keys []K, f func([]K) error) error {
	for chunk := range slices.Chunk(keys, idsPerStatement) {
		if err := f(chunk); err != nil {
			return err
		}
	}
	return nil
}

func keysOf[K comparable, V any](m map[K]V) []K { return slices.Collect(maps.Keys(m)) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
