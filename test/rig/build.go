package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// build builds the binary under test and links it into dir. All test processes of a user build it
// at the same path, one after the other: so only the first one after a change waits for the linker,
// and none can test an old one. A process keeps its link when another one builds anew.
func build(ctx context.Context, dir string) (string, error) {
	race := UnderRace || os.Getenv("RACE") != ""
	name := fmt.Sprintf("dbproxy-built-%d", os.Getuid())
	if race {
		name += "-race"
	}
	shared := filepath.Join(os.TempDir(), name)
	if err := os.Mkdir(shared, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	lock, err := lockDir(shared)
	if err != nil {
		return "", err
	}
	defer lock.Close() // it gives the lock back
	built, err := harness.Build(ctx, shared, race)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "dbproxy")
	return binary, os.Link(built, binary)
}

// lockDir waits for the lock of a directory, which must belong to this user alone.
func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(ours(dir), syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)); err != nil {
		dir.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return dir, nil
}

// ours refuses a directory into which others could put a binary.
func ours(dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return errors.New("others may write there: remove it")
	}
	return nil
}
