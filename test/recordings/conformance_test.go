package recordings

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// difference is something that is not the original's, on purpose.
type difference struct {
	scenario string
	where    string // "step 3", "table IMGroup" or "key unread_1"
	reason   string
}

// differences is all of them. None is left out silently: what does not differ any more fails as
// well.
var differences = []difference{}

// writers are the ways in which requests are written.
var writers = map[string]func(io.Writer, []byte) error{
	"glued":        func(w io.Writer, b []byte) error { _, err := w.Write(b); return err },
	"byte by byte": writeBytes,
}

// TestConformance replays the recordings of the original server, each on a store of its own.
func TestConformance(t *testing.T) {
	for _, r := range readRecordings(t) {
		for name, write := range writers {
			t.Run(r.Scenario+"/"+name, func(t *testing.T) {
				t.Parallel()
				p := rig.Start(t, rig.NewStore(t))
				run := &replay{recording: r, addr: p.Addr, write: write}
				diffs, err := run.run(t.Context())
				r.judge(t, diffs, err, "step ")
			})
		}
	}
}

// TestConformanceOnServers does the same on MySQL and Redis, where rows and keys must be the
// original's, too.
func TestConformanceOnServers(t *testing.T) {
	for _, r := range readRecordings(t) {
		for name, write := range writers {
			if rig.UnderRace && name != "glued" {
				continue // the engines are slow enough as it is
			}
			t.Run(r.Scenario+"/"+name, func(t *testing.T) {
				t.Parallel()
				f, redis := rig.NewRedisFleet(t)
				before := readTables(t, f, nil)
				p := f.Start(t)
				run := &replay{recording: r, addr: p.Addr, write: write}
				diffs, err := run.run(t.Context())
				rig.Await(t, "a look of the group sync", func() bool {
					return f.Redis.Text(t, "GET", "last_update_group") != ""
				})
				if err := p.Stop(rig.Within(t)); err != nil { // now all counters are in Redis
					t.Error(err)
				}
				got := leftover{tables: readTables(t, f, before), keys: rig.ReadKeys(t, f.Redis)}
				maps.Copy(got.keys, rig.ReadKeys(t, rig.DialRedis(t, redis, 2)))
				want, bad := r.leftover()
				maps.Copy(diffs, compareLeftover(t, marks{run.start, f.Files.URL()}, want, got))
				r.judge(t, diffs, errors.Join(err, bad), "")
			})
		}
	}
}

// TestConformanceWithoutRedis does the same on MySQL alone: answers and rows are the original's.
func TestConformanceWithoutRedis(t *testing.T) {
	for _, r := range readRecordings(t) {
		t.Run(r.Scenario, func(t *testing.T) {
			t.Parallel()
			f := rig.NewFleetWithoutRedis(t, servers.MariaDB(t))
			before := readTables(t, f, nil)
			p := f.Start(t)
			run := &replay{recording: r, addr: p.Addr, write: writers["glued"]}
			diffs, err := run.run(t.Context())
			rig.Await(t, "a look of the group sync", func() bool {
				return rig.Count(t, f.DB.Admin, "SELECT COUNT(*) FROM IMProxyMark"+
					" WHERE name='last_update_group'") > 0
			})
			if err := p.Stop(rig.Within(t)); err != nil {
				t.Error(err)
			}
			want, bad := r.leftover()
			want.keys = nil
			maps.Copy(diffs, compareLeftover(t, marks{run.start, f.Files.URL()}, want,
				leftover{tables: readTables(t, f, before)}))
			r.judge(t, diffs, errors.Join(err, bad), "")
		})
	}
}

// judge fails the test for every difference that is not meant, and for what is meant to differ and
// does not; of these only those count whose "where" begins with prefix.
func (r recording) judge(t *testing.T, diffs map[string]string, err error, prefix string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", r.About, err)
	}
	for _, d := range differences {
		if d.scenario != r.Scenario || !strings.HasPrefix(d.where, prefix) {
			continue
		}
		if diffs[d.where] == "" {
			t.Errorf("%s does not differ, as it should: %s", d.where, d.reason)
		}
		delete(diffs, d.where)
	}
	for _, where := range slices.Sorted(maps.Keys(diffs)) {
		t.Errorf("%s: %s (-recorded +got):\n%s", r.About, where, diffs[where])
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
	wire  *rig.Wire
}

// run replays all steps and returns the differences, by step. An error says that it could not go
// on, or that something came which was not recorded.
func (r *replay) run(ctx context.Context) (diffs map[string]string, err error) {
	r.start = time.Now()
	defer func() {
		if r.wire != nil {
			err = errors.Join(err, r.wire.Close())
		}
	}()
	diffs = make(map[string]string)
	for i, s := range r.Steps {
		where := fmt.Sprintf("step %d", i)
		diff, err := r.step(ctx, s)
		if err != nil {
			return diffs, fmt.Errorf("%s: %w", where, err)
		}
		note(diffs, where, diff)
	}
	return diffs, r.fence(ctx)
}

// step replays one step and compares what comes. An error means that there is no sense in going on.
func (r *replay) step(ctx context.Context, s step) (diff string, err error) {
	if s.Sleep > 0 {
		time.Sleep(time.Duration(s.Sleep * float64(time.Second)))
		return "", nil
	}
	if r.wire == nil {
		if r.wire, err = rig.DialWire(ctx, r.addr); err != nil {
			return "", err
		}
	}
	select {
	case f, ok := <-r.wire.Frames:
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
	ctx, cancel := context.WithTimeoutCause(ctx, rig.Patience, errors.New("no frame came"))
	defer cancel()
	var got []pdu.Frame
	for i := range s.Recv {
		f, err := r.wire.Next(ctx)
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
		if err := r.wire.AwaitClosed(ctx); err != nil {
			return "", err
		}
		err := r.wire.Close()
		r.wire = nil
		return diffs.String(), err
	}
	return diffs.String(), nil
}

// fence has one more question answered and then says that there will be none, whereupon the server
// closes when it has answered everything: nothing but that one answer may come.
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
	ctx, cancel := context.WithTimeoutCause(ctx, rig.Patience, errors.New("no answer came"))
	defer cancel()
	f, err := r.wire.Next(ctx)
	if err != nil {
		return fmt.Errorf("asking one more question after all steps: %w", err)
	}
	if f.Command != 0x010f || f.Seq != seq {
		return fmt.Errorf("after all steps, a frame came that was not recorded: %+v", f)
	}
	if err := r.wire.AwaitClosed(ctx); err != nil {
		return fmt.Errorf("after all steps: %w", err)
	}
	return nil
}
