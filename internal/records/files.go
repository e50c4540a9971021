package records

import (
	"cmp"
	"context"
	"database/sql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Waiting implements chat.Files.
func (s *Store) Waiting(ctx context.Context, user uint32) ([]chat.OfflineFile, error) {
	return read(ctx, s, func(ctx context.Context, r reader) ([]chat.OfflineFile, error) {
		return r.waiting(ctx, user)
	}, aboutUser(user))
}

func (r reader) waiting(ctx context.Context, user uint32) (files []chat.OfflineFile, err error) {
	size := chat.NewMeasure(ctx, "offline files")
	err = r.query(ctx, "offline files", "SELECT fromId,toId,COALESCE(taskId,''),COALESCE(fileName,''),size FROM IMTransmitFile"+
		" WHERE toId=? AND status=0 ORDER BY created, id", []any{user}, func(scan scanner) error {
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
	err := s.change(ctx, func(tx *sql.Tx) error {
		return insert(ctx, tx, s.dialect, "IMTransmitFile", "fromId,toId,fileName,taskId,size,status,updated,created",
			[]any{f.From, f.To, f.Name, f.Task, f.Size, 0, now, now}, "")
	})
	return s.wrote(err, aboutUser(f.To))
}

// RemoveFile implements chat.Files. Task ids are compared here once more: some engines ignore trailing spaces.
func (s *Store) RemoveFile(ctx context.Context, from, to uint32, task string) error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		var ids []uint32
		query := "SELECT id,COALESCE(taskId,'') FROM IMTransmitFile" +
			" WHERE fromId=? AND toId=? AND COALESCE(taskId,'')=?" + s.dialect.lock()
		err := byText(s.dialect, []string{task}, func([]string) error {
			return each(ctx, tx, query, []any{from, to, task}, func(scan scanner) error {
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
		return chunked(ids, func(ids []uint32) error {
			_, err := exec(ctx, tx, "DELETE FROM IMTransmitFile WHERE id IN ("+marks(len(ids))+")", args(ids)...)
			return err
		})
	})
	return s.wrote(err, aboutUser(to))
}
