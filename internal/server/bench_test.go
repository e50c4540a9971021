package server_test

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// BenchmarkEcho measures round trips of 200-byte frames over 4 connections with 64 in flight on
// each, client included.
func BenchmarkEcho(b *testing.B) {
	const conns, window, size = 4, 64, 200
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := server.New(server.DefaultConfig(), echo, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(ctx, ln) })
	defer serving.Wait()
	defer cancel()

	burst := make([]byte, 0, window*size)
	for i := range window {
		burst = request(i, size).Append(burst)
	}
	var ncs []net.Conn
	for range conns {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		ncs = append(ncs, nc)
	}

	start := time.Now()
	rounds := 0
	b.ReportAllocs()
	for b.Loop() {
		rounds++
		var clients sync.WaitGroup
		for _, nc := range ncs {
			clients.Go(func() { roundTrips(b, nc, burst, window) })
		}
		clients.Wait()
	}
	b.ReportMetric(float64(rounds*conns*window)/time.Since(start).Seconds(), "requests/s")
}

func roundTrips(b *testing.B, nc net.Conn, burst []byte, n int) {
	if _, err := nc.Write(burst); err != nil {
		b.Error(err)
		return
	}
	frames := pdu.NewReader(nc, 1<<20)
	for range n {
		if _, err := frames.Next(); err != nil {
			b.Error(err)
			return
		}
	}
}
