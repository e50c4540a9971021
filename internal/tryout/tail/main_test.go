package tail_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }
