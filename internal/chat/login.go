package chat

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
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
// out stays so.
type Failures interface {
	// Count returns how many failures of name are not older than LockoutWindow.
	Count(ctx context.Context, name string, now time.Time) (int, error)
	// Add counts one failure of name.
	Add(ctx context.Context, name string, now time.Time) error
	// Clear forgets the failures of name.
	Clear(ctx context.Context, name string) error
}

// Errors of Login, beside those of the store.
var (
	ErrWrongLogin = Errorf(NotAllowed, "wrong name or password")
	ErrLockedOut  = Errorf(NotAllowed, "too many failed logins of that name")
)

// LoginLane orders the logins of one name, so that tries that come at the same time are counted one
// by one.
func LoginLane(name string) Lane {
	sum := sha256.Sum256([]byte(name))
	return Lane{scope: loginScope, a: binary.BigEndian.Uint64(sum[:]),
		b: binary.BigEndian.Uint64(sum[8:])}
}

// HashPassword is how a password is stored. password is what comes over the wire: the md5, in
// lower-case hex, of what the user typed.
func HashPassword(password, salt string) string {
	sum := md5.Sum([]byte(password + salt))
	return hex.EncodeToString(sum[:])
}

// Login checks a name and a password. The error is ErrWrongLogin, ErrLockedOut, or one of the
// store, which does not count as a failed login. A good login clears the failures that were counted
// before it began. What others count meanwhile, through this proxy or another one, may stay: it
// counts as later than this login.
func (s *Service) Login(ctx context.Context, name, password string) (User, error) {
	now := s.now()
	failed, err := s.store.Failures.Count(ctx, name, now)
	if err != nil {
		return User{}, err
	}
	if failed >= LockoutFailures {
		return User{}, ErrLockedOut
	}
	user, err := s.credentials(ctx, name)
	if err != nil && KindOf(err) != NotFound {
		return User{}, err
	}
	stored := HashPassword(password, user.Salt)
	if err != nil || subtle.ConstantTimeCompare([]byte(stored), []byte(user.Password)) != 1 {
		if err := s.store.Failures.Add(ctx, name, now); err != nil {
			return User{}, err
		}
		return User{}, ErrWrongLogin
	}
	if failed == 0 {
		return user, nil // there is nothing to forget
	}
	return user, s.store.Failures.Clear(ctx, name)
}

// credentials finds the user with that login name. A name that no column could hold is nobody's.
func (s *Service) credentials(ctx context.Context, name string) (User, error) {
	if checkText("name", name, MaxUserName) != nil {
		return User{}, Errorf(NotFound, "no such name")
	}
	return s.store.Directory.UserByName(ctx, name)
}
