//go:build !linux

package servers

import "syscall"

// attributes are those of a server's process. Nothing ends it here when we are killed: Ctrl-C must reach it.
func attributes() *syscall.SysProcAttr { return nil }
