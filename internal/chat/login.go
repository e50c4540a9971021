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

// Lockout: a name with this many failures within the window is refused without looking.
const (
	LockoutFailures = 11
	LockoutWindow   = 1800 * time.Second
)

// Failures remembers failed logins, by name, for LockoutWindow. It is bounded: under a flood of
// names those with the fewest failures are forgotten, so that a name that is locked out stays so.
type Failures interface {
	// Count returns how many failures of name are not older than LockoutWindow.
	Count(ctx context.Context, name string, now time.Time) (int, error)
	// Add counts one.
	Add(ctx context.Context, name string, now time.Time) error
	// Clear forgets them.
	Clear(ctx context.Context, name string) error
}

// Errors of Login beside failures of the storage.
var (
	ErrWrongLogin = Errorf(NotAllowed, "wrong name or password")
	ErrLockedOut  = Errorf(NotAllowed, "too many failed logins of that name")
)

// LoginLane orders the logins of one name, so that tries sent side by side are counted one by one.
func LoginLane(name string) Lane {
	sum := sha256.Sum256([]byte(name))
	return Lane{scope: loginScope, a: binary.BigEndian.Uint64(sum[:]), b: binary.BigEndian.Uint64(sum[8:])}
}

// HashPassword is a password's stored form: password is what comes over the wire, which is the md5 of what the user
// typed in lower-case hex.
func HashPassword(password, salt string) string {
	sum := md5.Sum([]byte(password + salt))
	return hex.EncodeToString(sum[:])
}

// Login checks a name and password. It returns ErrWrongLogin, ErrLockedOut, or a failure of the
// storage, which does not count as a failed login. A good login clears the failures that were
// counted before it began. What others count meanwhile, through this proxy or another one, may stay:
// it counts as later than this login.
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

// credentials finds the user who logs in by name. A name that no column could hold is nobody's.
func (s *Service) credentials(ctx context.Context, name string) (User, error) {
	if checkText("name", name, MaxUserName) != nil {
		return User{}, Errorf(NotFound, "no such name")
	}
	return s.store.Directory.UserByName(ctx, name)
}
