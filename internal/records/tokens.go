package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// SetToken implements chat.Tokens.
func (s *Store) SetToken(ctx context.Context, user uint32, device, token string) error {
	err := s.changeFollowed(ctx, s.Unix(), func(tx sqldb.Tx, c *chat.Commit) error {
		before, rev := "", uint32(0)
		query := "SELECT device,rev FROM IMProxyDevice WHERE userId=?" + s.db.ForUpdate()
		err := sqldb.Each(ctx, tx, query, []any{user},
			func(scan sqldb.Scanner) error { return scan(&before, &rev) })
		if err != nil {
			return err
		}
		if err := unlinkToken(ctx, tx, user, before); err != nil {
			return err
		}
		if token != "" {
			row := []any{tables.TokenDigest(token), token, user}
			err := sqldb.Insert(ctx, tx.Session, "IMProxyToken", tables.TokenColumns, row,
				s.db.Upsert([]string{"digest"}, []string{"userId"}))
			if err != nil {
				return err
			}
		}
		c.Devices = []chat.Device{{User: user, Rev: rev + 1, Device: device, Token: token}}
		row := []any{user, device, rev + 1}
		return sqldb.Insert(ctx, tx.Session, "IMProxyDevice", "userId,device,rev", row,
			s.db.Upsert([]string{"userId"}, []string{"device", "rev"}))
	})
	return s.wrote(err, replica.AboutUser(user))
}

// unlinkToken forgets whom the token belongs to that a user's device had before. If the text of the
// device had a platform, the token is unlinked whoever has it; else only where it is the user's.
func unlinkToken(ctx context.Context, tx sqldb.Tx, user uint32, device string) error {
	query := "DELETE FROM IMProxyToken WHERE digest=?"
	if _, token, ok := chat.SplitDevice(device); ok {
		_, err := sqldb.Exec(ctx, tx, query, tables.TokenDigest(token))
		return err
	}
	if device == "" {
		return nil
	}
	_, err := sqldb.Exec(ctx, tx, query+" AND userId=?", tables.TokenDigest(device), user)
	return err
}

// Devices implements chat.Tokens.
func (s *Store) Devices(ctx context.Context, users []uint32) (map[uint32]string, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[uint32]string, error) {
		devices := make(map[uint32]string, len(users))
		const query = "SELECT userId,device FROM IMProxyDevice WHERE userId IN (%s)"
		return devices, sqldb.QueryIn(ctx, r.Pool, "push tokens", query, users, sqldb.Into(devices))
	}, replica.AboutEach(users, replica.AboutUser)...)
}
