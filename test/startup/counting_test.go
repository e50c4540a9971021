package startup

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestAConfigurationCountsWhereItsDatabaseDoes: a proxy whose configuration names no Redis does not
// start on a database whose proxies count there, nor the other way round, and it says what to do.
// So do commands.
func TestAConfigurationCountsWhereItsDatabaseDoes(t *testing.T) {
	t.Parallel()
	with, redis := rig.NewRedisFleet(t)
	without := rig.NewFleetWithoutRedis(t, servers.MariaDB(t))
	lost, named := with.Conf, without.Conf
	lost.Redis, named.Redis = nil, rig.HostAndPort(redis)
	misspelt := strings.Replace(with.Conf.String(), "CacheInstances=", "CacheInstance=", 1)
	for name, tt := range map[string]struct {
		conf string
		want []string
	}{
		"without Redis on a database with": {rig.WriteConfig(t, lost),
			[]string{"count in Redis", "CacheInstances", "migrate --without-redis"}},
		"a misspelt line": {rig.WriteText(t, misspelt),
			[]string{"count in Redis", "CacheInstances", "migrate --without-redis"}},
		"with Redis on a database without": {rig.WriteConfig(t, named),
			[]string{"without Redis", "remove CacheInstances", "migrate --with-redis"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{
				{"serve", "--listen", "127.0.0.1:0", "--config"}, {"user", "list", "--config"},
				{"doctor", "--config"}, {"config", "check"},
			} {
				cmd := exec.CommandContext(rig.Within(t), rig.Binary, append(args, tt.conf)...)
				out, err := cmd.CombinedOutput()
				if err == nil {
					t.Errorf("%q succeeds", args)
				}
				said := strings.Join(strings.Fields(string(out)), " ")
				for _, want := range tt.want {
					if !strings.Contains(said, want) {
						t.Errorf("%q does not say %q:\n%s", args, want, out)
					}
				}
			}
		})
	}
}

// TestAProxyWhoseDatabaseIsToCountElsewhereStoresNothing: within a second, and it says so. When the
// database is as before it stores again.
func TestAProxyWhoseDatabaseIsToCountElsewhereStoresNothing(t *testing.T) {
	t.Parallel()
	for _, e := range []struct {
		rig.Engine
		other string // the mark
		says  string
	}{
		{rig.MySQL, "2", "count without Redis"}, {rig.WithoutRedis, "1", "count in Redis"},
	} {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			w := e.At(t)
			w.Start(t, "--admin", "127.0.0.1:0")
			c := w.Dial(t, 0)
			stores := func() bool {
				return rig.Call[*impb.IMMsgData](t, c, rig.PairText(1, 2, "text")).GetMsgId() > 0
			}
			turn := func(mark string) (took time.Duration) {
				before := stores()
				w.Fleet.Exec(t, "REPLACE INTO IMProxyMark (name,value) VALUES ('counting',?)", mark)
				begun := time.Now()
				rig.Await(t, "what is stored to change", func() bool { return stores() != before })
				return time.Since(begun)
			}
			if !stores() {
				t.Fatal("nothing is stored")
			}
			if took := turn(e.other); took > 5*time.Second {
				t.Errorf("it stored for %v more", took)
			}
			ready := rig.AdminPage(t, w.Proxy(0), "/readyz")
			if !strings.Contains(ready, `"ready": false`) || !strings.Contains(ready, e.says) {
				t.Errorf("/readyz is %s", ready)
			}
			if log := w.Proxy(0).Log.String(); !strings.Contains(log, "stores nothing any more") {
				t.Error("the log does not say so")
			}
			same := map[string]string{"1": "2", "2": "1"}[e.other]
			turn(same)
		})
	}
}
