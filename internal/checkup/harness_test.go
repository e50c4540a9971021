package checkup_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

func TestMain(m *testing.M) {
	// A client of a Cluster closes connections to nodes that it does not need five seconds later,
	// also when it is closed.
	goleak.VerifyTestMain(servers.Around(m),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// patience is how long anything may take on a machine that has much else to do.
const patience = time.Minute

// await polls until done.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come in %v", what, patience)
		}
	}
}

// patient is an instance with timeouts that a busy machine does not exceed.
func patient(i link.Instance) link.Instance {
	i.ConnectTimeout, i.CallTimeout = 20*time.Second, 20*time.Second
	return i
}

func redisAt(r *servers.Redis) link.Instance { return patient(link.Instance{Addr: r.Addr()}) }

// all is one instance for everything.
func all(i link.Instance) redis.Options {
	return redis.Options{Unread: i, GroupSet: i, Token: i, GroupMember: i}
}
