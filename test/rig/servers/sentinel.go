package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// MasterName is the name by which the sentinels know their master.
const MasterName = "mymaster"

// SentinelGroup is a master with a replica under three sentinels. Which of the two is the master
// may change at any time: the sentinels give it a second of silence only, and a busy machine may be
// silent for so long.
type SentinelGroup struct {
	Nodes     []*Redis // the first one was the master at the start
	Sentinels []*Redis
}

// Sentinel starts such a group for this test, quorum 2, and waits until all know each other. args
// are more arguments of the two servers.
func Sentinel(t testing.TB, args ...string) *SentinelGroup {
	t.Helper()
	g := &SentinelGroup{}
	master := StartRedis(t, args...)
	follow := []string{"--replicaof", host + " " + strconv.Itoa(master.Port())}
	if master.Password != "" {
		follow = append(follow, "--masterauth", master.Password)
	}
	g.Nodes = []*Redis{master, StartRedis(t, append(follow, args...)...)}
	must(t, await("the replica", func() error {
		info, err := g.Nodes[1].text("INFO", "replication")
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New(info)
		}
		return err
	}))
	for range 3 {
		g.Sentinels = append(g.Sentinels, startSentinel(t, master))
	}
	must(t, await("the sentinels", g.knowAll))
	return g
}

func startSentinel(t testing.TB, master *Redis) *Redis {
	t.Helper()
	r := newRedis("redis-sentinel", nil)
	r.argv = func(e *Engine) ([]string, error) {
		binary, err := find("redis-server")
		return []string{binary, filepath.Join(e.dir, "sentinel.conf"), "--sentinel", "--bind", host,
			"--port", strconv.Itoa(e.port.number)}, err
	}
	conf := fmt.Sprintf(
		"sentinel monitor %[1]s %[2]s %[3]d 2\nsentinel down-after-milliseconds %[1]s 1000\n"+
			"sentinel failover-timeout %[1]s 5000\n", MasterName, host, master.Port())
	if master.Password != "" {
		conf += fmt.Sprintf("sentinel auth-pass %s %s\n", MasterName, master.Password)
	}
	r.begin(t, false, func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "sentinel.conf"), []byte(conf), 0o600)
	})
	return r
}

// Addrs are the addresses of the sentinels.
func (g *SentinelGroup) Addrs() []string {
	var addrs []string
	for _, r := range g.Sentinels {
		addrs = append(addrs, r.Addr())
	}
	return addrs
}

// knowAll returns what a sentinel does not know yet of the others and the replica, nil: nothing.
func (g *SentinelGroup) knowAll() error {
	for _, r := range g.Sentinels {
		answer, err := r.do("SENTINEL", "MASTER", MasterName)
		if err != nil {
			return err
		}
		state, err := answer.AsStrMap()
		if err != nil {
			return err
		}
		if state["num-other-sentinels"] != "2" || state["num-slaves"] != "1" ||
			state["flags"] != "master" {
			return fmt.Errorf("sentinel %s says %v", r.Addr(), state)
		}
		if _, err := r.do("SENTINEL", "CKQUORUM", MasterName); err != nil {
			return err
		}
	}
	return nil
}

// Master is the server that all running sentinels take for the master and that says so itself;
// waits until there is one.
func (g *SentinelGroup) Master(t testing.TB) *Redis {
	t.Helper()
	return g.awaitMaster(t, nil)
}

// KillMaster kills the master and waits until the other server is the master, which it returns. The
// killed one is restarted by its Restart; the sentinels then make it a replica.
func (g *SentinelGroup) KillMaster(t testing.TB) *Redis {
	t.Helper()
	old := g.Master(t)
	old.Kill(t)
	return g.awaitMaster(t, old)
}

// Failover has the sentinels make the replica the master, while both run, and waits for that. It
// returns the new master.
func (g *SentinelGroup) Failover(t testing.TB) *Redis {
	t.Helper()
	old := g.Master(t)
	var asked time.Time
	must(t, await("another master", func() error {
		master, err := g.agreed()
		if err != nil || master != old {
			return err
		}
		// a failover may fail, as on a busy machine: then once more
		if time.Since(asked) < 10*time.Second {
			return errors.New("the master is the old one")
		}
		if _, err = g.Sentinels[0].do("SENTINEL", "FAILOVER", MasterName); err != nil {
			return err // it has no replica to promote yet
		}
		asked = time.Now()
		return errors.New("the failover has begun")
	}))
	return g.Master(t)
}

// awaitMaster waits until there is one master, other than not.
func (g *SentinelGroup) awaitMaster(t testing.TB, not *Redis) (master *Redis) {
	t.Helper()
	must(t, await("a master", func() (err error) {
		master, err = g.agreed()
		if err == nil && master == not {
			err = fmt.Errorf("the master still is %s", not.Addr())
		}
		return err
	}))
	return master
}

func (g *SentinelGroup) agreed() (*Redis, error) {
	var master string
	for _, r := range g.Sentinels {
		if r.current().ended() {
			continue
		}
		answer, err := r.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
		if err != nil {
			return nil, err
		}
		pair, err := answer.AsStrSlice()
		if err != nil || len(pair) != 2 {
			return nil, fmt.Errorf("sentinel %s says %v: %w", r.Addr(), pair, err)
		}
		addr := net.JoinHostPort(pair[0], pair[1])
		if master != "" && addr != master {
			return nil, fmt.Errorf("sentinels know %s and %s", master, addr)
		}
		master = addr
	}
	for _, r := range g.Nodes {
		if r.Addr() != master {
			continue
		}
		role, err := r.text("INFO", "replication")
		if err == nil && !strings.Contains(role, "role:master") {
			err = fmt.Errorf("%s is not yet the master", master)
		}
		return r, err
	}
	return nil, fmt.Errorf("no server has the address %q", master)
}
