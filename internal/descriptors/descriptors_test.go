package descriptors_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

func TestOpenCounts(t *testing.T) {
	before, err := descriptors.Open()
	if err != nil {
		t.Fatal(err)
	}
	const more = 7
	for range more {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	after, err := descriptors.Open()
	if err != nil || after != before+more {
		t.Errorf("%d, and with %d more %d, %v", before, more, after, err)
	}
	if limit, err := descriptors.Limit(); err != nil || limit <= after {
		t.Errorf("the limit is %d, %v", limit, err)
	}
	if err := descriptors.Scarce(10); err != nil {
		t.Error(err)
	}
	if err := descriptors.Scarce(1 << 40); descriptors.Mend(err) == "" {
		t.Error(err)
	}
}

func TestExplain(t *testing.T) {
	socket := &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	name := &net.DNSError{Name: "db", Err: socket.Error()}
	for _, err := range []error{
		&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE},
		fmt.Errorf("dialling: %w", socket), name,
	} {
		got := descriptors.Explain(err)
		if !errors.Is(got, err) || !strings.Contains(got.Error(), "too many open files") ||
			!strings.Contains(got.Error(), "ulimit -n") {
			t.Errorf("%v: %v", err, got)
		}
	}
	all := descriptors.Explain(syscall.ENFILE).Error()
	if !strings.Contains(all, "fs.file-max") || strings.Contains(all, "ulimit") {
		t.Error(all)
	}
	once := descriptors.Explain(syscall.EMFILE)
	if twice := descriptors.Explain(once); twice.Error() != once.Error() {
		t.Error(twice)
	}
	for _, err := range []error{nil, fs.ErrPermission, syscall.ENOSPC} {
		if got := descriptors.Explain(err); got != err {
			t.Errorf("%v: %v", err, got)
		}
	}
}
