package servers

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// slots is how many a Redis Cluster has.
const slots = 16384

// Cluster is a Redis Cluster of three masters.
type Cluster struct {
	Nodes []*Redis
}

// RedisCluster starts a Redis Cluster for this test, and waits until it serves every slot on every
// node. args are more arguments of each redis-server.
func RedisCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range 3 {
		r := newRedis("redis-node", append([]string{"--cluster-enabled", "yes",
			"--cluster-node-timeout", "2000",
			"--cluster-announce-ip", host}, args...))
		r.begin(t, true, nil)
		c.Nodes = append(c.Nodes, r)
	}
	for i, r := range c.Nodes {
		r.Do(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		add := []string{"CLUSTER", "ADDSLOTS"}
		for slot := slots * i / 3; slot < slots*(i+1)/3; slot++ {
			add = append(add, strconv.Itoa(slot))
		}
		r.Do(t, add...)
		if i > 0 {
			r.Do(t, "CLUSTER", "MEET", host, strconv.Itoa(c.Nodes[0].Port()))
		}
	}
	must(t, await("the cluster", c.complete))
	return c
}

// Addrs are the addresses of the nodes.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, r := range c.Nodes {
		addrs = append(addrs, r.Addr())
	}
	return addrs
}

// complete returns what the cluster lacks, nil: nothing.
func (c *Cluster) complete() error {
	for _, r := range c.Nodes {
		info, err := r.text("CLUSTER", "INFO")
		if err != nil {
			return err
		}
		nodes, err := r.text("CLUSTER", "NODES")
		if err != nil {
			return err
		}
		if !strings.Contains(info, "cluster_state:ok") ||
			!strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d", slots)) ||
			strings.Count(nodes, " connected ") != len(c.Nodes) ||
			strings.Contains(nodes, "handshake") {
			return fmt.Errorf("%s says:\n%s\n%s", r.Addr(), info, nodes)
		}
	}
	return nil
}
