package startup

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// refusedStart runs the binary, which must end by itself with a code other than 0, and returns its
// last line: the only one a person should have to read, without usage or stack around it. The line
// must have every one of want.
func refusedStart(t *testing.T, cmd *exec.Cmd, want ...string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() <= 0 {
		t.Fatalf("it ended with %v, not with an exit code of its own; it wrote:\n%s", err, out)
	}
	text := strings.TrimSpace(string(out))
	lines := strings.Split(text, "\n")
	last := lines[len(lines)-1]
	for _, w := range want {
		if !strings.Contains(last, w) {
			t.Errorf("the last line does not have %q", w)
		}
	}
	for _, never := range []string{"Usage:", "goroutine ", "panic"} {
		if strings.Contains(text, never) {
			t.Errorf("the output has %q", never)
		}
	}
	said := 0
	for _, l := range lines {
		if !strings.HasPrefix(l, "{") || strings.Contains(l, `"ERROR"`) {
			said++
		}
	}
	if said != 1 {
		t.Errorf("%d lines tell of the error, want one", said)
	}
	if t.Failed() {
		t.Logf("output:\n%s", text)
	}
}

func serveCommand(ctx context.Context, data, listen string) *exec.Cmd {
	return exec.CommandContext(ctx, rig.Binary, "serve", "--data", data, "--listen", listen)
}

func TestSecondProcessIsRefused(t *testing.T) {
	p := rig.Start(t, rig.NewStore(t))
	refusedStart(t, serveCommand(rig.Within(t), p.Data, "127.0.0.1:0"), strconv.Itoa(p.Pid()),
		p.Addr, p.Data)
	rig.CheckServed(t, rig.Dial(t, p))

	// After a kill, what it left must not keep the next one out.
	p.Kill()
	rig.CheckServed(t, rig.Dial(t, rig.Start(t, p.Data)))
}

func TestPortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	refusedStart(t, serveCommand(rig.Within(t), rig.NewStore(t), ln.Addr().String()),
		ln.Addr().String(), "--listen")
}

// TestDirectoryNotWritable starts the binary, as a user without privileges, on a directory that it
// may only read.
func TestDirectoryNotWritable(t *testing.T) {
	parent, err := os.MkdirTemp("", "dbproxy-test") // t.TempDir is not for other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(parent, "data")
	if err := os.Mkdir(data, 0o555); err != nil {
		t.Fatal(err)
	}
	cmd := serveCommand(rig.Within(t), data, "127.0.0.1:0")
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody,
			Gid: nobody}}
	}
	refusedStart(t, cmd, data, "permission denied")
}

func TestDirectoryIsAFile(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	refusedStart(t, serveCommand(rig.Within(t), data, "127.0.0.1:0"), data)
}

// TestAdministrationBesideServer adds a user while the proxy runs, who can then log in.
func TestAdministrationBesideServer(t *testing.T) {
	p := rig.Start(t, rig.NewStore(t))
	run := func(stdin string, args ...string) string {
		t.Helper()
		out, err := harness.Run(rig.Within(t), rig.Binary, stdin, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	run("correct horse\n", "user", "add", "mallory", "--data", p.Data)
	if list := run("", "user", "list", "--data", p.Data); !strings.Contains(list, "mallory") ||
		!strings.Contains(list, "王小明") {
		t.Errorf("user list:\n%s", list)
	}
	run("", "department", "list", "--data", p.Data)
	run("", "version")

	sum := md5.Sum([]byte("correct horse"))
	login := rig.Call[*impb.IMValidateRsp](t, rig.Dial(t, p), &impb.IMValidateReq{
		UserName: proto.String("mallory"), Password: proto.String(hex.EncodeToString(sum[:])),
	})
	if login.GetResultCode() != 0 || login.GetUserInfo().GetUserRealName() != "mallory" {
		t.Errorf("login: %v", login)
	}
}
