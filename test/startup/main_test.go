// Package startup tests how a proxy starts and stops, in the place of an original and with
// surroundings that fail: ports, directories, disks, readers of its log.
package startup

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
