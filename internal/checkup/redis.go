package checkup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Named is an instance with the name that the configuration has for it: "unread".
type Named struct {
	Name string
	link.Instance
}

const (
	largeOffset = 2 * time.Second // between clocks
	leastMajor  = 6               // version of Redis
	almostFull  = 90              // percent of the memory allowed

	// leastCallTimeout bounds a call of a check: longer than those of requests, since one that is slow for once is no
	// reason not to start.
	leastCallTimeout = 2 * time.Second
)

// CheckRedis connects to the instances, side by side, and reports how fit each is; those that are one server and
// database are one subject. It leaves nothing behind. Connecting is bounded by the timeout of the Instance, every call by
// two seconds, or the Instance's timeout if that is longer. When an instance cannot be reached, that is all there is to report of it.
func CheckRedis(ctx context.Context, instances []Named, now func() time.Time) []Subject {
	if now == nil {
		now = time.Now
	}
	var all []*redisCheck
	for _, n := range instances {
		n.Instance = n.WithDefaults()
		n.CallTimeout = max(n.CallTimeout, leastCallTimeout)
		same := slices.IndexFunc(all, func(c *redisCheck) bool { return serverOf(c.Instance) == serverOf(n.Instance) })
		if same < 0 {
			all = append(all, &redisCheck{Instance: n.Instance, names: []string{n.Name}, now: now})
		} else {
			all[same].names = append(all[same].names, n.Name)
		}
	}
	var checks sync.WaitGroup
	for _, c := range all {
		checks.Go(func() { c.run(ctx) })
	}
	checks.Wait()
	subjects := make([]Subject, len(all))
	for i, c := range all {
		c.compare(all)
		subjects[i] = Subject{Name: "Redis " + strings.Join(c.names, ", "), Where: c.String(), Findings: c.found}
	}
	return subjects
}

// serverOf is equal for instances that are the same server and database for the same user.
func serverOf(i link.Instance) string {
	i.ConnectTimeout, i.CallTimeout = 0, 0
	return i.Identity()
}

// redisCheck is the check of one instance.
type redisCheck struct {
	link.Instance
	names []string // in the configuration
	now   func() time.Time

	client rueidis.Client
	runID  string // of the server; empty: unknown, or a Cluster
	found  []Finding
}

func (c *redisCheck) add(f Finding) { c.found = append(c.found, f) }

// key is a key of the configuration: the first name's.
func (c *redisCheck) key(rest string) string { return c.names[0] + "_" + rest }

func (c *redisCheck) run(ctx context.Context) {
	if len(c.Sentinels) > 0 {
		c.sentinels(ctx)
	}
	begun := c.now()
	client, err := c.Client()
	if err != nil {
		c.add(c.unreachable(err))
		return
	}
	defer client.Close()
	c.client = client
	infos, err := c.infos(ctx)
	if err != nil {
		c.add(c.unreachable(err))
		return
	}
	if i := slices.IndexFunc(infos, func(i info) bool { return i.values["loading"] == "1" }); i >= 0 {
		c.add(infos[i].loading(c.Instance))
		return
	}
	c.add(Goodf("reachable", "in %d ms", c.now().Sub(begun).Milliseconds()))
	c.nodes(infos)
	c.clock(ctx)
	if len(c.Cluster) > 0 && infos[0].values["cluster_enabled"] == "1" {
		c.cluster(ctx)
	}
	c.rights(ctx)
}

// do asks one server one thing.
func (c *redisCheck) do(ctx context.Context, client rueidis.Client, args ...string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, c.CallTimeout)
	defer cancel()
	return client.Do(ctx, client.B().Arbitrary(args...).Build())
}

// info is what a server says of itself, by name.
type info struct {
	addr   string
	denied error // why it says nothing; nil: it does
	values map[string]string
	saves  string // when it writes snapshots: Redis' "save"; "?" when it does not say
}

// infos asks the server, or all nodes of a Cluster. A user who may not ask is no error.
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
	return Fault("reachable", fmt.Sprintf("%s is LOADING its data: %s %% are there, the rest takes %s seconds or so",
		cmp.Or(i.addr, at.String()), cmp.Or(i.values["loading_loaded_perc"], "?"), cmp.Or(i.values["loading_eta_seconds"], "?")),
		"wait until it has loaded all; \"dbproxy serve --wait\" does")
}

// nodes reports on the server, or on the masters of a Cluster: of each item the worst.
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
		return []Finding{Unseen("settings", fmt.Errorf("INFO is refused: %w", i.denied))}
	}
	if len(c.Cluster) == 0 {
		c.runID = i.values["run_id"]
	}
	found = append(found, i.version(), c.role(i), i.eviction())
	found = append(found, i.persistence()...)
	if len(c.Cluster) == 0 {
		keys, _, _ := strings.Cut(strings.TrimPrefix(i.values[fmt.Sprintf("db%d", c.DB)], "keys="), ",")
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
		return Doubt("version", fmt.Sprintf("%s %s is older than anything this was made for", product, v),
			fmt.Sprintf("use Redis %d or newer", leastMajor))
	}
	return Goodf("version", "%s %s", product, v)
}

// role looks at whether the server is one that takes writes, and of the kind that the configuration says.
func (c *redisCheck) role(i info) Finding {
	const item = "role"
	switch {
	case len(c.Cluster) == 0 && i.values["cluster_enabled"] == "1":
		return Fault(item, "a node of a Cluster, which has only some of the keys",
			fmt.Sprintf("name nodes of the Cluster in %s, in place of %s and %s", c.key("cluster"), c.key("host"), c.key("port")))
	case len(c.Cluster) > 0 && i.values["cluster_enabled"] != "1":
		return Doubt(item, "no Cluster, but a single server",
			fmt.Sprintf("name it in %s and %s in place of %s", c.key("host"), c.key("port"), c.key("cluster")))
	case i.values["role"] != "slave":
		return Goodf(item, "master, with %s replicas", cmp.Or(i.values["connected_slaves"], "0"))
	case i.values["slave_read_only"] == "0":
		return Doubt(item, "a replica that takes writes, and loses them when it next copies its master",
			"name the master in "+c.key("host"))
	default:
		return Fault(item, fmt.Sprintf("a replica of %s:%s, which takes no writes", i.values["master_host"], i.values["master_port"]),
			fmt.Sprintf("name the master in %s and %s", c.key("host"), c.key("port")))
	}
}

func (i info) eviction() Finding {
	const item = "eviction"
	limit, _ := strconv.ParseInt(i.values["maxmemory"], 10, 64)
	used, _ := strconv.ParseInt(i.values["used_memory"], 10, 64)
	policy := i.values["maxmemory_policy"]
	switch {
	case limit == 0 && strings.HasPrefix(policy, "allkeys"):
		return Doubt(item, policy+": keys are thrown away as soon as maxmemory is set, and it is not",
			"CONFIG SET maxmemory-policy noeviction, and the same in its configuration")
	case limit == 0:
		return Goodf(item, "%s, without maxmemory", policy)
	case strings.HasPrefix(policy, "allkeys"):
		return Doubt(item, fmt.Sprintf("%s: at %d MiB keys are thrown away, and counters with them; what proxies counted comes "+
			"back from MySQL, what originals counted does not", policy, limit>>20),
			"CONFIG SET maxmemory-policy noeviction, and the same in its configuration")
	case used*100 >= limit*almostFull:
		return Doubt(item, fmt.Sprintf("%d of %d MiB are used: when it is full, writes are refused", used>>20, limit>>20),
			"raise maxmemory")
	default:
		return Goodf(item, "%s, %d of %d MiB are used", policy, used>>20, limit>>20)
	}
}

func (i info) persistence() []Finding {
	const item = "persistence"
	for _, what := range []string{"rdb_last_bgsave_status", "aof_last_write_status"} {
		if s := i.values[what]; s != "" && s != "ok" {
			return []Finding{Doubt(item, fmt.Sprintf("%s is %s: writing to its disk fails, and by default it then "+
				"refuses all writes", what, s), "see its log; is the disk full?")}
		}
	}
	switch {
	case i.values["aof_enabled"] == "1":
		return []Finding{Goodf(item, "append-only file")}
	case i.saves == "":
		return []Finding{Doubt(item, "none: after a restart it is empty; what proxies counted comes back from MySQL, what "+
			"originals counted does not", "CONFIG SET appendonly yes, and the same in its configuration")}
	case i.saves == "?":
		return []Finding{Goodf(item, "no append-only file; whether there are snapshots this user may not see")}
	default:
		return []Finding{Goodf(item, "snapshots (%s); after a crash the rest comes back from MySQL", i.saves)}
	}
}

func (c *redisCheck) clock(ctx context.Context) {
	begun := c.now()
	now, err := c.do(ctx, c.client, "TIME").AsIntSlice()
	took := c.now().Sub(begun)
	if err != nil || len(now) != 2 {
		c.add(Unseen("clock", fmt.Errorf("TIME is answered with %v, %w", now, err)))
		return
	}
	theirs := time.Unix(now[0], now[1]*int64(time.Microsecond))
	c.add(Clock(theirs.Sub(begun.Add(took/2)), took/2, largeOffset))
}

// compare finds instances that are the same server under another name.
func (c *redisCheck) compare(all []*redisCheck) {
	if len(c.names) > 1 {
		c.add(Goodf("shared", "by %s, as originals do", strings.Join(c.names, ", ")))
	}
	for _, other := range all {
		if other == c || c.runID == "" || other.runID != c.runID {
			continue
		}
		if other.DB == c.DB {
			c.add(Goodf("shared", "the same database as that of %s, under another address or user", strings.Join(other.names, ", ")))
		} else {
			c.add(Goodf("shared", "the same server as that of %s, which has database %d", strings.Join(other.names, ", "), other.DB))
		}
	}
}
