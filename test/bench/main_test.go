// Package bench measures proxies: "make bench", "make bench BASE=REV" and "make bench-embedded" run
// TestBench, "make bench-growth" runs TestGrowth; both try a little otherwise. The other tests have
// the profiles of "dbproxy bench" run, and see that they count what is so.
package bench

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
