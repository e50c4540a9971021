package harness

import "syscall"

// endsWithUs are attributes with which a process is killed when we end, however that is: a test
// that is killed, or whose output nobody reads any more, stops nothing.
func endsWithUs(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	var with syscall.SysProcAttr
	if attr != nil {
		with = *attr
	}
	with.Pdeathsig = syscall.SIGKILL
	return &with
}
