// Package order tests order, ids and counters: of clients at once, of several proxies, of originals
// beside a proxy, and of a Redis that forgets.
package order

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
