// Package descriptors knows how many files and connections the process may have open, how many it
// has open, and what to do when it needs more.
package descriptors

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
)

// More is how to raise the limit.
const More = "ulimit -n, or LimitNOFILE= in a unit of systemd"

// Limit is how many descriptors the process may have. (Where the soft limit is below the hard one,
// Go has raised it.)
func Limit() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("asking for the limit of open files: %w", err)
	}
	return int(min(limit.Cur, math.MaxInt32)), nil
}

// Open is how many descriptors the process has, those that it was started with included.
func Open() (int, error) {
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0, fmt.Errorf("counting open files: %w", err)
	}
	return len(list) - 1, nil // one was that of the list
}

// Mend is what to do about an error that says that there are no more descriptors; empty for any
// other error.
func Mend(err error) string {
	if err == nil {
		return ""
	}
	is := func(code syscall.Errno) bool {
		// Errors of name services have the text alone.
		return errors.Is(err, code) || strings.Contains(err.Error(), code.Error())
	}
	switch {
	case is(syscall.ENFILE): // its text begins with that of the other
		return "this machine may not have more files open: raise its limit (sysctl fs.file-max)"
	case is(syscall.EMFILE):
		return "this process may not have more files and connections open: raise its limit (" +
			More + ")"
	default:
		return ""
	}
}

// Explain adds to an error what Mend says, once.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if mend := Mend(err); mend != "" && !strings.Contains(err.Error(), mend) {
		return fmt.Errorf("%w: %s", err, mend)
	}
	return err
}

// Scarce returns an error if the process cannot open some more descriptors now, else nil.
func Scarce(some int) error {
	open, err := Open()
	if err != nil {
		return err
	}
	limit, err := Limit()
	if err == nil && limit-open < some {
		return syscall.EMFILE
	}
	return err
}
