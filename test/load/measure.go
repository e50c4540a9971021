package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

const (
	// answerTimeout is how long a message may take before it counts as not acknowledged.
	answerTimeout = 10 * time.Second
	// maxMessages bounds a run, and what is kept of it.
	maxMessages = 50_000_000
	// firstUser is the smallest user id in the pairs.
	firstUser   = 1_000_000
	groupMember = 999_999
)

// tally is what one sender saw.
type tally struct {
	latencies []uint32 // of acknowledged messages, microseconds
	failed    int
	firstErr  error
}

// measure runs the load and prints its summary. The error says that something was not acknowledged.
func (s settings) measure(ctx context.Context) error {
	clients := make([]*client.Client, s.conns)
	for i := range clients {
		c, err := client.Dial(ctx, s.addr)
		if err != nil {
			return err
		}
		defer c.Close()
		clients[i] = c
	}
	groups, err := s.makeGroups(ctx, clients[0])
	if err != nil {
		return err
	}

	text := []byte(strings.Repeat("x", s.size))
	tallies := make([]tally, s.conns*s.inflight)
	var left atomic.Int64
	left.Store(maxMessages)
	var senders sync.WaitGroup
	start := time.Now()
	end := start.Add(time.Duration(s.seconds) * time.Second)
	for i := range tallies {
		senders.Go(func() {
			for ctx.Err() == nil && time.Now().Before(end) && left.Add(-1) >= 0 {
				if !tallies[i].send(ctx, clients[i%s.conns], s.message(text, groups)) {
					return
				}
			}
		})
	}
	senders.Wait()
	return s.report(tallies, time.Since(start))
}

// makeGroups makes the groups that messages go to.
func (s settings) makeGroups(ctx context.Context, c *client.Client) (ids []uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i := range s.groups {
		answer, err := client.Call[*impb.IMGroupCreateRsp](ctx, c, &impb.IMGroupCreateReq{
			UserId: new(uint32(groupMember)), GroupType: impb.GroupType_GROUP_TYPE_NORMAL.Enum(),
			GroupName: new(fmt.Sprintf("load %d", i)), GroupAvatar: new(""),
			MemberIdList: []uint32{groupMember, groupMember - 1, groupMember - 2, groupMember - 3, groupMember - 4},
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

// message makes the next message: from one to the other of some pair, or, half of the time, to some group.
func (s settings) message(text []byte, groups []uint32) *impb.IMMsgData {
	m := &impb.IMMsgData{
		MsgId: new(uint32(0)), CreateTime: new(uint32(time.Now().Unix())), MsgData: text,
	}
	if len(groups) > 0 && rand.IntN(2) == 0 {
		m.MsgType = impb.MsgType_MSG_TYPE_GROUP_TEXT.Enum()
		m.FromUserId, m.ToSessionId = new(uint32(groupMember)), new(groups[rand.IntN(len(groups))])
		return m
	}
	m.MsgType = impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum()
	from := firstUser + 2*rand.Uint32N(uint32(s.pairs)) + rand.Uint32N(2)
	m.FromUserId, m.ToSessionId = new(from), new(from^1)
	return m
}

// send sends a message and waits for its answer. It returns false when there is no sense in going on.
func (t *tally) send(ctx context.Context, c *client.Client, m *impb.IMMsgData) bool {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	start := time.Now()
	answer, err := client.Call[*impb.IMMsgData](bounded, c, m)
	if err == nil && answer.GetMsgId() == 0 {
		err = errors.New("a message was answered with id 0: not stored")
	}
	if err == nil {
		t.latencies = append(t.latencies, uint32(time.Since(start).Microseconds()))
		return true
	}
	t.failed++
	if t.firstErr == nil {
		t.firstErr = err
	}
	return c.Err() == nil && ctx.Err() == nil
}

// report prints the summary.
func (s settings) report(tallies []tally, took time.Duration) error {
	var all []uint32
	failed := 0
	var firstErr error
	for _, t := range tallies {
		all = append(all, t.latencies...)
		failed += t.failed
		if firstErr == nil {
			firstErr = t.firstErr
		}
	}
	slices.Sort(all)
	at := func(share float64) time.Duration {
		if len(all) == 0 {
			return 0
		}
		return time.Duration(all[int(share*float64(len(all)-1))]) * time.Microsecond
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "load\t%d connections × %d in flight, %d bytes, %d pairs, %d groups, %.1f s\n",
		s.conns, s.inflight, s.size, s.pairs, s.groups, took.Seconds())
	fmt.Fprintf(w, "acknowledged\t%d messages\n", len(all))
	fmt.Fprintf(w, "rate\t%.0f messages/s\n", float64(len(all))/took.Seconds())
	fmt.Fprintf(w, "latency\tp50 %v, p99 %v, max %v\n", at(0.5), at(0.99), at(1))
	fmt.Fprintf(w, "not acknowledged\t%d\n", failed)
	if err := w.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d messages were not acknowledged; the first: %w", failed, firstErr)
	}
	if len(all) == 0 {
		return errors.New("nothing was acknowledged")
	}
	return nil
}
