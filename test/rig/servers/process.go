package servers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// process is one run of a binary.
type process struct {
	cmd  *exec.Cmd
	log  string        // the file that has what it wrote in this run
	gone chan struct{} // closed when it has ended and was waited for
}

// launch starts a binary in the directory dir, what it writes in the file log there.
func launch(dir, log string, argv []string) (*process, error) {
	out, err := os.Create(filepath.Join(dir, log))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), log: out.Name(),
		gone: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.SysProcAttr = attributes()
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	return p, nil
}

// run starts the process and waits for its end. It keeps its thread for so long: the kernel ends
// the process when the thread that started it ends.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // how it ended is of no interest, what it said is in its log
		close(p.gone)
	}
}

// ended reports whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// kill ends the process as kill -9 does, also a frozen one, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // gone already: as good
	<-p.gone
}

// says returns the end of the log.
func (p *process) says() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	const most = 4 << 10
	return text[max(0, len(text)-most):]
}

// portTaken reports whether the process ended because somebody else has its port.
func (p *process) portTaken() bool {
	return p.ended() && bytes.Contains(bytes.ToLower(p.says()), []byte("address already in use"))
}

// stopped reports whether a process is held by SIGSTOP; where the system has no /proc, it says yes.
func stopped(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte(" "))
	return bytes.HasPrefix(state, []byte("T"))
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("sending %v to process %d: %w", s, p.cmd.Process.Pid, err)
	}
	return nil
}
