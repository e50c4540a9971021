package records

import (
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// SetToken implements chat.Tokens.
func (s *Store) SetToken(ctx context.Context, user uint32, device, token string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		before := ""
		err := each(ctx, tx, "SELECT device FROM IMProxyDevice WHERE userId=?"+s.dialect.lock(), []any{user}, func(scan scanner) error {
			return scan(&before)
		})
		if err != nil {
			return err
		}
		if _, old, ok := chat.SplitDevice(before); ok {
			if _, err := exec(ctx, tx, "UPDATE IMProxyToken SET userId=0 WHERE token=?", old); err != nil {
				return err
			}
		}
		if token != "" {
			err := insert(ctx, tx, s.dialect, "IMProxyToken", "token,userId", []any{token, user}, s.dialect.upsert([]string{"token"}, []string{"userId"}))
			if err != nil {
				return err
			}
		}
		return insert(ctx, tx, s.dialect, "IMProxyDevice", "userId,device", []any{user, device}, s.dialect.upsert([]string{"userId"}, []string{"device"}))
	})
}

// Devices implements chat.Tokens.
func (s *Store) Devices(ctx context.Context, users []uint32) (map[uint32]string, error) {
	devices := make(map[uint32]string, len(users))
	err := chunked(users, func(users []uint32) error {
		return s.query(ctx, "push tokens", "SELECT userId,device FROM IMProxyDevice WHERE userId IN ("+marks(len(users))+")", args(users),
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
