package test

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestGaleraStartedAtOnce starts a proxy at each node of a Galera at the same time, where the
// proxies' own tables are missing. Both make them, and both serve.
func TestGaleraStartedAtOnce(t *testing.T) {
	w := twoOnGalera.at(t)
	tables, err := w.db.QueryContext(within(t), "SHOW TABLES LIKE 'IMProxy%'")
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
		w.fleet.exec(t, "DROP TABLE "+name)
	}
	w.fleet.settle(t)
	for i := range w.proxies {
		w.proxies[i] = launch(t,
			harness.Options{Config: writeConfig(t, w.fleet.confAt(i)), Args: []string{"--wait"}},
			w.fleet.expected...)
	}
	sent := newLedger()
	for i, p := range w.proxies {
		if err := p.AwaitListening(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent.answered(pairTalk(1, 2),
			submit(t, w.dial(t, i), pairText(1, 2, fmt.Sprint("from proxy ", i))))
	}
	w.audit(t, sent)
	if len(drop) < 5 {
		t.Errorf("only %v were missing", drop)
	}
}
