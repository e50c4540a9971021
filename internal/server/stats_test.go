package server_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// counted waits until the server has counted these ends of connections, and no others.
func (f *fixture) counted(want map[string]int64) {
	f.t.Helper()
	all := map[string]int64{
		"peer": 0, "idle": 0, "slow_frame": 0, "not_taken": 0, "held_most": 0,
		"made_room": 0, "bad_frame": 0, "drained": 0, "deadline": 0, "error": 0,
	}
	for reason, n := range want {
		all[reason] = n
	}
	diff := cmp.Diff(all, f.Stats().Closed)
	due := time.Now().Add(patience)
	for ; diff != "" && time.Now().Before(due); diff = cmp.Diff(all, f.Stats().Closed) {
		time.Sleep(time.Millisecond)
	}
	if diff != "" {
		f.t.Errorf("ends of connections (-want +got):\n%s", diff)
	}
}

func TestStatsCountConnectionsAndTheirEnds(t *testing.T) {
	h := make(holder, 1)
	s := start(t, testConfig(), h, listen(t))
	c := s.dial()
	c.send(request(1, 20))
	held := h.take(t, 1)[0]
	if got := s.Stats(); got.InFlight != 1 || got.Connections != 1 || got.Opened != 1 {
		t.Errorf("with one request pending: %+v", got)
	}
	held.echo()
	c.wants(request(1, 20))
	if got := s.Stats(); got.InFlight != 0 {
		t.Errorf("%d in flight after the answer", got.InFlight)
	}
	s.counted(nil)
	_ = c.Close()
	s.counted(map[string]int64{"peer": 1})
	inside := s.dial()
	inside.raw(announce(100))
	_ = inside.Close()
	s.counted(map[string]int64{"peer": 2})
	last := s.dial()
	last.send(request(2, 20))
	h.take(t, 1)[0].echo()
	last.wants(request(2, 20))
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.counted(map[string]int64{"peer": 2, "drained": 1})
	if got := s.Stats(); got.Opened != 3 || got.Connections != 0 {
		t.Errorf("at the end: %+v", got)
	}
}

func TestStatsCountIdleConnections(t *testing.T) {
	cfg := testConfig()
	cfg.IdleTimeout = 20 * time.Millisecond
	s := serve(t, cfg, echo)
	s.dial().closed()
	s.counted(map[string]int64{"idle": 1})
}

func TestStatsCountSlowFrames(t *testing.T) {
	cfg := testConfig()
	cfg.RateWindow = 20 * time.Millisecond
	s := serve(t, cfg, echo)
	c := s.dial()
	c.raw(announce(100))
	c.closed()
	s.counted(map[string]int64{"slow_frame": 1})
}
