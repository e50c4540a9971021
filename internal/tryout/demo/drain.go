package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// drain stops a second proxy while messages are in flight, as the first is not ours to stop. The
// proxy must say that it stops, answer all messages and close the connection. Started again, it
// must have them all.
func (p *play) drain(ctx context.Context) string {
	dir, err := os.MkdirTemp("", "dbproxy-demo-")
	if err == nil {
		err = p.stopInFlight(ctx, dir)
	}
	if err == nil {
		var stored uint32
		stored, err = p.countStored(ctx, dir)
		err = cmp.Or(err, compare("messages after starting it again", stored, inFlight))
	}
	p.fail(errors.Join(err, os.RemoveAll(dir)))
	return fmt.Sprintf("a second proxy is stopped with %d in flight: all are stored", inFlight)
}

// stopInFlight starts a proxy and stops it while messages are on their way.
func (p *play) stopInFlight(ctx context.Context, dir string) error {
	addr, stop, err := p.Start(ctx, dir)
	if err != nil {
		return err
	}
	c, err := client.Dial(ctx, addr)
	if err != nil {
		return errors.Join(err, stop())
	}
	defer c.Close()
	if n, err := newest(ctx, c); err != nil || n != 0 { // an answer: it serves this connection
		return errors.Join(cmp.Or(err, compare("newest message of a new proxy", n, 0)), stop())
	}
	stopped := make(chan error, 1)
	ids, err := burst(ctx, c, func(i int) *impb.IMMsgData {
		if i == inFlight/2 {
			go func() { stopped <- stop() }()
		}
		return message(1, 2, impb.MsgType_MSG_TYPE_SINGLE_TEXT, fmt.Appendf(nil, "in flight %d", i))
	})
	if err != nil {
		err = errors.Join(err, stop())
		return fmt.Errorf("%d of %d were answered: %w", len(ids), inFlight, err)
	}
	if err := <-stopped; err != nil {
		return err
	}
	select {
	case <-c.Done():
	case <-time.After(answerWithin):
		return fmt.Errorf("the proxy did not close the connection within %v of its end",
			answerWithin)
	}
	if !c.IsStopping() {
		return errors.New("the proxy closed the connection without saying that it stops (0x0702)")
	}
	return nil
}

// countStored starts the proxy again and returns the newest id of the talk.
func (p *play) countStored(ctx context.Context, dir string) (n uint32, err error) {
	addr, stop, err := p.Start(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	c, err := client.Dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return newest(ctx, c)
}

// newest is the newest message id of the second proxy's only talk.
func newest(ctx context.Context, c *client.Client) (uint32, error) {
	answer, err := call[*impb.IMGetLatestMsgIdRsp](ctx, c, &impb.IMGetLatestMsgIdReq{
		UserId: proto.Uint32(1), SessionType: pair.Enum(), SessionId: proto.Uint32(2),
	})
	return answer.GetLatestMsgId(), err
}
