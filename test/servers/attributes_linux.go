package servers

import "syscall"

// attributes are those of a server's process: no Ctrl-C for it, and it is killed when we end, however that is.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
