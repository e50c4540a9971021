// Package soak has load of all kinds while one thing after the other breaks; "make soak" lasts half
// an hour.
package soak

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
