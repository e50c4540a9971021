package order

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/audit"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/lines"
)

// TestGaleraStartedAtOnce starts a proxy at each node of a Galera at the same time, where the
// proxies' own tables are missing. Both make them, and both serve.
func TestGaleraStartedAtOnce(t *testing.T) {
	w := rig.TwoOnGalera.At(t)
	tables, err := w.DB.QueryContext(rig.Within(t), "SHOW TABLES LIKE 'IMProxy%'")
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	var drop []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		drop = append(drop, name)
	}
	for _, name := range drop {
		w.Fleet.Exec(t, "DROP TABLE "+name)
	}
	w.Fleet.AwaitNodes(t)
	for i := range w.Proxies {
		w.Proxies[i] = rig.Launch(t,
			harness.Options{Config: rig.WriteConfig(t, w.Fleet.ConfAt(i)),
				Args: []string{"--wait"}},
			w.Fleet.Expected...)
	}
	sent := audit.NewLedger()
	for i, p := range w.Proxies {
		if err := p.AwaitListening(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent.Answered(lines.PairTalk(1, 2),
			rig.Submit(t, w.Dial(t, i), rig.PairText(1, 2, fmt.Sprint("from proxy ", i))))
	}
	audit.Check(t, w, sent)
	if len(drop) < 5 {
		t.Errorf("only %v were missing", drop)
	}
}
