package chat

import (
	"context"
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"sync"
	"time"
)

// A name that has LockoutFailures within LockoutWindow is locked out: its logins are refused, with
// whatever password.
const (
	LockoutFailures = 11
	LockoutWindow   = 1800 * time.Second
)

// Failures remembers failed logins, by name, for LockoutWindow. It remembers only so many names:
// under a flood of names it forgets those with the fewest failures, so that a name that is locked
// out stays so. The names of one call are all different; what is returned is in their order.
type Failures interface {
	// Count returns how many failures of each name are not older than LockoutWindow. Of more than
	// LockoutFailures it may return fewer, but not fewer than these.
	Count(ctx context.Context, names []string, now time.Time) ([]int, error)
	// Add counts one more failure of each name, and returns what Count does after that.
	Add(ctx context.Context, names []string, now time.Time) ([]int, error)
	// Clear forgets the failures of each name.
	Clear(ctx context.Context, names []string) error
}

// Errors of Logins, beside those of the store.
var (
	ErrWrongLogin = Errorf(NotAllowed, "wrong name or password")
	ErrLockedOut  = Errorf(NotAllowed, "too many failed logins of that name")
)

// HashPassword is how a password is stored. password is what comes over the wire: the md5, in
// lower-case hex, of what the user typed.
func HashPassword(password, salt string) string {
	sum := md5.Sum([]byte(password + salt))
	return hex.EncodeToString(sum[:])
}

// LoginTry is a try to log in.
type LoginTry struct {
	Name     string
	Password string // as it comes over the wire
}

// Logins checks names and passwords, and returns who logged in. An error is ErrWrongLogin,
// ErrLockedOut, or one of the store, which does not count as a failed login. Tries of one name are
// judged one by one, in their order, also those of other calls. A good login clears the failures
// that were counted before it began. What others count meanwhile, through another proxy, may stay:
// it counts as later than this login.
func (s *Service) Logins(ctx context.Context, tries []LoginTry) []Result[User] {
	names := make([]string, len(tries))
	for i, t := range tries {
		names[i] = t.Name
	}
	slices.Sort(names)
	names = slices.Compact(names)
	unlock, err := s.judged.lock(ctx, names)
	if err != nil {
		return allFailed[User](len(tries), err)
	}
	defer unlock()
	j := judging{service: s, now: s.now(), failed: make(map[string]int, len(names))}
	counts, err := s.store.Failures.Count(ctx, names, j.now)
	if err != nil {
		return allFailed[User](len(tries), err)
	}
	var free []string // names that somebody may have, and that are not locked out
	for i, name := range names {
		j.failed[name] = counts[i]
		if counts[i] < LockoutFailures && checkText("name", name, MaxUserName) == nil {
			free = append(free, name)
		}
	}
	if len(free) > 0 {
		j.users, j.err = s.store.Directory.UsersByName(ctx, free)
	}
	return j.judge(ctx, tries)
}

// judging is what is known of the names of tries, while these are judged.
type judging struct {
	service *Service
	now     time.Time
	failed  map[string]int  // how many logins failed, by name
	users   map[string]User // who has a name
	err     error           // why that is not known
}

// judge judges tries, at one time one of each name, so that what becomes of it is counted before
// the next one.
func (j *judging) judge(ctx context.Context, tries []LoginTry) []Result[User] {
	results := make([]Result[User], len(tries))
	left := make([]int, len(tries)) // which tries are not judged yet
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		now := make(map[string]struct{}, len(left))
		var later, wrong, cleared []int
		for _, i := range left {
			name := tries[i].Name
			if _, twice := now[name]; twice {
				later = append(later, i)
				continue
			}
			now[name] = struct{}{}
			switch results[i] = j.try(tries[i]); {
			case results[i].Err == ErrWrongLogin:
				wrong = append(wrong, i)
			case results[i].Err == nil && j.failed[name] > 0:
				cleared = append(cleared, i)
			}
		}
		j.count(ctx, tries, results, wrong, cleared)
		left = later
	}
	return results
}

// try is what becomes of one try, as far as is known before it is counted.
func (j *judging) try(t LoginTry) Result[User] {
	if j.failed[t.Name] >= LockoutFailures {
		return Result[User]{Err: ErrLockedOut}
	}
	if j.err != nil {
		return Result[User]{Err: j.err}
	}
	user, found := j.users[t.Name]
	stored := HashPassword(t.Password, user.Salt)
	if subtle.ConstantTimeCompare([]byte(stored), []byte(user.Password)) != 1 || !found {
		return Result[User]{Err: ErrWrongLogin}
	}
	return Result[User]{Value: user}
}

// count counts the tries that were wrong, and forgets the failures of names whose tries were good.
// A try of which that fails has failed itself.
func (j *judging) count(
	ctx context.Context, tries []LoginTry, results []Result[User], wrong, cleared []int,
) {
	failures := j.service.store.Failures
	if names := namesOf(tries, wrong); len(names) > 0 {
		counts, err := failures.Add(ctx, names, j.now)
		for k, i := range wrong {
			if err != nil {
				results[i] = Result[User]{Err: err}
			} else {
				j.failed[names[k]] = counts[k]
			}
		}
	}
	if names := namesOf(tries, cleared); len(names) > 0 {
		err := failures.Clear(ctx, names)
		for k, i := range cleared {
			if err != nil {
				results[i] = Result[User]{Err: err}
			} else {
				j.failed[names[k]] = 0
			}
		}
	}
}

// namesOf are the names of some of the tries.
func namesOf(tries []LoginTry, which []int) []string {
	names := make([]string, len(which))
	for k, i := range which {
		names[k] = tries[i].Name
	}
	return names
}

// nameLocks has each name be held by one call at a time. The zero value is ready to use.
type nameLocks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // guarded by mu; a channel is closed when its names are free
}

// lock waits until none of the names is held, and holds them until unlock is called. The names are
// sorted and unique, so that no two calls wait for each other. The error is of kind Unavailable: it
// is the context's, and nothing is held.
func (l *nameLocks) lock(ctx context.Context, names []string) (unlock func(), err error) {
	free := make(chan struct{})
	n := 0 // how many of the names are held
	unlock = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, name := range names[:n] {
			delete(l.held, name)
		}
		close(free)
	}
	for {
		busy := l.take(names, &n, free)
		if busy == nil {
			return unlock, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			unlock()
			return nil, Errorf(Unavailable, "waiting for a login of the same name: %w", ctx.Err())
		}
	}
}

// take holds the names from the n-th on, up to one that is busy.
func (l *nameLocks) take(names []string, n *int, free chan struct{}) (busy chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(map[string]chan struct{})
	}
	for ; *n < len(names); *n++ {
		if busy := l.held[names[*n]]; busy != nil {
			return busy
		}
		l.held[names[*n]] = free
	}
	return nil
}
