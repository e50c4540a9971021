// Package documents tests that README.md and docs/ say what is so: the commands in them, the
// builds, the names of tests, checks and bytes.
package documents

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
