package test

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// difference is an answer that is not the original's, on purpose.
type difference struct {
	scenario string
	step     int
	reason   string
}

// differences is all of them. None is left out silently: what does not differ any more fails as well.
var differences = []difference{}

// TestConformance replays the recordings of the original server, each on a store of its own.
func TestConformance(t *testing.T) {
	writers := map[string]func(io.Writer, []byte) error{
		"glued":        func(w io.Writer, b []byte) error { _, err := w.Write(b); return err },
		"byte by byte": writeBytes,
	}
	for _, r := range readRecordings(t) {
		for name, write := range writers {
			t.Run(r.Scenario+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := start(t, newStore(t))
				if err := (&replay{recording: r, addr: p.Addr, write: write}).run(t.Context()); err != nil {
					t.Errorf("%s: %v", r.About, err)
				}
			})
		}
	}
}

// writeBytes writes each byte for itself.
func writeBytes(w io.Writer, b []byte) error {
	for i := range b {
		if _, err := w.Write(b[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// replay is a recording being replayed against the proxy at addr. It belongs to one goroutine.
type replay struct {
	recording
	addr  string
	write func(io.Writer, []byte) error

	start time.Time
	wire  *wire
}

// run replays all steps; the error says every difference.
func (r *replay) run(ctx context.Context) (err error) {
	r.start = time.Now()
	defer func() {
		if r.wire != nil {
			err = errors.Join(err, r.wire.Close())
		}
	}()
	var wrong []error
	for i, s := range r.Steps {
		diff, err := r.step(ctx, s)
		if err != nil {
			return errors.Join(append(wrong, fmt.Errorf("step %d: %w", i, err))...)
		}
		meant := slices.IndexFunc(differences, func(d difference) bool { return d.scenario == r.Scenario && d.step == i })
		switch {
		case diff != "" && meant < 0:
			wrong = append(wrong, fmt.Errorf("step %d (-recorded +got):\n%s", i, diff))
		case diff == "" && meant >= 0:
			wrong = append(wrong, fmt.Errorf("step %d does not differ, as it should: %s", i, differences[meant].reason))
		}
	}
	if err := r.fence(ctx); err != nil {
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// step replays one step and compares what comes. An error means that there is no sense in going on.
func (r *replay) step(ctx context.Context, s step) (diff string, err error) {
	if s.Sleep > 0 {
		time.Sleep(time.Duration(s.Sleep * float64(time.Second)))
		return "", nil
	}
	if r.wire == nil {
		if r.wire, err = dialWire(ctx, r.addr); err != nil {
			return "", err
		}
	}
	select {
	case f, ok := <-r.wire.frames:
		if ok {
			return "", fmt.Errorf("before it, a frame came that was not recorded: %+v", f)
		}
	default:
	}
	out, err := s.bytes(r.start)
	if err != nil {
		return "", err
	}
	if err := r.write(r.wire, out); err != nil {
		return "", err
	}
	return r.receive(ctx, s)
}

// bytes is what the step writes.
func (s step) bytes(start time.Time) (out []byte, err error) {
	for _, f := range s.Send {
		frame, err := f.encode(start)
		if err != nil {
			return nil, err
		}
		out = frame.Append(out)
	}
	raw, err := hex.DecodeString(s.Raw)
	return append(out, raw...), err
}

// receive takes as many frames as the step recorded and compares them.
func (r *replay) receive(ctx context.Context, s step) (diff string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("no frame came"))
	defer cancel()
	var got []pdu.Frame
	for i := range s.Recv {
		f, err := r.wire.next(ctx)
		if err != nil {
			return "", fmt.Errorf("waiting for frame %d of %d: %w", i+1, len(s.Recv), err)
		}
		got = append(got, f)
	}
	want := slices.Clone(s.Recv)
	if s.AnyOrder {
		slices.SortFunc(want, func(a, b recordedFrame) int { return cmp.Compare(a.Seq, b.Seq) })
		slices.SortFunc(got, func(a, b pdu.Frame) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	var diffs strings.Builder
	for i := range want {
		diffs.WriteString(gocmp.Diff(want[i].wanted(), want[i].seen(got[i], r.start)))
	}
	if s.Closed {
		if err := r.wire.awaitClosed(ctx); err != nil {
			return "", err
		}
		err := r.wire.Close()
		r.wire = nil
		return diffs.String(), err
	}
	return diffs.String(), nil
}

// fence has one more question answered and then says that there will be none, whereupon the server closes when it has
// answered everything: nothing but that one answer may come.
func (r *replay) fence(ctx context.Context) error {
	if r.wire == nil {
		return nil // closed by the server, and nothing was sent since
	}
	const seq = 0xfefe
	body, err := proto.Marshal(&impb.IMQueryPushShieldReq{UserId: proto.Uint32(1)})
	if err != nil {
		return err
	}
	question := pdu.Frame{Service: 1, Command: 0x010e, Seq: seq, Body: body}
	if _, err := r.wire.Write(question.Append(nil)); err != nil {
		return err
	}
	if err := r.wire.CloseWrite(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("no answer came"))
	defer cancel()
	f, err := r.wire.next(ctx)
	if err != nil {
		return fmt.Errorf("asking one more question after all steps: %w", err)
	}
	if f.Command != 0x010f || f.Seq != seq {
		return fmt.Errorf("after all steps, a frame came that was not recorded: %+v", f)
	}
	if err := r.wire.awaitClosed(ctx); err != nil {
		return fmt.Errorf("after all steps: %w", err)
	}
	return nil
}
