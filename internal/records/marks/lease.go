package marks

import (
	"context"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// HoldLease gives holder (at most 64 bytes) the lease of a name for whole seconds by the clock of
// the database, if nobody else has it, or what somebody had has expired. A holder that asks again
// renews it. held is false while somebody else has it. A lease saves work and protects nothing: its
// holder may be paused for longer than it lasts.
//
// The embedded store serves one process only, so everybody has every lease there: after a crash
// nobody needs to wait.
func (m Keeper) HoldLease(
	ctx context.Context, name, holder string, lasts time.Duration,
) (held bool, err error) {
	if !m.db.ManyWriters() {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	seconds := max(1, int(lasts/time.Second))
	err = m.db.Retry(ctx, func() error {
		n, err := sqldb.Exec(ctx, m.db.Writes(),
			"UPDATE IMProxyLease SET holder=?, expires=UNIX_TIMESTAMP()+?"+
				" WHERE name=? AND (holder=? OR expires<=UNIX_TIMESTAMP())",
			holder, seconds, name, holder)
		if held = n > 0; held || err != nil {
			return err
		}
		_, err = sqldb.Exec(ctx, m.db.Writes(), "INSERT INTO IMProxyLease (name,holder,expires)"+
			" VALUES (?,?,UNIX_TIMESTAMP()+?)", name, holder, seconds)
		if held = err == nil; m.db.Duplicate(err) {
			return nil // it is somebody else's
		}
		return err
	})
	return held && err == nil, m.db.Fail("taking the lease "+name, err)
}

// ReleaseLease releases a lease, so that others may have it at once. One that somebody else holds
// stays.
func (m Keeper) ReleaseLease(ctx context.Context, name, holder string) error {
	if !m.db.ManyWriters() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	_, err := sqldb.Exec(ctx, m.db.Writes(),
		"UPDATE IMProxyLease SET expires=0 WHERE name=? AND holder=?", name, holder)
	return m.db.Fail("releasing the lease "+name, err)
}

// leaseTimeout is for one call: soon after it a lease that is being renewed would be somebody
// else's.
const leaseTimeout = 3 * time.Second
