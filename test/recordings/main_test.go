// Package recordings replays what an original was asked, and compares what a proxy answers and
// leaves behind.
package recordings

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
