//go:build !linux

package harness

import "syscall"

// endsWithUs are attributes as they are: nothing ends a process here when we are killed.
func endsWithUs(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }
