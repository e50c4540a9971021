package chat_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func (w *world) addFile(from, to uint32, task string) {
	w.Helper()
	w.must(w.svc.AddFile(w.ctx,
		chat.OfflineFile{From: from, To: to, Task: task, Name: "name of " + task, Size: 7}))
}

// waiting says which files wait for a user: "from/task" of each.
func (w *world) waiting(user uint32) string {
	w.Helper()
	files, err := w.svc.WaitingFiles(w.ctx, user)
	w.must(err)
	var texts []string
	for _, f := range files {
		texts = append(texts, fmt.Sprintf("%d/%s", f.From, f.Task))
	}
	return strings.Join(texts, " ")
}

func TestOfflineFilesWaitForTheirReceiverOldestFirst(t *testing.T) {
	rule(t, func(w *world) {
		w.addFile(1, 2, "b")
		w.addFile(3, 2, "a") // in the same second: the row that came first
		w.addFile(1, 3, "for 3")
		w.clock.set(noon.Add(-seconds(10)))
		w.addFile(1, 2, "older")
		wantSame(w, "for 2", w.waiting(2), "1/older 1/b 3/a")
		wantSame(w, "for 3", w.waiting(3), "1/for 3")
		wantSame(w, "for 1", w.waiting(1), "")
		files, err := w.svc.WaitingFiles(w.ctx, 3)
		w.must(err)
		wantSame(w, "the file", files,
			[]chat.OfflineFile{{From: 1, To: 3, Task: "for 3", Name: "name of for 3", Size: 7}})
		w.raw.Want("SELECT fromId,toId,fileName,taskId,size,status,created,updated FROM "+
			"IMTransmitFile WHERE toId=3",
			fmt.Sprintf("1 3 name of for 3 for 3 7 0 %d %d", noon.Unix(), noon.Unix()))
	})
}

func TestFilesThatWereFetchedDoNotWait(t *testing.T) {
	rule(t, func(w *world) {
		w.addFile(1, 2, "a")
		w.addFile(1, 2, "b")
		w.raw.Run("UPDATE IMTransmitFile SET status=1 WHERE taskId='a'")
		wantSame(w, "for 2", w.waiting(2), "1/b")
	})
}

func TestRemovingAFileRemovesEveryRowOfExactlyThatTask(t *testing.T) {
	rule(t, func(w *world) {
		for _, task := range []string{"task", "task", "Task", "task ", " task", "task%", "tas",
			"tâsk", "t'"} {
			w.addFile(1, 2, task)
		}
		w.raw.Run("UPDATE IMTransmitFile SET status=1 WHERE id=2")
		w.addFile(1, 3, "task")
		w.addFile(3, 2, "task")
		w.must(w.svc.RemoveFile(w.ctx, 1, 2, "task"))
		wantSame(w, "for 2", w.waiting(2),
			"1/Task 1/task  1/ task 1/task% 1/tas 1/tâsk 1/t' 3/task")
		wantSame(w, "for 3", w.waiting(3), "1/task")
		wantSame(w, "rows", w.raw.Count("SELECT COUNT(*) FROM IMTransmitFile"), 9)
		w.leavesNoTrace(func() {
			w.must(w.svc.RemoveFile(w.ctx, 1, 2, "task")) // none left
			w.must(w.svc.RemoveFile(w.ctx, 2, 1, "Task"))
			w.must(w.svc.RemoveFile(w.ctx, 1, 2, "%"))
		})
		w.must(w.svc.RemoveFile(w.ctx, 1, 2, "t'"))
		wantSame(w, "for 2", w.waiting(2), "1/Task 1/task  1/ task 1/task% 1/tas 1/tâsk 3/task")
	})
}

func TestTheSameFileTwiceWaitsTwice(t *testing.T) {
	rule(t, func(w *world) {
		w.addFile(1, 2, "a")
		w.addFile(1, 2, "a")
		wantSame(w, "for 2", w.waiting(2), "1/a 1/a")
	})
}

func TestFilesWhoseTextsDoNotFitAreRefused(t *testing.T) {
	rule(t, func(w *world) {
		w.must(w.svc.AddFile(w.ctx,
			chat.OfflineFile{From: 1, To: 2, Task: repeat("语", 128), Name: repeat("😀", 4096),
				Size: 4294967295}))
		files, err := w.svc.WaitingFiles(w.ctx, 2)
		w.must(err)
		wantSame(w, "the widest", files,
			[]chat.OfflineFile{{From: 1, To: 2, Task: repeat("语", 128), Name: repeat("😀", 4096),
				Size: 4294967295}})
		w.leavesNoTrace(func() {
			for name, f := range map[string]chat.OfflineFile{
				"a task of 129 characters":  {Task: repeat("x", 129)},
				"a task with a NUL":         {Task: "\x00"},
				"a task not UTF-8":          {Task: "\xff"},
				"a name of 4097 characters": {Task: "x", Name: repeat("x", 4097)},
				"a name with a NUL":         {Task: "x", Name: "\x00"},
				"a name not UTF-8":          {Task: "x", Name: "\xff"},
			} {
				f.From, f.To = 1, 2
				if wantKind(w, w.svc.AddFile(w.ctx, f), chat.Invalid); w.Failed() {
					w.Fatal(name)
				}
			}
			for _, task := range []string{repeat("x", 129), "\x00", "\xff"} {
				wantKind(w, w.svc.RemoveFile(w.ctx, 1, 2, task), chat.Invalid)
			}
		})
	})
}

func TestAListOfFilesIsWholeOrRefused(t *testing.T) {
	rule(t, func(w *world) {
		w.addFile(1, 2, "a")
		w.raw.Run("UPDATE IMTransmitFile SET fileName=?", repeat("x", 4096))
		for n := 1; n < 2048; n *= 2 {
			w.raw.Run("INSERT INTO IMTransmitFile " +
				"(fromId,toId,fileName,taskId,size,status,created,updated) SELECT " +
				"fromId,toId,fileName,taskId,size,status,created,updated FROM IMTransmitFile")
		}
		whole(w, 4096, func(f chat.OfflineFile) uint32 {
			return f.From
		}, slices.Repeat([]uint32{1}, 2048),
			func(ctx context.Context) ([]chat.OfflineFile, error) {
				return w.svc.WaitingFiles(ctx, 2)
			})
	})
}
