package servers

import (
	"os"
	"syscall"
)

// scratch is where servers store: in memory where there is enough of it, which makes tables more
// than twice as fast, unless TMPDIR says where.
func scratch() string {
	const memory, enough = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memory, &fs) == nil &&
		fs.Bavail*uint64(fs.Bsize) >= enough {
		return memory
	}
	return os.TempDir()
}

// attributes are those of a server's process: no Ctrl-C for it, and it is killed when we end,
// however that is.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
