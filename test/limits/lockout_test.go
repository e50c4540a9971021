package limits

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// login is a try to log in; password is as typed.
func login(name, password string) *impb.IMValidateReq {
	return &impb.IMValidateReq{UserName: &name,
		Password: proto.String(client.WirePassword(password))}
}

// TestALockedNameStaysSoInAFlood locks a name out on the embedded store, has thousands of made-up
// names fail after it, and kills the proxy: the name is locked out all the while, until somebody
// unlocks it. The flood writes few rows.
func TestALockedNameStaysSoInAFlood(t *testing.T) {
	data := rig.NewStore(t)
	p := rig.Start(t, data)
	c := rig.Dial(t, p)
	code := func(want uint32) {
		t.Helper()
		answer := rig.Call[*impb.IMValidateRsp](t, c, login("alice", "alice-secret"))
		if answer.GetResultCode() != want {
			t.Fatalf("the right password is answered with %d, want %d", answer.GetResultCode(),
				want)
		}
	}
	code(0)
	for range chat.LockoutFailures {
		rig.Call[*impb.IMValidateRsp](t, c, login("alice", "a guess"))
	}
	code(6)

	begun := time.Now()
	failLogins(t, c, 5000)
	code(6)
	p.Kill()
	took := time.Since(begun)
	db, err := harness.OpenStore(data)
	if err != nil {
		t.Fatal(err)
	}
	if rows, most := rig.Count(t, db, "SELECT COUNT(*) FROM IMProxyFailure"),
		100*(2+int(took/time.Second)); rows > most {
		t.Errorf("%d rows after %v; at most %d were expected", rows, took, most)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}

	c = rig.Dial(t, rig.Start(t, data))
	code(6)
	said, err := harness.Run(rig.Within(t), rig.Binary, "", "user", "unlock", "alice", "--data",
		data)
	if err != nil || !strings.HasPrefix(said, "user 1 (alice): unlocked") {
		t.Errorf("%q, %v", said, err)
	}
	code(0)
}

// failLogins has logins of so many made-up names fail.
func failLogins(t *testing.T, c *client.Client, names int) {
	t.Helper()
	var all sync.WaitGroup
	slots := make(chan struct{}, 500)
	for i := range names {
		slots <- struct{}{}
		all.Add(1)
		err := c.Start(rig.Within(t), login(fmt.Sprint("nobody ", i), "a guess"),
			func(answer proto.Message, err error) {
				if rsp, ok := answer.(*impb.IMValidateRsp); err != nil || !ok ||
					rsp.GetResultCode() != 1 {
					t.Errorf("name %d: %v, %v", i, answer, err)
				}
				<-slots
				all.Done()
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}
