package faultproxy_test

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/test/rig/faultproxy"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// throughRedis starts a Redis behind a proxy.
func throughRedis(t *testing.T) (*faultproxy.Proxy, *servers.Redis) {
	t.Helper()
	r := servers.StartRedis(t)
	return faultproxy.New(t, r.Addr()), r
}

// pipeline is commands, of words separated by blanks, as clients send them.
func pipeline(commands ...string) string {
	var b strings.Builder
	for _, command := range commands {
		words := strings.Fields(command)
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	return b.String()
}

// values are those of the keys a, b and c; "-" is none.
func values(t *testing.T, r *servers.Redis) string {
	t.Helper()
	answer := r.Do(t, "MGET", "a", "b", "c")
	all, err := answer.ToArray()
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, v := range all {
		s, err := v.ToString()
		if err != nil {
			s = "-"
		}
		text = append(text, s)
	}
	return strings.Join(text, " ")
}

func increment(args []string) bool { return args[0] == "INCRBY" }

func TestBeforeRedis(t *testing.T) {
	t.Parallel()
	p, r := throughRedis(t)
	shot := p.BeforeRedis(increment, faultproxy.Nth(1))
	c := dial(t, p.Addr())
	send(t, c, pipeline("SET a 1", "incrby b 5", "SET c 1"))
	<-shot.Done()
	if got := values(t, r); got != "1 - -" {
		t.Errorf("a, b, c are %s; want only a", got)
	}
	c = dial(t, p.Addr())
	send(t, c, pipeline("INCRBY b 5"))
	expect(t, c, ":5\r\n")
	if shot.Matched() != 2 || shot.Fired() != 1 {
		t.Errorf("matched %d, fired %d; want 2 and 1", shot.Matched(), shot.Fired())
	}
}

func TestAfterRedis(t *testing.T) {
	t.Parallel()
	p, r := throughRedis(t)
	shot := p.AfterRedis(increment, faultproxy.Nth(1))
	c := dial(t, p.Addr())
	send(t, c, pipeline("INCRBY a 5", "INCRBY b 5", "SET c 1"))
	ended(t, c, syscall.ECONNRESET)
	<-shot.Done()
	if got := values(t, r); got != "5 5 1" {
		t.Errorf("a, b, c are %s; want all commands executed", got)
	}
}

// TestRedisClientsAreUnderstood has the client that dbproxy uses, with its greeting and RESP3.
func TestRedisClientsAreUnderstood(t *testing.T) {
	t.Parallel()
	p, r := throughRedis(t)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{p.Addr()},
		ForceSingleClient: true,
		DisableCache:      true, DisableRetry: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	shot := p.AfterRedis(func(args []string) bool { return args[0] == "EVAL" }, faultproxy.Nth(2))
	do := func(by string) error {
		return client.Do(t.Context(), client.B().Arbitrary("EVAL",
			"return redis.call('INCRBY', KEYS[1], ARGV[1])", "1",
			"a", by).Build()).Error()
	}
	if err := do("1"); err != nil {
		t.Error(err)
	}
	if err := do("10"); err == nil {
		t.Error("the answer came")
	}
	<-shot.Done()
	if got := values(t, r); got != "11 - -" {
		t.Errorf("a is %s, want 11", got)
	}
	await(t, "the client's next connection", func() bool { return do("100") == nil })
}

func TestHoldRedisOutlivesItsClient(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"end", "reset"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			p, r := throughRedis(t)
			shot := p.HoldRedis(increment, faultproxy.Nth(1))
			c := dial(t, p.Addr())
			send(t, c, pipeline("SET a 1", "INCRBY b 5", "SET c 1"))
			expect(t, c, "+OK\r\n")
			<-shot.Done()
			silent(t, c)
			if how == "reset" {
				if err := c.SetLinger(0); err != nil {
					t.Fatal(err)
				}
			}
			c.Close()
			other := dial(t, p.Addr())
			send(t, other, pipeline("INCRBY b 1"))
			expect(t, other, ":1\r\n")
			if got := values(t, r); got != "1 1 -" {
				t.Errorf("a, b, c are %s; want what was sent before, and by the other", got)
			}
			shot.Release()
			await(t, "the late command", func() bool {
				return strings.HasPrefix(values(t, r), "1 6")
			})
			await(t, "the end of the connection", func() bool { return p.Connections() == 1 })
		})
	}
}

func TestHoldRedisPassesTheAnswerOn(t *testing.T) {
	t.Parallel()
	p, _ := throughRedis(t)
	shot := p.HoldRedis(increment, faultproxy.Every(1))
	var conns []net.Conn
	for range 3 {
		c := dial(t, p.Addr())
		send(t, c, pipeline("INCRBY a 1", "PING"))
		conns = append(conns, c)
	}
	await(t, "three held commands", func() bool { return shot.Fired() == 3 })
	shot.Release()
	shot.Release()
	for _, c := range conns {
		expect(t, c, ":")
		if _, err := c.Read(make([]byte, 1)); err != nil { // the value: the order is nobody's
			t.Fatal(err)
		}
		expect(t, c, "\r\n+PONG\r\n")
	}
}

// TestReleaseDoesNotWaitForWhatWasCut: a command that was cut while it was held is lost.
func TestReleaseDoesNotWaitForWhatWasCut(t *testing.T) {
	t.Parallel()
	p, r := throughRedis(t)
	shot := p.HoldRedis(increment, faultproxy.Nth(1))
	c := dial(t, p.Addr())
	send(t, c, pipeline("INCRBY a 1"))
	<-shot.Done()
	p.Cut()
	shot.Release()
	if got := values(t, r); got != "- - -" {
		t.Errorf("a, b, c are %s; want nothing executed", got)
	}
}

// TestShotsWorkBehindOtherFaults: a shot on a slow line, and one that a frozen line holds up.
func TestShotsWorkBehindOtherFaults(t *testing.T) {
	t.Parallel()
	p, r := throughRedis(t)
	p.Freeze()
	p.Delay(1)
	shot := p.AfterRedis(increment, faultproxy.Nth(1))
	c := dial(t, p.Addr())
	send(t, c, pipeline("INCRBY a 1"))
	silent(t, c)
	if shot.Fired() != 0 {
		t.Error("fired through a frozen line")
	}
	p.Thaw()
	<-shot.Done()
	if got := values(t, r); got != "1 - -" {
		t.Errorf("a is %s, want 1", got)
	}
}
