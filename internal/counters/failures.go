package counters

import (
	"container/list"
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// maxNames is how many names with failed logins are remembered; beyond, those whose last failure is the oldest are
// forgotten. An entry takes about 500 bytes.
const maxNames = 50_000

// Failures implements chat.Failures in memory, for one process. The zero value is ready to use.
type Failures struct {
	mu    sync.Mutex
	names map[[sha256.Size]byte]*list.Element // of *failed
	byAge list.List                           // the longest without a failure first
}

// failed are the latest failures of one name, oldest first, at most chat.LockoutFailures: more make no difference.
type failed struct {
	name [sha256.Size]byte // hashed, so that a long name takes no room
	at   []time.Time
}

// Count implements chat.Failures.
func (f *Failures) Count(_ context.Context, name string, now time.Time) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.names[sha256.Sum256([]byte(name))]
	if e == nil {
		return 0, nil
	}
	n := 0
	for _, at := range e.Value.(*failed).at {
		if now.Sub(at) <= chat.LockoutWindow {
			n++
		}
	}
	return n, nil
}

// Add implements chat.Failures.
func (f *Failures) Add(_ context.Context, name string, now time.Time) error {
	key := sha256.Sum256([]byte(name))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names == nil {
		f.names = make(map[[sha256.Size]byte]*list.Element)
	}
	e := f.names[key]
	if e == nil {
		e = f.byAge.PushBack(&failed{name: key})
		f.names[key] = e
	}
	f.byAge.MoveToBack(e)
	entry := e.Value.(*failed)
	if len(entry.at) == chat.LockoutFailures {
		entry.at = entry.at[1:]
	}
	entry.at = append(entry.at, now)
	for oldest := f.byAge.Front(); f.byAge.Len() > maxNames; oldest = f.byAge.Front() {
		f.drop(oldest)
	}
	return nil
}

// Clear implements chat.Failures.
func (f *Failures) Clear(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.names[sha256.Sum256([]byte(name))]; e != nil {
		f.drop(e)
	}
	return nil
}

func (f *Failures) drop(e *list.Element) {
	delete(f.names, e.Value.(*failed).name)
	f.byAge.Remove(e)
}
