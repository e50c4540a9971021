package records

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// SetToken implements chat.Tokens.
func (s *Store) SetToken(ctx context.Context, user uint32, device, token string) error {
	err := s.changeFollowed(ctx, s.unix(), func(tx *sql.Tx, c *chat.Commit) error {
		before, rev := "", uint32(0)
		err := each(ctx, tx, "SELECT device,rev FROM IMProxyDevice WHERE userId=?"+s.dialect.lock(), []any{user}, func(scan scanner) error {
			return scan(&before, &rev)
		})
		if err != nil {
			return err
		}
		if err := unlinkToken(ctx, tx, user, before); err != nil {
			return err
		}
		if token != "" {
			row := []any{tokenDigest(token), token, user}
			err := insert(ctx, tx, s.dialect, "IMProxyToken", tokenColumns, row,
				s.dialect.upsert([]string{"digest"}, []string{"userId"}))
			if err != nil {
				return err
			}
		}
		c.Devices = []chat.Device{{User: user, Rev: rev + 1, Device: device, Token: token}}
		return insert(ctx, tx, s.dialect, "IMProxyDevice", "userId,device,rev", []any{user, device, rev + 1},
			s.dialect.upsert([]string{"userId"}, []string{"device", "rev"}))
	})
	return s.wrote(err, aboutUser(user))
}

const tokenColumns = "digest,token,userId"

// tokenDigest is the SHA-256 of a token in hexadecimal digits, by which IMProxyToken knows it.
func tokenDigest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// unlinkToken forgets whom the token belongs to that was in the text of a user's device before. If
// that had a platform, it is unlinked whoever has it; else it stays linked to another user.
func unlinkToken(ctx context.Context, tx *sql.Tx, user uint32, device string) error {
	query := "DELETE FROM IMProxyToken WHERE digest=?"
	if _, token, ok := chat.SplitDevice(device); ok {
		_, err := exec(ctx, tx, query, tokenDigest(token))
		return err
	}
	if device == "" {
		return nil
	}
	_, err := exec(ctx, tx, query+" AND userId=?", tokenDigest(device), user)
	return err
}

// Devices implements chat.Tokens.
func (s *Store) Devices(ctx context.Context, users []uint32) (map[uint32]string, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (map[uint32]string, error) {
		return r.devices(ctx, users)
	}, aboutEach(users, aboutUser)...)
}

func (r reader) devices(ctx context.Context, users []uint32) (map[uint32]string, error) {
	devices := make(map[uint32]string, len(users))
	err := chunked(users, func(users []uint32) error {
		return r.query(ctx, "push tokens", "SELECT userId,device FROM IMProxyDevice WHERE userId IN ("+marks(len(users))+")", args(users),
			func(scan scanner) error {
				var user uint32
				var device string
				err := scan(&user, &device)
				devices[user] = device
				return err
			})
	})
	return devices, err
}
