package checkup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// info is what a server says of itself.
type info struct {
	addr   string
	denied error             // why it says nothing; nil: it does
	values map[string]string // by name, as in INFO
	saves  string            // when it writes snapshots, as its "save" has it; "?": it does not say
}

// infos asks the server, or all nodes of a Cluster. That the user may not ask is no error.
func (c *redisCheck) infos(ctx context.Context) (all []info, err error) {
	clients := map[string]rueidis.Client{"": c.client}
	if len(c.Cluster) > 0 {
		clients = c.client.Nodes()
	}
	for _, addr := range slices.Sorted(maps.Keys(clients)) {
		i := info{addr: addr, saves: "?"}
		text, err := c.do(ctx, clients[addr], "INFO").ToString()
		if _, said := rueidis.IsRedisErr(err); said {
			i.denied = err
		} else if err != nil {
			return nil, err
		}
		i.values = link.Lines(text)
		if save, err := c.do(ctx, clients[addr], "CONFIG", "GET", "save").AsStrMap(); err == nil {
			i.saves = save["save"]
		}
		all = append(all, i)
	}
	return all, nil
}

// loading reports on a server that reads its data from the disk.
func (i info) loading(at link.Instance) Finding {
	text := fmt.Sprintf("%s is LOADING its data: %s %% are there, the rest takes %s seconds or so",
		cmp.Or(i.addr, at.String()), cmp.Or(i.values["loading_loaded_perc"], "?"),
		cmp.Or(i.values["loading_eta_seconds"], "?"))
	return Fault("reachable", text, "wait until it has loaded all; \"dbproxy serve --wait\" does")
}

// nodes reports on the server, or on the masters of a Cluster. Of the findings about one item it
// keeps the worst.
func (c *redisCheck) nodes(infos []info) {
	var order []string
	worst := make(map[string]Finding)
	for _, i := range infos {
		if len(c.Cluster) > 0 && i.values["role"] == "slave" {
			continue
		}
		for _, f := range c.node(i) {
			before, seen := worst[f.Item]
			if !seen {
				order = append(order, f.Item)
			}
			if seen && before.Grade >= f.Grade {
				continue
			}
			if f.Grade > Good && i.addr != "" {
				f.Text = i.addr + ": " + f.Text
			}
			worst[f.Item] = f
		}
	}
	for _, item := range order {
		c.add(worst[item])
	}
}

func (c *redisCheck) node(i info) (found []Finding) {
	if i.denied != nil {
		return []Finding{unseen("settings", fmt.Errorf("INFO is refused: %w", i.denied))}
	}
	if len(c.Cluster) == 0 {
		c.runID = i.values["run_id"]
	}
	found = append(found, i.version(), c.role(i), i.eviction(), i.persistence())
	if len(c.Cluster) == 0 {
		database := i.values[fmt.Sprintf("db%d", c.DB)]
		keys, _, _ := strings.Cut(strings.TrimPrefix(database, "keys="), ",")
		found = append(found, Goodf("keys", "%s in database %d", cmp.Or(keys, "none"), c.DB))
	}
	return found
}

func (i info) version() Finding {
	v := i.values["redis_version"]
	var major int
	_, _ = fmt.Sscanf(v, "%d", &major) // 0 when it has another form
	product := "Redis"
	if name := i.values["server_name"]; name != "" {
		product, v = name, cmp.Or(i.values[name+"_version"], v)
	}
	if major < leastMajor {
		text := fmt.Sprintf("%s %s is older than anything this was made for", product, v)
		return Doubt("version", text, fmt.Sprintf("use Redis %d or newer", leastMajor))
	}
	return Goodf("version", "%s %s", product, v)
}

// role checks whether the server takes writes, and is of the kind that the configuration says.
func (c *redisCheck) role(i info) Finding {
	const item = "role"
	switch {
	case len(c.Cluster) == 0 && i.values["cluster_enabled"] == "1":
		return Fault(item, "a node of a Cluster, which has only some of the keys",
			fmt.Sprintf("name nodes of the Cluster in %s, in place of %s and %s",
				c.key("cluster"), c.key("host"), c.key("port")))
	case len(c.Cluster) > 0 && i.values["cluster_enabled"] != "1":
		return Doubt(item, "no Cluster, but a single server",
			fmt.Sprintf("name it in %s and %s in place of %s",
				c.key("host"), c.key("port"), c.key("cluster")))
	case i.values["role"] != "slave":
		return Goodf(item, "master, with %s replicas", cmp.Or(i.values["connected_slaves"], "0"))
	case i.values["slave_read_only"] == "0":
		return Doubt(item, "a replica that takes writes, and loses them when it copies its master "+
			"next",
			"name the master in "+c.key("host"))
	default:
		text := fmt.Sprintf("a replica of %s:%s, which takes no writes",
			i.values["master_host"], i.values["master_port"])
		return Fault(item, text, fmt.Sprintf("name the master in %s and %s", c.key("host"),
			c.key("port")))
	}
}

func (i info) eviction() Finding {
	const (
		item   = "eviction"
		noMore = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration"
	)
	limit, _ := strconv.ParseInt(i.values["maxmemory"], 10, 64)
	used, _ := strconv.ParseInt(i.values["used_memory"], 10, 64)
	policy := i.values["maxmemory_policy"]
	switch {
	case limit == 0 && strings.HasPrefix(policy, "allkeys"):
		return Doubt(item, policy+": keys are thrown away as soon as maxmemory is set, and it is "+
			"not",
			noMore)
	case limit == 0:
		return Goodf(item, "%s, without maxmemory", policy)
	case strings.HasPrefix(policy, "allkeys"):
		return Doubt(item, fmt.Sprintf("%s: at %d MiB keys are thrown away, and counters with "+
			"them; what proxies counted comes back from MySQL, what originals counted does not",
			policy, limit>>20), noMore)
	case used*100 >= limit*almostFull:
		text := fmt.Sprintf("%d of %d MiB are used: when it is full, writes are refused",
			used>>20, limit>>20)
		return Doubt(item, text, "raise maxmemory")
	default:
		return Goodf(item, "%s, %d of %d MiB are used", policy, used>>20, limit>>20)
	}
}

func (i info) persistence() Finding {
	const item = "persistence"
	for _, what := range []string{"rdb_last_bgsave_status", "aof_last_write_status"} {
		if s := i.values[what]; s != "" && s != "ok" {
			return Doubt(item, fmt.Sprintf("%s is %s: writing to its disk fails, and by default "+
				"it then refuses all writes", what, s), "see its log; is the disk full?")
		}
	}
	switch {
	case i.values["aof_enabled"] == "1":
		return Goodf(item, "append-only file")
	case i.saves == "":
		return Doubt(item, "none: after a restart it is empty; what proxies counted comes back "+
			"from MySQL, what originals counted does not",
			"CONFIG SET appendonly yes, and the same in its configuration")
	case i.saves == "?":
		return Goodf(item, "no append-only file; whether there are snapshots this user may not see")
	default:
		return Goodf(item, "snapshots (%s); after a crash the rest comes back from MySQL", i.saves)
	}
}
