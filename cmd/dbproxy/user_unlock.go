package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// locks knows the names that are locked out by failed logins. Its methods return
// counters.ErrEachForItself while Redis is away.
type locks interface {
	// LockedUntil returns until when a name is locked out; the zero time when it is not.
	LockedUntil(ctx context.Context, name string, now time.Time) (time.Time, error)
	// Unlock forgets the failed logins of a name, for all who ask.
	Unlock(ctx context.Context, name string, now time.Time) error
}

func userUnlockCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "unlock USER",
		Short: "Let a person try to log in again after too many failed logins",
		Long: `Let a person, named by id or login name, try to log in again at once. After 11
failed logins within 30 minutes a login name is locked out: no password of it is
looked at until the first of them is 30 minutes old. "dbproxy user show" says
whether it is so. The password stays: "dbproxy user passwd" sets another.

A running "dbproxy serve" sees it at once, and so do all proxies that share a
Redis or, without Redis, a database. While Redis is away each proxy counts
failed logins for itself, and nobody can be unlocked.`,
		Example: `  dbproxy user unlock ann
  dbproxy user unlock 2`,
		Args: oneArg("the id or login name of a person"),
	}
	data := targetFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return data.withLocks(func(store *records.Store, locks locks) error {
			said, err := unlock(c.Context(), store, locks, args[0])
			if err != nil {
				return fmt.Errorf("user not unlocked: %w", err)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), said)
			return err
		})
	}
	return c
}

func unlock(ctx context.Context, store *records.Store, locks locks, arg string) (string, error) {
	u, err := admin.FindUser(ctx, store, arg)
	if err != nil {
		return "", err
	}
	now := time.Now()
	until, err := locks.LockedUntil(ctx, u.Name, now)
	done := "unlocked, can try to log in again"
	if err == nil && until.IsZero() {
		done = "is not locked out, nothing changed"
	} else if err == nil {
		err = locks.Unlock(ctx, u.Name, now)
	}
	return saying(u, done+stillOut(u)), err
}

// lockState is whether a name is locked out, and until when.
type lockState struct {
	until   time.Time // zero: it is not
	unknown bool      // Redis is away
}

func lockOf(ctx context.Context, locks locks, name string) (lockState, error) {
	until, err := locks.LockedUntil(ctx, name, time.Now())
	if errors.Is(err, counters.ErrEachForItself) {
		return lockState{unknown: true}, nil
	}
	return lockState{until: until}, err
}

// String is the state for people.
func (s lockState) String() string {
	switch {
	case s.unknown:
		return "not known: Redis is away, each proxy counts for itself"
	case s.until.IsZero():
		return "no"
	default:
		return "until " + s.until.Add(time.Second-1).Format(time.DateTime)
	}
}

// json is the state for programs: Unix seconds, 0 when it is not locked out, nil when that is not
// known.
func (s lockState) json() *int64 {
	until := int64(0)
	switch {
	case s.unknown:
		return nil
	case !s.until.IsZero():
		until = s.until.Add(time.Second - 1).Unix()
	}
	return &until
}
