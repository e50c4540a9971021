//go:build !linux

package servers

import (
	"os"
	"syscall"
)

// scratch is where servers store.
func scratch() string { return os.TempDir() }

// attributes are those of a server's process. Nothing ends it here when we are killed: Ctrl-C must
// reach it.
func attributes() *syscall.SysProcAttr { return nil }
