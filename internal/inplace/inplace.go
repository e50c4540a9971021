// Package inplace keeps the files by which TeamTalk's scripts and its operators know a
// db_proxy_server, in the directory in which that is started: server.pid, by which the scripts stop
// it, and log/default.log.
//
// Neither is written through a symbolic link of another user, who could make it point to any file
// that this process may write. Links of our own user are followed.
package inplace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Program is the name of the original's program.
const Program = "db_proxy_server"

// PID is the file of the process's id.
const PID = "server.pid"

// LogFile is the file of the log.
const LogFile = "log/default.log"

// Dir is the directory in which a db_proxy_server is started.
type Dir struct {
	Path string
	User int // whose links are followed
}

// Here is the working directory, for the user of this process.
func Here() Dir { return Dir{Path: ".", User: os.Geteuid()} }

// ErrLink is the refusal to write through a link of another user.
var ErrLink = errors.New("it is a link that another user owns")

// WritePID writes the id of a process into server.pid, which whoever reads it finds whole. A link
// of another user is replaced.
func (d Dir) WritePID(pid int) (err error) {
	path, err := d.follow(filepath.Join(d.Path, PID))
	if errors.Is(err, ErrLink) {
		path, err = filepath.Join(d.Path, PID), nil
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+PID+".*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(pid)) // the original writes no newline either
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// Running returns the process that server.pid names, if it runs and is not this one; else 0.
func (d Dir) Running() int {
	text, err := readPID(filepath.Join(d.Path, PID))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 || pid == os.Getpid() || !Runs(pid) {
		return 0
	}
	return pid
}

// maxPID is how many bytes of server.pid are read.
const maxPID = 64

// readPID reads a file as far as it can be the id of a process. It does not wait for a writer of a
// pipe.
func readPID(path string) (text []byte, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return io.ReadAll(io.LimitReader(f, maxPID))
}

// Runs reports whether there is a process of that id.
func Runs(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// maxLinks is how many links may lead to a file.
const maxLinks = 10

// follow returns the file to which a path leads, which need not exist, over links of our own user.
// It fails with ErrLink at a link of another user.
func (d Dir) follow(path string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		} else if err != nil {
			return "", err
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != d.User {
			return "", fmt.Errorf("%s is not written: %w; remove it, or have it owned by user %d "+
				"(chown -h)", path, ErrLink, d.User)
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: %w", path, syscall.ELOOP)
}
