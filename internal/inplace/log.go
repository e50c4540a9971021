package inplace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// checkEvery is how often the log checks whether its file is still at its path. Whoever removes or
// moves the file wants a new one.
const checkEvery = time.Second

// Log is log/default.log, an io.Writer of whole lines. A file that is full becomes default.log.1,
// that one default.log.2, and so on. A file that cannot be opened is tried again with each line.
// Log is safe for concurrent use; several processes may write one log.
type Log struct {
	dir      Dir
	complain func(error) []byte

	mu      sync.Mutex // guards the fields below
	max     int64
	keep    int
	path    string // of the file itself, behind all links
	file    *os.File
	size    int64
	full    int64     // the size at which the file is put aside
	checked time.Time // when it was last checked whether file is at path
}

// OpenLog opens the log, and makes its directory where it is missing. A file may have max bytes, or
// one longer line, and keep full files are kept. complain makes the line that says why a full file
// cannot be put aside; then that file grows on.
//
// The log can be used whatever the error, which says why nothing could be written yet.
func (d Dir) OpenLog(max int64, keep int, complain func(error) []byte) (*Log, error) {
	l := &Log{dir: d, complain: complain, max: max, keep: keep}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l, l.open()
}

// Rotate changes how many bytes each file may have, and how many full ones are kept.
func (l *Log) Rotate(max int64, keep int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max, l.keep, l.full = max, keep, max
}

// Write writes a line. The error says why it is not written, or not whole.
func (l *Log) Write(line []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(len(line)); err != nil {
		return 0, err
	}
	n, err = l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// Close closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.close()
}

func (l *Log) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// ready makes sure that there is a file that may grow by n bytes.
func (l *Log) ready(n int) error {
	if l.file != nil && time.Since(l.checked) >= checkEvery && !l.there() {
		_ = l.close() // nothing is lost with it
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size == 0 || l.size+int64(n) <= l.full {
		return nil
	}
	if l.there() {
		if err := l.putAside(); err != nil {
			l.full = l.size + l.max // it is tried again then
			wrote, err := l.file.Write(l.complain(err))
			l.size += int64(wrote)
			return err
		}
	}
	_ = l.close()
	return l.open()
}

// there reports whether the file is still at its path.
func (l *Log) there() bool {
	l.checked = time.Now()
	ours, err := l.file.Stat()
	if err != nil {
		return false
	}
	info, err := os.Lstat(l.path)
	return err == nil && os.SameFile(ours, info)
}

// putAside renames the file, and those put aside before. The oldest goes.
func (l *Log) putAside() error {
	if l.keep == 0 {
		return os.Remove(l.path)
	}
	name := func(i int) string { return fmt.Sprint(l.path, ".", i) }
	for i := l.keep - 1; i > 0; i-- {
		if err := os.Rename(name(i), name(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(l.path, name(1))
}

// open opens the file, or makes it.
func (l *Log) open() error {
	dir, err := l.dir.follow(filepath.Join(l.dir.Path, filepath.Dir(LogFile)))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if l.path, err = l.dir.follow(filepath.Join(dir, filepath.Base(LogFile))); err != nil {
		return err
	}
	const flags = os.O_WRONLY | os.O_APPEND | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(l.path, flags, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file: it is %v", l.path, info.Mode().Type())
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size, l.full, l.checked = f, info.Size(), l.max, time.Now()
	// The scripts throw the standard error away, so a crash would be told nowhere else. Without
	// this file it goes there all the same.
	_ = debug.SetCrashOutput(f, debug.CrashOptions{})
	return nil
}
