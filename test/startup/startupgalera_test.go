package startup

import (
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/original"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestWaitForAMajority starts the binary where the node of a cluster is cut off from the others: it
// says so, waits, and serves when the node takes part again.
func TestWaitForAMajority(t *testing.T) {
	t.Parallel()
	g, redis := servers.StartGalera(t), servers.StartRedis(t)
	f := rig.NewFleetOn(t, g.Nodes[0])
	f.Conf.Redis = rig.HostAndPort(redis)
	admin, err := g.Nodes[0].Admin(t).Conn(rig.Within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	// It is to answer though it is cut off.
	if _, err := admin.ExecContext(rig.Within(t), "SET wsrep_sync_wait=0"); err != nil {
		t.Fatal(err)
	}
	g.Arbitrator.Kill(t)
	g.Nodes[1].Kill(t)
	rig.Await(t, "the end of the majority", func() bool {
		var name, view string
		row := admin.QueryRowContext(rig.Within(t), "SHOW STATUS LIKE 'wsrep_cluster_status'")
		err := row.Scan(&name, &view)
		return err == nil && view == "non-Primary"
	})
	path := rig.WriteConfig(t, f.Conf)
	out, err := harness.Run(rig.Within(t), rig.Binary, "",
		"serve", "--config", path, "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(out, "cluster: ") ||
		!strings.Contains(out, "pc.bootstrap=1") {
		t.Errorf("without --wait: %v\n%s", err, out)
	}
	p := rig.Launch(t, harness.Options{Config: path, Args: []string{"--wait"}})
	_, err = p.Log.Await(rig.Within(t), func(l harness.Line) bool {
		return strings.HasPrefix(l.Message, "waiting") && strings.Contains(l.Raw, "majority")
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.ExecContext(rig.Within(t), "SET GLOBAL wsrep_provider_options='pc.bootstrap=1'")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitListening(rig.Within(t)); err != nil {
		t.Fatal(err)
	}
	original.CheckAll(t, rig.Dial(t, p), 1000)
}
