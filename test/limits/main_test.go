// Package limits tests what bounds a proxy: hogs and floods beside polite peers, memory,
// descriptors, and lists that are longer than a frame.
package limits

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
