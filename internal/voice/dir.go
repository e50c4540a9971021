// Package voice keeps the sound of voice messages as files, in a directory or on the suite's file
// server, msfs.
package voice

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// Dir keeps sounds in a directory, spread over subdirectories. It implements chat.Voice, and is
// safe for concurrent use.
type Dir struct {
	root *os.Root

	mu   sync.Mutex
	made map[string]bool // subdirectories that outlast a crash; guarded by mu
}

// OpenDir opens a directory for sounds, and makes it when it is missing. Close ends it.
func OpenDir(name string) (*Dir, error) {
	if err := os.MkdirAll(name, 0o750); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root, made: make(map[string]bool)}, nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Save implements chat.Voice. When it returns, the file is on the disk, and outlasts a crash.
func (d *Dir) Save(_ context.Context, sound []byte) (name string, err error) {
	id := rand.Text()
	sub := id[:2]
	if err := d.makeSub(sub); err != nil {
		return "", d.failed("making a directory for", err)
	}
	name = path.Join(sub, id+".audio")
	if err := d.write(name, sound); err != nil {
		d.root.Remove(name) // it is of no use; where that fails a stray file stays
		return "", d.failed("writing", err)
	}
	return name, nil
}

// makeSub makes a subdirectory that outlasts a crash.
func (d *Dir) makeSub(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.made[name] {
		return nil
	}
	if err := d.root.Mkdir(name, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.sync("."); err != nil {
		return err
	}
	d.made[name] = true
	return nil
}

func (d *Dir) write(name string, sound []byte) (err error) {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(sound)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.sync(path.Dir(name))
}

// sync has the entries of a directory outlast a crash.
func (d *Dir) sync(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Discard implements chat.Voice.
func (d *Dir) Discard(_ context.Context, name string) error {
	if err := d.root.Remove(filepath.FromSlash(name)); err != nil {
		return d.failed("removing", err)
	}
	return nil
}

// Load implements chat.Voice.
func (d *Dir) Load(_ context.Context, name string) ([]byte, error) {
	data, err := d.root.ReadFile(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, chat.Errorf(chat.NotFound, "no file %s in %s", name, d.root.Name())
	}
	if err != nil {
		return nil, d.failed("reading", err)
	}
	return data, nil
}

func (d *Dir) failed(doing string, err error) error {
	err = fmt.Errorf("%s a sound in %s: %w", doing, d.root.Name(), descriptors.Explain(err))
	return &chat.Error{Kind: chat.Unavailable, Err: err}
}
