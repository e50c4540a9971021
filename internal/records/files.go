package records

import (
	"cmp"
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Waiting implements chat.Files.
func (s *Store) Waiting(ctx context.Context, user uint32) ([]chat.OfflineFile, error) {
	return read(ctx, s, func(ctx context.Context, r reader) (files []chat.OfflineFile, err error) {
		size := chat.NewMeasure(ctx, "offline files")
		const query = "SELECT fromId,toId,COALESCE(taskId,''),COALESCE(fileName,''),size" +
			" FROM IMTransmitFile WHERE toId=? AND status=0 ORDER BY created, id"
		err = r.Query(ctx, "offline files", query, []any{user}, func(scan sqldb.Scanner) error {
			var f chat.OfflineFile
			err := scan(&f.From, &f.To, &f.Task, &f.Name, &f.Size)
			keep(size, &files, f, len(f.Task)+len(f.Name)+32)
			return err
		})
		return files, cmp.Or(err, size.Err())
	}, replica.AboutUser(user))
}

// AddFile implements chat.Files.
func (s *Store) AddFile(ctx context.Context, f chat.OfflineFile, now uint32) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		return sqldb.Insert(ctx, tx.Session, "IMTransmitFile",
			"fromId,toId,fileName,taskId,size,status,updated,created",
			[]any{f.From, f.To, f.Name, f.Task, f.Size, 0, now, now}, "")
	})
	return s.wrote(err, replica.AboutUser(f.To))
}

// RemoveFile implements chat.Files. It compares ids of tasks once more, as some engines ignore
// trailing spaces.
func (s *Store) RemoveFile(ctx context.Context, from, to uint32, task string) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		var ids []uint32
		query := "SELECT id,COALESCE(taskId,'') FROM IMTransmitFile" +
			" WHERE fromId=? AND toId=? AND COALESCE(taskId,'')=?" + s.db.ForUpdate()
		err := sqldb.ByText(s.db, []string{task}, func([]string) error {
			return sqldb.Each(ctx, tx, query, []any{from, to, task},
				func(scan sqldb.Scanner) error {
					var id uint32
					var found string
					err := scan(&id, &found)
					if found == task {
						ids = append(ids, id)
					}
					return err
				})
		})
		if err != nil {
			return err
		}
		return sqldb.ExecIn(ctx, tx.Session, "DELETE FROM IMTransmitFile WHERE id IN (%s)", ids)
	})
	return s.wrote(err, replica.AboutUser(to))
}
