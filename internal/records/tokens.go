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
	return s.setTokens(ctx, []chat.Device{{User: user, Device: device, Token: token}}, unlinkToken)
}

// TakeTokens stores which push tokens users have, each once, in one transaction, as it is known
// from elsewhere. Unlike SetToken it leaves a token that a user had before to whoever else has it
// now: so many users may be given theirs in any order, some at a time.
func (s *Store) TakeTokens(ctx context.Context, devices []chat.Device) error {
	return s.setTokens(ctx, devices, unlinkOwn)
}

// setTokens does both. unlink forgets whom the token belongs to that a user's device had before.
func (s *Store) setTokens(
	ctx context.Context, devices []chat.Device,
	unlink func(ctx context.Context, tx sqldb.Tx, user uint32, device string) error,
) error {
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
			if err := unlink(ctx, tx, d.User, before[d.User].Device); err != nil {
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
	if _, token, ok := chat.SplitDevice(device); ok {
		_, err := sqldb.Exec(ctx, tx, unlinkQuery, tables.TokenDigest(token))
		return err
	}
	return unlinkOwn(ctx, tx, user, device)
}

const unlinkQuery = "DELETE FROM IMProxyToken WHERE digest=?"

// unlinkOwn does the same only where the token is the user's.
func unlinkOwn(ctx context.Context, tx sqldb.Tx, user uint32, device string) error {
	if device == "" {
		return nil
	}
	token := device
	if _, name, ok := chat.SplitDevice(device); ok {
		token = name
	}
	_, err := sqldb.Exec(ctx, tx, unlinkQuery+" AND userId=?", tables.TokenDigest(token), user)
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
