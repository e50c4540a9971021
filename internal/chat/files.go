package chat

import "context"

// OfflineFile is a file that waits for its receiver (a row of the table IMTransmitFile).
type OfflineFile struct {
	From, To uint32
	Task     string // names the transfer
	Name     string
	Size     uint32 // bytes
}

// Files keeps which files wait for whom. The suite's file server keeps the files themselves.
type Files interface {
	// Waiting returns the files that wait for a user, oldest first; a *TooLongError if they exceed
	// the limit of ctx.
	Waiting(ctx context.Context, user uint32) ([]OfflineFile, error)
	// AddFile notes a file, at now (Unix seconds).
	AddFile(ctx context.Context, f OfflineFile, now uint32) error
	// RemoveFile forgets every file of that sender, receiver and task.
	RemoveFile(ctx context.Context, from, to uint32, task string) error
}

// WaitingFiles returns the files that wait for a user, oldest first.
func (s *Service) WaitingFiles(ctx context.Context, user uint32) ([]OfflineFile, error) {
	return s.store.Files.Waiting(ctx, user)
}

// AddFile notes a file that waits for its receiver.
func (s *Service) AddFile(ctx context.Context, f OfflineFile) error {
	if err := checkText("task id", f.Task, MaxTaskID); err != nil {
		return err
	}
	if err := checkText("file name", f.Name, MaxFileName); err != nil {
		return err
	}
	return s.store.Files.AddFile(ctx, f, s.unix())
}

// RemoveFile forgets every waiting file of that sender, receiver and task.
func (s *Service) RemoveFile(ctx context.Context, from, to uint32, task string) error {
	if err := checkText("task id", task, MaxTaskID); err != nil {
		return err
	}
	return s.store.Files.RemoveFile(ctx, from, to, task)
}
