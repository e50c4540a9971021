// Package bench loads proxies. Run sends messages as fast as they are stored, and reports how fast
// that was. Load, on which it stands, is for whoever wants another load, such as the tests: lines,
// each a connection at work on a proxy, send and ask, go to other proxies, and note what became of
// every request.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

const (
	// answerTimeout is how long Run waits for the last answers.
	answerTimeout = 10 * time.Second
	// firstUser is the smallest user id in pairs, an even number. Those below are members of
	// groups.
	firstUser    = 1_000_000
	groupMembers = 5
)

// Options say what Run sends. Check says what they may be.
type Options struct {
	Conns    int           // connections
	InFlight int           // messages on each that wait for their answers
	Size     int           // bytes of text in each message
	For      time.Duration // how long it lasts
	Pairs    int           // pairs of users who talk
	Groups   int           // groups that half of the messages go to
}

// Defaults are options that load a proxy on a small machine.
func Defaults() Options {
	return Options{Conns: 16, InFlight: 8, Size: 100, For: 10 * time.Second, Pairs: 1000}
}

// Check returns an error if an option is out of its bounds.
func (o Options) Check() error {
	for _, b := range []struct {
		what            string
		value, min, max int
	}{
		{"connections", o.Conns, 1, 1000},
		{"messages in flight", o.InFlight, 1, 1000},
		{"bytes of text", o.Size, 1, 4096},
		{"seconds", int(o.For.Seconds()), 1, 600},
		{"pairs", o.Pairs, 1, 1_000_000},
		{"groups", o.Groups, 0, 10_000},
	} {
		if b.value < b.min || b.value > b.max {
			return fmt.Errorf("%d %s: it must be from %d to %d", b.value, b.what, b.min, b.max)
		}
	}
	return nil
}

// Report is what Run has measured.
type Report struct {
	Options
	Took          time.Duration
	Stored        int           // messages that were answered with an id
	Failed        int           // messages that have none
	Cause         error         // why the first of those has none; nil if there are none
	P50, P99, Max time.Duration // from sending a message that was stored to its answer
}

// Rate is how many messages were stored in a second.
func (r *Report) Rate() float64 { return float64(r.Stored) / r.Took.Seconds() }

// Err is an error if a message was not stored, or none was.
func (r *Report) Err() error {
	switch {
	case r.Failed > 0:
		return fmt.Errorf("%d messages were not acknowledged; the first: %w", r.Failed, r.Cause)
	case r.Stored == 0:
		return errors.New("nothing was acknowledged")
	}
	return nil
}

// String is the report for people, a few lines.
func (r *Report) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "load\t%d connections × %d in flight, %d bytes, %d pairs, %d groups, %.1f s\n",
		r.Conns, r.InFlight, r.Size, r.Pairs, r.Groups, r.Took.Seconds())
	fmt.Fprintf(w, "acknowledged\t%d messages\n", r.Stored)
	fmt.Fprintf(w, "rate\t%.0f messages/s\n", r.Rate())
	fmt.Fprintf(w, "latency\tp50 %v, p99 %v, max %v\n", r.P50, r.P99, r.Max)
	fmt.Fprintf(w, "not acknowledged\t%d\n", r.Failed)
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}

// Run sends messages, which nobody wants, to the proxies that listen at addrs: as many as they
// store. It ends after o.For, or with ctx. The error says that it could not begin; what went wrong
// later is in the report.
func Run(ctx context.Context, o Options, addrs ...string) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	groups, err := o.makeGroups(ctx, addrs[0])
	if err != nil {
		return nil, err
	}
	text := strings.Repeat("x", o.Size)
	l := New(Plan{
		Ledger: noLedger{}, GiveUp: answerTimeout,
		Text: func(uint64, uint64) string { return text },
		Lost: func(string, error) bool { return false },
	})
	begun := time.Now()
	lasts, stop := context.WithTimeout(ctx, o.For)
	defer stop()
	l.Begin(ctx, addrs...)
	for range o.Conns {
		l.Go(func(c *Line) { o.keepSending(c, groups) })
	}
	go func() { // when all connections are lost, there is nothing to wait for
		l.running.Wait()
		stop()
	}()
	<-lasts.Done()
	l.Halt()
	l.AwaitAnswers(answerTimeout)
	took := time.Since(begun)
	l.Close()
	return l.report(o, took), nil
}

// keepSending keeps messages in flight on a connection for as long as it may.
func (o Options) keepSending(c *Line, groups []uint32) {
	var slots sync.WaitGroup
	for range o.InFlight {
		slots.Go(func() {
			for c.On() {
				c.Volley(1, func() (Talk, *impb.IMMsgData) { return o.draw(groups) })
			}
		})
	}
	slots.Wait()
}

// makeGroups makes the groups that messages go to.
func (o Options) makeGroups(ctx context.Context, addr string) (ids []uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var members []uint32
	for i := range uint32(groupMembers) {
		members = append(members, firstUser-1-i)
	}
	for i := range o.Groups {
		answer, err := client.Call[*impb.IMGroupCreateRsp](ctx, c, &impb.IMGroupCreateReq{
			UserId: &members[0], GroupType: impb.GroupType_GROUP_TYPE_NORMAL.Enum(),
			GroupName: new(fmt.Sprintf("load %d", i)), GroupAvatar: new(""), MemberIdList: members,
		})
		if err != nil {
			return nil, err
		}
		if answer.GetResultCode() != 0 {
			return nil, fmt.Errorf("a group was refused: %v", answer)
		}
		ids = append(ids, answer.GetGroupId())
	}
	return ids, nil
}

// draw draws the next message: from one to the other of some pair, or, half of the time, to some
// group.
func (o Options) draw(groups []uint32) (Talk, *impb.IMMsgData) {
	if len(groups) > 0 && rand.IntN(2) == 0 {
		k := GroupTalk(groups[rand.IntN(len(groups))])
		return k, k.Message(firstUser - 1)
	}
	from := firstUser + 2*rand.Uint32N(uint32(o.Pairs)) + rand.Uint32N(2)
	k := PairTalk(from, from^1)
	return k, k.Message(from)
}

// report sums up a load that is closed.
func (l *Load) report(o Options, took time.Duration) *Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.latency)
	at := func(share float64) time.Duration {
		if len(l.latency) == 0 {
			return 0
		}
		return time.Duration(l.latency[int(share*float64(len(l.latency)-1))]) * time.Microsecond
	}
	return &Report{
		Options: o, Took: took, Stored: len(l.latency), Failed: l.failed, Cause: l.cause,
		P50: at(0.5), P99: at(0.99), Max: at(1),
	}
}

// noLedger is for a load that only counts.
type noLedger struct{}

func (noLedger) Highest(Talk) uint32            { return 0 }
func (noLedger) Answered(Talk, *impb.IMMsgData) {}
func (noLedger) Fault(string)                   {}
