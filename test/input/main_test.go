// Package input tests what others write: broken frames, hostile texts, absurd counts, and rows that
// no proxy would have stored.
package input

import (
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
