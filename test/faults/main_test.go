// Package faults breaks, one after the other, what a proxy depends on, under load: MySQL, Redis,
// the file server, and the proxy itself. "make faults" runs the long form.
package faults

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
