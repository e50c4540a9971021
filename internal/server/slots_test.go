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

	askedNothing(cfg.QuietTimeout)
	for _, c := range many {
		c.send(pdu.Frame{Service: 7, Command: cmdHeartbeat})
	}
	many[0].echoed(request(1, 20))
	fresh := s.dial()
	fresh.echoed(request(2, 20))
	line := s.logged("connection closed")
	if line.Peer != many[1].LocalAddr().String() && line.Peer != many[2].LocalAddr().String() {
		t.Errorf("%s made room", line.Peer)
	}
	lone.echoed(request(3, 20))
	many[0].echoed(request(4, 20))
	s.counted(map[string]int64{"made_room": 1})
	if p := s.Peers(); p.MostConns.Conns != 2 || !p.Crowded || p.Refused.Address != "127.0.0.2" {
		t.Errorf("peers: %+v", p)
	}
}

// TestNobodyMakesRoomTooEarly: while nobody has been quiet for long, who comes is refused, and who
// has most is named.
func TestNobodyMakesRoomTooEarly(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 3
	s := serve(t, cfg, echo)
	s.dialFrom("127.0.0.1")
	for range 2 {
		s.dialFrom("127.0.0.2")
	}
	for range 3 {
		s.logged("connection opened")
	}
	s.dial().cut()
	if line := s.logged("connection refused: too many"); line.Most != "127.0.0.2" {
		t.Errorf("logged %+v", line)
	}
	if p := s.Peers(); p.Refused.Address != "127.0.0.2" || p.Refused.Conns != 2 {
		t.Errorf("peers: %+v", p)
	}
}

// TestWhoIsBusyMakesNoRoom: a peer in the midst of a frame, and one that waits for its answer, keep
// their connections, though they asked longer ago than a third.
func TestWhoIsBusyMakesNoRoom(t *testing.T) {
	cfg := testConfig()
	cfg.MaxConns = 3
	cfg.QuietTimeout = 200 * time.Millisecond
	h := make(holder, 1)
	s := serve(t, cfg, h)
	sends, waits := s.dial(), s.dial()
	f := request(1, 1<<20)
	b := f.Append(nil)
	sends.raw(b[:100_000])
	waits.send(request(2, 20))
	asked := h.take(t, 1)
	for s.Stats().BytesIn < 100_020 {
		time.Sleep(time.Millisecond)
	}
	quiet := s.dial()
	for range 3 {
		s.logged("connection opened")
	}
	askedNothing(cfg.QuietTimeout)
	s.dial()
	if line := s.logged("connection closed"); line.Peer != quiet.LocalAddr().String() {
		t.Errorf("%s made room", line.Peer)
	}
	asked[0].echo()
	waits.wants(request(2, 20))
	sends.raw(b[100_000:])
	h.take(t, 1)[0].echo()
	sends.wants(f)
}

// TestWhoHoldsMostConnectionsIsNamed: when connections are short, the log and Peers say who has
// most.
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

// TestWhoHoldsMostMemoryIsNamed: a peer that does not take its answers is named, also after it was
// closed.
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
	for p := s.Peers(); !p.HeldUp; p = s.Peers() {
		if p.MostBytes.Address != "127.0.0.2" || p.Crowded {
			t.Fatalf("peers: %+v", p)
		}
		time.Sleep(time.Millisecond)
	}
	_ = hog.SetLinger(0)
	_ = hog.Close()
}

// TestTheNextHogIsNamed: another address that comes to hold most is named soon, though the one
// before it has just been.
func TestTheNextHogIsNamed(t *testing.T) {
	const bound = 2 * time.Second
	cfg := testConfig()
	cfg.MaxFrame = 16 << 20
	s := serve(t, cfg, echo)
	for _, hogs := range []struct {
		ip    string
		conns int
	}{{"127.0.0.1", 1}, {"127.0.0.2", 6}} {
		begun := time.Now()
		for range hogs.conns {
			hog := s.dialFrom(hogs.ip)
			t.Cleanup(func() { _ = hog.SetLinger(0) })
			go repeated(9, request(1, 16*megabyte))(hog)
		}
		const short = "memory for requests and answers is short, or one address holds most of it"
		for s.logged(short).Address != hogs.ip {
		}
		if took := time.Since(begun); took > 5*bound {
			t.Errorf("%s was named after %v", hogs.ip, took)
		}
	}
}

// TestWhoWasEndedIsNamed: after a hog was ended for others, its address is remembered, with what it
// held.
func TestWhoWasEndedIsNamed(t *testing.T) {
	cfg := testConfig()
	cfg.MaxFrame = 16 << 20
	s := serve(t, cfg, pages)
	for range 6 {
		go repeated(9, request(1, 16*megabyte))(s.dialFrom("127.0.0.2"))
	}
	p := polite{client: s.dialFrom("127.0.0.1")}
	for begun := time.Now(); s.Peers().Ended.Address == ""; p.round() {
		if time.Since(begun) > patience {
			t.Fatal("none was ended")
		}
	}
	if e := s.Peers().Ended; e.Address != "127.0.0.2" || e.Bytes <= 0 || !s.Peers().HeldUp {
		t.Errorf("ended: %+v", e)
	}
}

// TestFloorsAreNobodysFault: who holds no more than the floors of its connections holds nothing of
// what is shared.
func TestFloorsAreNobodysFault(t *testing.T) {
	cfg := testConfig()
	h := make(holder, 30)
	s := serve(t, cfg, h)
	for range 30 {
		s.dial().send(request(1, 100_000))
	}
	asked := h.take(t, 30)
	if p := s.Peers(); p.MostBytes.Address != "" || p.Taken != 0 || s.Stats().Pending < 3_000_000 {
		t.Errorf("%d bytes pending, peers: %+v", s.Stats().Pending, p)
	}
	for _, r := range asked {
		r.echo()
	}
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
