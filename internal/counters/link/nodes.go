package link

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// Lines reads what a server says of itself in lines of "name:value", such as its INFO.
func Lines(text string) map[string]string {
	values := make(map[string]string)
	text = strings.TrimPrefix(text, "txt:") // which is how RESP3 marks a text
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		values[name] = value
	}
	return values
}

// Evicted is how many keys the instance's servers have evicted since they were started. ok is false
// when they do not say. Only policies of the kind allkeys are counted: others take no key of ours,
// as those never expire.
func (l *Link) Evicted(ctx context.Context) (keys uint64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, l.CallTimeout)
	defer cancel()
	l.mu.Lock()
	client := l.client
	l.mu.Unlock()
	nodes := map[string]rueidis.Client{"": client}
	if len(l.Cluster) > 0 {
		nodes = client.Nodes()
	}
	for _, node := range nodes {
		said, err := node.Do(ctx, node.B().Info().Build()).ToString()
		if err != nil {
			continue // the user may not ask
		}
		values := Lines(said)
		if !strings.HasPrefix(values["maxmemory_policy"], "allkeys") {
			continue
		}
		if n, err := strconv.ParseUint(values["evicted_keys"], 10, 64); err == nil {
			keys, ok = keys+n, true
		}
	}
	return keys, ok
}

// Keys calls f with the names of all keys that begin with a prefix, about atOnce at a time, and
// some perhaps twice. Keys that are made or removed meanwhile may be left out. It stops at the
// first error of f, and returns it; its own errors are of kind Unavailable.
func (l *Link) Keys(
	ctx context.Context, prefix string, atOnce int64, f func(names []string) error,
) error {
	l.mu.Lock()
	client := l.client
	l.mu.Unlock()
	if client == nil {
		return l.awayError(errors.New("not connected yet"))
	}
	for _, node := range client.Nodes() {
		role, err := node.Do(ctx, node.B().Role().Build()).ToArray()
		if err != nil {
			return l.awayError(err)
		}
		if kind, _ := role[0].ToString(); kind != "master" {
			continue
		}
		for cursor := uint64(0); ; {
			scan := node.B().Scan().Cursor(cursor).Match(prefix + "*").Count(atOnce).Build()
			entry, err := node.Do(ctx, scan).AsScanEntry()
			if err != nil {
				return l.awayError(err)
			}
			if err := f(entry.Elements); err != nil {
				return err
			}
			if cursor = entry.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}
