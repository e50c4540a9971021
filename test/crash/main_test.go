// Package crash tests what holds when a proxy is killed or stopped under load.
package crash

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
