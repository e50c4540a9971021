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
	return s.SetTokens(ctx, []chat.Device{{User: user, Device: device, Token: token}})
}

// SetTokens is SetToken for some users, each once, in one transaction.
func (s *Store) SetTokens(ctx context.Context, devices []chat.Device) error {
	users := make([]uint32, len(devices))
	for i, d := range devices {
		users[i] = d.User
	}
	err := s.changeFollowed(ctx, s.Unix(), func(tx sqldb.Tx, c *chat.Commit) error {
		before := make(map[uint32]chat.Device, len(devices))
		err := sqldb.Chunked(users, func(users []uint32) error {
			query := "SELECT userId,device,rev FROM IMProxyDevice WHERE userId IN (" +
				sqldb.Params(len(users)) + ")" + s.db.ForUpdate()
			return sqldb.Each(ctx, tx, query, sqldb.Args(users), func(scan sqldb.Scanner) error {
				var d chat.Device
				err := scan(&d.User, &d.Device, &d.Rev)
				before[d.User] = d
				return err
			})
		})
		if err != nil {
			return err
		}
		var rows, tokens []any
		for _, d := range devices {
			if err := unlinkToken(ctx, tx, d.User, before[d.User].Device); err != nil {
				return err
			}
			d.Rev = before[d.User].Rev + 1
			rows = append(rows, d.User, d.Device, d.Rev)
			if d.Token != "" {
				tokens = append(tokens, tables.TokenDigest(d.Token), d.Token, d.User)
			}
			c.Devices = append(c.Devices, d)
		}
		err = sqldb.Insert(ctx, tx.Session, "IMProxyToken", tables.TokenColumns, tokens,
			s.db.Upsert([]string{"digest"}, []string{"userId"}))
		if err != nil {
			return err
		}
		return sqldb.Insert(ctx, tx.Session, "IMProxyDevice", "userId,device,rev", rows,
			s.db.Upsert([]string{"userId"}, []string{"device", "rev"}))
	})
	return s.wrote(err, replica.AboutEach(users, replica.AboutUser)...)
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
