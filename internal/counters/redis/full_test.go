package redis_test

import (
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// TestAFullRedisIsAwayUntilItTakesWrites: it answers who only reads all the time, and is not back
// for that.
func TestAFullRedisIsAwayUntilItTakesWrites(t *testing.T) {
	t.Parallel()
	p, r := start(t)
	text := chat.Draft{Talk: chat.PairTalk(1, 2), From: 1, Type: chat.PairText, Content: "hello"}
	p.send(text)
	r.Do(t, "CONFIG", "SET", "maxmemory", "1")
	await(t, "the end of it", func() bool {
		_, c := p.append(text)
		_ = p.Apply(t.Context(), []chat.Commit{c}) // follows later
		return len(p.Copy.Away()) > 0
	})
	end := time.Now().Add(time.Second)
	for ; time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if len(p.Copy.Away()) == 0 {
			t.Fatal("it is back, and as full as before")
		}
	}
	r.Do(t, "CONFIG", "SET", "maxmemory", "0")
	await(t, "the full Redis", func() bool { return len(p.Copy.Away()) == 0 })
}
