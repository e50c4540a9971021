package startup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// onTmpfs returns what makes a process see a small file system of its own at dir: a command to wrap
// it in, and the attributes of a user and mount namespace, which need no privileges.
func onTmpfs(dir, size string) (wrap []string, attr *syscall.SysProcAttr) {
	const script = `mount -t tmpfs -o size="$0" dbproxy-test "$1" && shift && exec "$@"`
	return []string{"/bin/sh", "-c", script, size, dir}, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

func TestDiskFullAtStart(t *testing.T) {
	data := t.TempDir()
	wrap, attr := onTmpfs(data, "8k")
	argv := append(wrap, rig.Binary, "serve", "--data", data, "--listen", "127.0.0.1:0")
	cmd := exec.CommandContext(rig.Within(t), argv[0], argv[1:]...)
	cmd.SysProcAttr = attr
	refusedStart(t, cmd, data, "full")
}

// TestDiskFull fills the disk of a running proxy: what cannot be stored is answered with id 0,
// reads go on; and when there is space again, messages are stored again. What was answered with an
// id is there, and nothing else.
func TestDiskFull(t *testing.T) {
	data := t.TempDir()
	wrap, attr := onTmpfs(data, "12m")
	p := rig.StartWith(t, harness.Options{Data: data, Wrap: wrap, Attr: attr})
	c := rig.Dial(t, p)
	big := rig.Secret + strings.Repeat("x", 4000)
	sent := 0
	var stored []audit.Row
	send := func() uint32 {
		sent++
		req := rig.PairText(1, 2, fmt.Sprintf("%d %s", sent, big))
		id := rig.Call[*impb.IMMsgData](t, c, req).GetMsgId()
		if id != 0 {
			stored = append(stored, audit.Row{ID: id, From: 1, Content: string(req.GetMsgData())})
		}
		return id
	}
	if send() != 1 {
		t.Fatal("the first message was not stored")
	}

	// The directory as the process sees it.
	filler := filepath.Join("/proc", fmt.Sprint(p.Pid()), "root", data, "filler")
	fill(t, filler)
	for send() != 0 { // the store may have some space left
		if sent > 10000 {
			t.Fatal("40 MB were stored on 12")
		}
	}
	for range 3 {
		send()
		audit.CheckPaging(t, c, lines.PairTalk(1, 2), stored)
	}
	if got := rig.Call[*impb.IMQueryPushShieldRsp](t, c,
		&impb.IMQueryPushShieldReq{UserId: proto.Uint32(1)}); got.GetUserId() != 1 {
		t.Errorf("a read while the disk is full: %v", got)
	}
	says := func(l harness.Line) bool {
		return (l.Level == "ERROR" || l.Level == "WARN") && strings.Contains(l.Raw, "full")
	}
	if _, err := p.Log.Await(rig.Within(t), says); err != nil {
		t.Errorf("the log does not say that the disk is full: %v", err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if send() == 0 {
		t.Error("there is space again, and a message was not stored")
	}
	audit.CheckPaging(t, c, lines.PairTalk(1, 2), stored)
	checkNewest(t, c, stored)
}

// checkNewest sees that the messages stored between users 1 and 2 have the ids from 1 and that
// there are no others.
func checkNewest(t *testing.T, c *client.Client, stored []audit.Row) {
	t.Helper()
	for i, m := range stored {
		if m.ID != uint32(i+1) {
			t.Fatalf("stored message %d has id %d", i+1, m.ID)
		}
	}
	newest := rig.Call[*impb.IMGetLatestMsgIdRsp](t, c, &impb.IMGetLatestMsgIdReq{
		UserId: proto.Uint32(1), SessionType: rig.Pair.Enum(), SessionId: proto.Uint32(2),
	}).GetLatestMsgId()
	if newest != uint32(len(stored)) {
		t.Errorf("the newest id is %d, %d messages are stored", newest, len(stored))
	}
}

// fill makes a file that takes all space there is.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zeros := io.LimitReader(zeroReader{}, 1<<30)
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, zeros, make([]byte, 4096)); !errors.Is(err,
		syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
