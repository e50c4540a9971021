package servers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// Redis is a running redis-server, or a sentinel. It stores nothing on the disk unless it is told
// to: a Restart is empty, or has what the last SAVE stored.
type Redis struct {
	Engine
	Password string // of the default user, from a --requirepass among its arguments; empty: none
	args     []string
}

// StartRedis starts a server for this test. args are more arguments of redis-server, after ours:
// "--requirepass", "x". Its port must stay without TLS; a --tls-port may be added.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := newRedis("redis", args)
	r.begin(t, false, nil)
	return r
}

func newRedis(name string, args []string) *Redis {
	r := &Redis{args: args}
	if i := slices.Index(args, "--requirepass"); i >= 0 && i+1 < len(args) {
		r.Password = args[i+1]
	}
	r.Engine = Engine{name: name, argv: r.commandLine, ready: r.serves}
	return r
}

func (r *Redis) commandLine(e *Engine) ([]string, error) {
	binary, err := find("redis-server")
	if err != nil {
		return nil, err
	}
	return append([]string{binary, "--bind", host, "--port", strconv.Itoa(e.port.number), "--dir",
		e.dir,
		"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"}, r.args...), nil
}

// serves proves that our server serves, which has loaded its data.
func (r *Redis) serves(e *Engine) error {
	info, err := r.do("INFO")
	if err != nil {
		return err
	}
	text, err := info.ToString()
	if err != nil {
		return err
	}
	if !strings.Contains(text, fmt.Sprintf("process_id:%d\r\n", e.proc.cmd.Process.Pid)) {
		return fmt.Errorf("on port %d is another server", e.port.number)
	}
	if strings.Contains(text, "\nloading:1") {
		return fmt.Errorf("the server on port %d still loads its data", e.port.number)
	}
	return nil
}

// Do executes one command in database 0, on a connection of its own, and returns its answer, which
// may be Redis's nil but no error. Answers are those of RESP2. It is for a test's own questions and
// changes, not for speed.
func (r *Redis) Do(t testing.TB, args ...string) rueidis.RedisMessage {
	t.Helper()
	answer, err := r.do(args...)
	if err != nil {
		t.Fatalf("%s %v: %v", r.Addr(), args, err)
	}
	return answer
}

func (r *Redis) do(args ...string) (rueidis.RedisMessage, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{r.Addr()},
		Password:          r.Password,
		ForceSingleClient: true, AlwaysRESP2: true, DisableCache: true, DisableRetry: true,
		ClientSetInfo: rueidis.DisableClientSetInfo})
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := c.Do(ctx, c.B().Arbitrary(args...).Build()).ToMessage()
	if rueidis.IsRedisNil(err) {
		err = nil
	}
	return answer, err
}

// text executes a command whose answer is text.
func (r *Redis) text(args ...string) (string, error) {
	answer, err := r.do(args...)
	if err != nil {
		return "", err
	}
	return answer.ToString()
}

// RestartWithData is Restart with all that the server has: it must serve.
func (r *Redis) RestartWithData(t testing.TB) {
	t.Helper()
	r.Do(t, "SAVE")
	r.Restart(t)
}
