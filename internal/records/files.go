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
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.OfflineFile, error) {
		return r.waiting(ctx, user)
	}, replica.AboutUser(user))
}

func (r reader) waiting(ctx context.Context, user uint32) (files []chat.OfflineFile, err error) {
	size := chat.NewMeasure(ctx, "offline files")
	err = r.Query(ctx, "offline files", "SELECT fromId,toId,COALESCE(taskId,''),COALESCE(fileName,''),size FROM IMTransmitFile"+
		" WHERE toId=? AND status=0 ORDER BY created, id", []any{user}, func(scan sqldb.Scanner) error {
		var f chat.OfflineFile
		err := scan(&f.From, &f.To, &f.Task, &f.Name, &f.Size)
		if size.Add(len(f.Task) + len(f.Name) + 32) {
			files = append(files, f)
		} else {
			files = nil
		}
		return err
	})
	return files, cmp.Or(err, size.Err())
}

// AddFile implements chat.Files.
func (s *Store) AddFile(ctx context.Context, f chat.OfflineFile, now uint32) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		return sqldb.Insert(ctx, tx.Session, "IMTransmitFile", "fromId,toId,fileName,taskId,size,status,updated,created",
			[]any{f.From, f.To, f.Name, f.Task, f.Size, 0, now, now}, "")
	})
	return s.wrote(err, replica.AboutUser(f.To))
}

// RemoveFile implements chat.Files. Task ids are compared here once more: some engines ignore trailing spaces.
func (s *Store) RemoveFile(ctx context.Context, from, to uint32, task string) error {
	err := s.db.Change(ctx, func(tx sqldb.Tx) error {
		var ids []uint32
		query := "SELECT id,COALESCE(taskId,'') FROM IMTransmitFile" +
			" WHERE fromId=? AND toId=? AND COALESCE(taskId,'')=?" + s.db.ForUpdate()
		err := sqldb.ByText(s.db, []string{task}, func([]string) error {
			return sqldb.Each(ctx, tx, query, []any{from, to, task}, func(scan sqldb.Scanner) error {
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
		return sqldb.Chunked(ids, func(ids []uint32) error {
			_, err := sqldb.Exec(ctx, tx, "DELETE FROM IMTransmitFile WHERE id IN ("+sqldb.Params(len(ids))+")", sqldb.Args(ids)...)
			return err
		})
	})
	return s.wrote(err, replica.AboutUser(to))
}
