package faults

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// logged awaits a line of a proxy's log that begins with a text, and has others in it.
func logged(t *testing.T, p *harness.Proxy, begins string, has ...string) {
	t.Helper()
	line, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
		return strings.HasPrefix(l.Message, begins)
	})
	if err != nil {
		t.Fatalf("%q: %v", begins, err)
	}
	for _, text := range has {
		if !strings.Contains(line.Raw, text) {
			t.Errorf("it does not say %q: %s", text, line.Raw)
		}
	}
}

// readiness is what the admin address says of one check, as soon as that has a certain state.
func readiness(t *testing.T, p *harness.Proxy, check, state string) string {
	t.Helper()
	admin := rig.AdminAddr(t, p)
	var verdict struct {
		Checks []struct{ Name, State, Text string }
	}
	end := time.Now().Add(rig.Patience)
	for ; time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		page := rig.AdminPageOf(t, admin, "/readyz")
		if err := json.Unmarshal([]byte(page), &verdict); err != nil {
			t.Fatal(err)
		}
		for _, c := range verdict.Checks {
			if c.Name == check && c.State == state {
				return c.Text
			}
		}
	}
	t.Fatalf("%s did not get %s: %+v", check, state, verdict)
	return ""
}

// failures is how many failed messages a log tells of, and in how many lines.
func failures(p *harness.Proxy) (failed, lines int) {
	for _, l := range p.Log.Lines() {
		if !strings.HasSuffix(l.Message, "failed") || l.Text("message") != "IMMsgData" {
			continue
		}
		lines++
		if more, summed := l.Attrs["more"].(float64); summed {
			failed += int(more)
		} else {
			failed++
		}
	}
	return failed, lines
}

// withoutTable takes the table of the messages away: MySQL answers, and stores none of them.
func withoutTable(t *testing.T, f *rig.Fleet, p *harness.Proxy, send func(messages int)) {
	t.Helper()
	readiness(t, p, "storing", "good")
	f.Exec(t, "RENAME TABLE IMMessage_1 TO Elsewhere")
	send(20)
	logged(t, p, "messages are not stored", "IMMessage_1", "dbproxy migrate")
	text := readiness(t, p, "storing", "doubtful")
	if t.Log(text); !strings.Contains(text, "failed, the first") ||
		!strings.Contains(text, "dbproxy migrate") {
		t.Errorf("/readyz says %q", text)
	}
	readiness(t, p, "store", "good") // it is, as such
	f.Exec(t, "RENAME TABLE Elsewhere TO IMMessage_1")
	send(1)
	logged(t, p, "messages are stored again", "after", `"failed":`)
	readiness(t, p, "storing", "good")
	if n := strings.Count(p.Log.String(), `"messages are not stored`); n != 1 {
		t.Errorf("the log says %d times that messages are not stored", n)
	}
}

// TestLogOfFaults has MySQL lack a table, then take no writes, and then Redis be full, under load:
// the log says so once, and what to do, and when it is over; what fails meanwhile is counted to the
// last message, in few lines.
func TestLogOfFaults(t *testing.T) {
	t.Parallel()
	mysql := servers.StartMariaDB(t)
	f, redis := rig.NewRedisFleetOn(t, mysql)
	f.Conf.More = append(f.Conf.More, "AdminListen=127.0.0.1:0")
	p := f.Start(t)
	c := rig.Dial(t, p)
	var refused, silent atomic.Int64
	send := func(messages int) {
		var all sync.WaitGroup
		for range messages {
			all.Go(func() {
				answer, err := client.Call[*impb.IMMsgData](rig.Within(t), c,
					rig.PairText(1, 2, "hello"))
				switch {
				case err != nil:
					silent.Add(1)
				case answer.GetMsgId() == 0:
					refused.Add(1)
				}
			})
		}
		all.Wait()
	}
	send(10)
	withoutTable(t, f, p, send)

	f.Exec(t, "SET GLOBAL read_only=1")
	send(400)
	send(100)
	logged(t, p, "MySQL takes no writes", mysql.Addr(), "it must be the master")
	if text := readiness(t, p, "store", "wrong"); !strings.Contains(text,
		"MySQL takes no writes") || !strings.Contains(text, mysql.Addr()) {
		t.Errorf("/readyz says %q", text)
	}
	f.Exec(t, "SET GLOBAL read_only=0")
	logged(t, p, "MySQL takes writes again", "after")
	readiness(t, p, "store", "good")

	redis.Do(t, "CONFIG", "SET", "maxmemory", "1")
	send(100)
	logged(t, p, "Redis is away", redis.Addr(), "OOM", "raise maxmemory")
	if text := readiness(t, p, "redis", "doubtful"); !strings.Contains(text, "raise maxmemory") {
		t.Errorf("/readyz says %q", text)
	}
	redis.Do(t, "CONFIG", "SET", "maxmemory", "0")
	logged(t, p, "Redis is back", "after")

	if err := p.Stop(rig.Within(t)); err != nil {
		t.Fatal(err)
	}
	failed, lines := failures(p)
	least, most := int(refused.Load()), int(refused.Load()+silent.Load())
	if most < 500 || failed < least || failed > most || lines > 100 {
		t.Errorf("%d messages were refused, %d not answered; the log tells of %d in %d lines",
			least, most-least, failed, lines)
	}
	if n := strings.Count(p.Log.String(), `"Redis is away`); n > 10 {
		t.Errorf("the log says %d times that Redis is away", n)
	}
}
