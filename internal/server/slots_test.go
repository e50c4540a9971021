package server_test

import (
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// askedNothing lets the quiet time of all connections pass.
func askedNothing(quiet time.Duration) { time.Sleep(quiet + quiet/4) }

// TestQuietConnectionsMakeRoom takes all connections, from two addresses. Those who ask keep
// theirs; of the others one of the address that has most goes, although it sends heartbeats.
func TestQuietConnectionsMakeRoom(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 4
	cfg.QuietTimeout = 400 * time.Millisecond
	s := serve(t, cfg, echo)
	lone := s.dialFrom("127.0.0.1")
	var many []*client
	for range 3 {
		many = append(many, s.dialFrom("127.0.0.2"))
	}
	for range 4 {
		s.logged("connection opened")
	}

	// Too early: nobody has been quiet for long.
	s.dial().cut()
	if line := s.logged("connection refused: too many"); line.Most != "127.0.0.2" {
		t.Errorf("logged %+v", line)
	}

	askedNothing(cfg.QuietTimeout)
	for _, c := range many {
		c.send(pdu.Frame{Service: 7, Command: cmdHeartbeat})
	}
	many[0].send(request(1, 20))
	many[0].wants(request(1, 20))
	fresh := s.dial()
	fresh.send(request(2, 20))
	fresh.wants(request(2, 20))
	line := s.logged("connection closed")
	if line.Peer != many[1].LocalAddr().String() && line.Peer != many[2].LocalAddr().String() {
		t.Errorf("%s made room", line.Peer)
	}
	lone.send(request(3, 20))
	lone.wants(request(3, 20))
	many[0].send(request(4, 20))
	many[0].wants(request(4, 20))
	s.counted(map[string]int64{"made_room": 1})
}

// TestWhoHoldsMostConnectionsIsNamed looks who is named when connections are short.
func TestWhoHoldsMostConnectionsIsNamed(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 10
	s := serve(t, cfg, echo)
	s.dial()
	for range 9 {
		s.dialFrom("127.0.0.2")
	}
	line := s.logged("connections are short, or one address holds most of them")
	if line.Level != "WARN" || line.Address != "127.0.0.2" {
		t.Errorf("logged %+v", line)
	}
	for p := s.Peers(); !p.Crowded || p.MostConns.Conns != 9; p = s.Peers() {
		time.Sleep(time.Millisecond)
	}
	if p := s.Peers(); p.MostConns.Address != "127.0.0.2" || p.HeldUp {
		t.Errorf("peers: %+v", p)
	}
}

// TestWhoHoldsMostMemoryIsNamed looks who is named when one does not take answers, also after it
// was ended.
func TestWhoHoldsMostMemoryIsNamed(t *testing.T) {
	cfg := testConfig()
	cfg.MaxFrame = 16 << 20
	s := serve(t, cfg, echo)
	s.dial().send(request(1, 20))
	hog := s.dialFrom("127.0.0.2")
	go repeated(9, request(1, 16*megabyte))(hog)
	line := s.logged("memory for requests and answers is short, or one address holds most of it")
	if line.Level != "WARN" || line.Address != "127.0.0.2" {
		t.Errorf("logged %+v", line)
	}
	if p := s.Peers(); !p.HeldUp || p.MostBytes.Address != "127.0.0.2" || p.Crowded {
		t.Errorf("peers: %+v", p)
	}
	_ = hog.SetLinger(0)
	_ = hog.Close()
}

// TestNoLeastRate has a peer pause within a frame and before its answers for longer than
// RateWindow.
func TestNoLeastRate(t *testing.T) {
	cfg := testConfig()
	cfg.MinSendRate, cfg.MinTakeRate = 0, 0
	cfg.RateWindow = 20 * time.Millisecond
	s := serve(t, cfg, echo)
	c := s.dialFrom("127.0.0.1")
	f := request(1, 1<<20)
	b := f.Append(nil)
	c.raw(b[:100_000])
	time.Sleep(4 * cfg.RateWindow)
	c.raw(b[100_000:])
	time.Sleep(4 * cfg.RateWindow)
	c.wants(f)
}
