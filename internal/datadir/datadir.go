// Package datadir is about the directory of the embedded store: it must exist and be writable, and
// one server at a time owns it.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// Dir is a data directory.
type Dir struct {
	path string
	lock *os.File
}

// owner is the server that owns a directory, as it says in the file of the lock.
type owner struct {
	PID     int       `json:"pid"`
	Listen  string    `json:"listen"`
	Started time.Time `json:"started"`
}

// inUse says that another server owns the directory. The owner is zero while it is starting.
func (d *Dir) inUse(by owner) error {
	who, how := "another dbproxy", ""
	if by.PID != 0 {
		who = fmt.Sprintf("dbproxy process %d, listening on %s since %s", by.PID, by.Listen,
			by.Started.Format(time.DateTime))
		how = fmt.Sprintf(" (kill %d)", by.PID)
	}
	return fmt.Errorf("the data directory %s is in use by %s; stop it first%s, or choose "+
		"another directory with --data", d.path, who, how)
}

// Open returns the directory at path, and makes it when it is missing.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: abs}
	return d, d.Explain(os.MkdirAll(abs, 0o750))
}

// Existing returns the directory of a store that is there already.
func Existing(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: abs}
	if _, err := os.Stat(d.Database()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no store in %s; name its directory with --data, or make "+
			"one with \"dbproxy migrate --data %s\"", abs, path)
	} else if err != nil {
		return nil, d.Explain(err)
	}
	return d, nil
}

// Path is the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// Database is the path of the records' file.
func (d *Dir) Database() string { return filepath.Join(d.path, "dbproxy.db") }

// Voice is the path of the directory for sounds.
func (d *Dir) Voice() string { return filepath.Join(d.path, "voice") }

// Own makes this process the owner of the directory until Release or until the process ends,
// however it ends. It fails when another process is the owner.
func (d *Dir) Own(listen string) error {
	f, err := os.OpenFile(filepath.Join(d.path, "dbproxy.lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return d.Explain(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		var by owner
		_ = json.NewDecoder(f).Decode(&by) // the file is empty while the other one is starting
		return d.inUse(by)
	}
	d.lock = f
	return d.Announce(listen)
}

// Announce writes into the directory where its owner listens, for those who cannot own it
// meanwhile.
func (d *Dir) Announce(listen string) error {
	note, err := json.Marshal(owner{PID: os.Getpid(), Listen: listen, Started: time.Now()})
	if err != nil {
		return err
	}
	if err := d.lock.Truncate(0); err != nil {
		return d.Explain(err)
	}
	_, err = d.lock.WriteAt(append(note, '\n'), 0)
	return d.Explain(err)
}

// Release gives up a directory that is owned.
func (d *Dir) Release() error { return d.lock.Close() }

// Explain adds to an error of a file in the directory what can be done about it.
func (d *Dir) Explain(err error) error {
	switch {
	case err == nil:
		return nil
	case descriptors.Mend(err) != "":
		return descriptors.Explain(err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; the user this runs as (uid %d) must be able to write in %s: "+
			"change its owner (chown) or choose another directory with --data", err, os.Getuid(),
			d.path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w; free some space on the disk that holds %s, or choose another "+
			"directory with --data", err, d.path)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w; %s or something above it is a file: choose another directory with "+
			"--data", err, d.path)
	default:
		return err
	}
}
