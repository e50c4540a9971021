package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCallsSideBySideGetTheirOwnAnswers(t *testing.T) {
	const calls = 200
	c := serve(t, func(r *pdu.Reader, w io.Writer) error {
		var held []pdu.Frame // answered backwards, once all are in
		for range calls {
			f, err := r.Next()
			if err != nil {
				return err
			}
			a, err := answerShield(f)
			if err != nil {
				return err
			}
			held = append(held, a)
		}
		for i := range held {
			if err := write(w, held[len(held)-1-i]); err != nil {
				return err
			}
		}
		return untilClosed(r)
	})
	var wg sync.WaitGroup
	for user := range uint32(calls) {
		wg.Go(func() {
			got, err := Call[*impb.IMQueryPushShieldRsp](t.Context(), c, query(user))
			if err != nil || got.GetShieldStatus() != user {
				t.Errorf("user %d: %v, %v", user, got, err)
			}
		})
	}
	wg.Wait()
}

func TestStartTellsAnswersInTheOrderTheyCome(t *testing.T) {
	const n = 100
	c := serve(t, func(r *pdu.Reader, w io.Writer) error {
		for range n {
			f, err := r.Next()
			if err != nil {
				return err
			}
			a, err := answerShield(f)
			if err != nil {
				return err
			}
			if err := write(w, a); err != nil {
				return err
			}
		}
		return untilClosed(r)
	})
	came := make(chan uint32, n)
	for i := range uint32(n) {
		err := c.Start(t.Context(), query(i), func(m proto.Message, err error) {
			if err != nil {
				t.Error(err)
			}
			came <- m.(*impb.IMQueryPushShieldRsp).GetUserId()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint32(n) {
		if got := <-came; got != i {
			t.Fatalf("answer %d is for %d", i, got)
		}
	}
}

func TestSequenceNumberInFlightIsNotReused(t *testing.T) {
	seen := make(chan uint16)
	c := serve(t, func(r *pdu.Reader, w io.Writer) error {
		for range 3 {
			f, err := r.Next()
			if err != nil {
				return err
			}
			seen <- f.Seq
		}
		return untilClosed(r)
	})
	ignore := func(proto.Message, error) {}
	if err := c.Start(t.Context(), query(1), ignore); err != nil {
		t.Fatal(err)
	}
	first := <-seen
	c.mu.Lock()
	c.lastSeq = first - 1 // as after 65535 more requests
	c.mu.Unlock()
	if err := c.Start(t.Context(), query(2), ignore); err != nil {
		t.Fatal(err)
	}
	second := <-seen
	if first == 0 || second == 0 || first == second {
		t.Fatalf("sequence numbers %d, %d", first, second)
	}
	c.mu.Lock()
	for seq := range uint16(maxInFlight) {
		c.pending[seq+1] = func(pdu.Frame, error) {}
	}
	c.mu.Unlock()
	if err := c.Start(t.Context(), query(3), ignore); !errors.Is(err, ErrBusy) {
		t.Fatalf("all numbers taken: %v", err)
	}
	if err := c.Post(t.Context(), readAck()); !errors.Is(err, ErrBusy) {
		t.Fatalf("all numbers taken: %v", err)
	}
	c.forget(77)
	if err := c.Start(t.Context(), query(3), ignore); err != nil {
		t.Fatal(err)
	}
	if third := <-seen; third != 77 {
		t.Fatalf("sequence number %d, only 77 was free", third)
	}
}

func TestAbandonedCallKeepsItsNumber(t *testing.T) {
	read, late := make(chan struct{}), make(chan struct{})
	c := serve(t, func(r *pdu.Reader, w io.Writer) error {
		f, err := r.Next()
		if err != nil {
			return err
		}
		close(read)
		<-late
		a, err := answerShield(f)
		if err != nil {
			return err
		}
		write(w, a)
		f, err = r.Next()
		if err != nil {
			return err
		}
		if a, err = answerShield(f); err != nil {
			return err
		}
		write(w, a)
		return untilClosed(r)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("we do not care any more")
	done := make(chan error)
	go func() {
		_, err := c.Call(ctx, query(1))
		done <- err
	}()
	<-read
	cancel(over)
	if err := <-done; !errors.Is(err, over) ||
		!strings.Contains(err.Error(), "IMQueryPushShieldReq") {
		t.Fatalf("got %v", err)
	}
	close(late)
	got, err := Call[*impb.IMQueryPushShieldRsp](t.Context(), c, query(2))
	if err != nil || got.GetUserId() != 2 {
		t.Fatalf("after a late answer: %v, %v", got, err)
	}
}

func TestPostWriteExchangeAndStopping(t *testing.T) {
	c := serve(t, func(r *pdu.Reader, w io.Writer) error {
		for _, want := range []uint16{0x0303, 0x7777} {
			if f, err := r.Next(); err != nil || f.Command != want {
				return fmt.Errorf("got %#x, %v, want %#x", f.Command, err, want)
			}
		}
		f, err := r.Next()
		if err != nil || string(f.Body) != "odd" {
			return fmt.Errorf("got %q, %v", f.Body, err)
		}
		write(w, pdu.Frame{Service: 7, Command: catalog.Heartbeat})
		write(w, pdu.Frame{Service: 7, Command: catalog.StopReceiving, Body: []byte{8, 0}})
		write(w, pdu.Frame{Service: 7, Command: catalog.StopReceiving, Body: []byte{8, 0}})
		write(w, pdu.Frame{Service: 3, Command: 0x5556, Seq: f.Seq, Body: []byte("even")})
		return untilClosed(r)
	})
	if err := c.Post(t.Context(), readAck()); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), pdu.Frame{Command: 0x7777}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	got, err := c.Exchange(t.Context(), pdu.Frame{Command: 0x5555, Body: []byte("odd")})
	if err != nil || string(got.Body) != "even" || got.Command != 0x5556 {
		t.Fatalf("got %v, %v", got, err)
	}
	select {
	case <-c.Stopping():
	default:
		t.Fatal("stop-receiving came before the answer and was not told")
	}
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestErrorsSayWhatHappened has the server answer one query, each time in another wrong way.
func TestErrorsSayWhatHappened(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(f pdu.Frame) []byte // nil closes the connection
		want   string
	}{
		"other command": {func(f pdu.Frame) []byte {
			return pdu.Frame{Command: 0x0205, Seq: f.Seq}.Append(nil)
		},
			"IMQueryPushShieldReq was answered by command 0x0205, not 0x010f"},
		"broken body": {func(f pdu.Frame) []byte {
			return pdu.Frame{Command: 0x010f, Seq: f.Seq, Body: []byte{8}}.Append(nil)
		},
			"decoding IMQueryPushShieldRsp"},
		"nobody asked": {func(f pdu.Frame) []byte {
			return pdu.Frame{Command: 0x010f, Seq: f.Seq + 1}.Append(nil)
		},
			"a frame came that answers nothing: command 0x010f"},
		"broken frame": {func(pdu.Frame) []byte { return make([]byte, pdu.HeaderLen) },
			"frame length 0 is below 16; IMQueryPushShieldReq was not answered"},
		"closed": {func(pdu.Frame) []byte { return nil },
			"closed by the server (EOF); IMQueryPushShieldReq was not answered"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(r *pdu.Reader, w io.Writer) error {
				f, err := r.Next()
				if err != nil {
					return err
				}
				b := tt.answer(f)
				if b == nil {
					return nil
				}
				w.Write(b)
				return untilClosed(r)
			})
			_, err := c.Call(t.Context(), query(1))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func TestAfterTheEnd(t *testing.T) {
	c := serve(t, func(r *pdu.Reader, w io.Writer) error { return untilClosed(r) })
	failed := make(chan error, 1)
	if err := c.Start(t.Context(), query(1), func(_ proto.Message, err error) {
		failed <- err
	}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("in flight at the end: %v", err)
	}
	<-c.Done()
	if err := c.Err(); !errors.Is(err, ErrClosed) {
		t.Errorf("Err: %v", err)
	}
	if _, err := c.Call(t.Context(), query(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("Call: %v", err)
	}
	if err := c.Post(t.Context(), readAck()); !errors.Is(err, ErrClosed) {
		t.Errorf("Post: %v", err)
	}
	if _, err := c.Exchange(t.Context(), pdu.Frame{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Exchange: %v", err)
	}
}

func TestMisuseIsRefused(t *testing.T) {
	c := serve(t, func(r *pdu.Reader, w io.Writer) error { return untilClosed(r) })
	for name, err := range map[string]error{
		"call without an answer": second(c.Call(t.Context(), readAck())),
		"post with an answer":    c.Post(t.Context(), query(1)),
		"call of an answer":      second(c.Call(t.Context(), &impb.IMQueryPushShieldRsp{})),
		"required field missing": second(c.Call(t.Context(), &impb.IMQueryPushShieldReq{})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := New(ours, "pipe")
		start := time.Now()
		r := pdu.NewReader(theirs, 1<<20)
		for range 3 {
			f, err := r.Next()
			if err != nil || f.Command != catalog.Heartbeat || f.Len() != pdu.HeaderLen {
				t.Fatalf("got %v, %v", f, err)
			}
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("three heartbeats took %v", d)
		}
		c.Close()
		theirs.Close()
	})
}

func TestDialFailureNamesTheAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	if _, err := Dial(t.Context(), addr); err == nil || !strings.Contains(err.Error(), addr) {
		t.Fatalf("got %v", err)
	}
}
