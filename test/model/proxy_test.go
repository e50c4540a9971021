package model_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/command"
	"github.com/teamtalk-go/dbproxy/internal/groupsync"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// proxy is a proxy but for its connections: frames go in, frames come out.
type proxy struct {
	*opened
	handler *command.Handler
	stop    context.CancelFunc
	tasks   sync.WaitGroup
	now     func() time.Time
	log     *slog.Logger
}

func openProxy(e engine, now func() time.Time, log *slog.Logger) (*proxy, error) {
	o, err := e.open(now, log)
	if err != nil {
		return nil, err
	}
	svc, err := chat.New(o.rules, chat.Options{VoiceKey: chat.DefaultVoiceKey, Now: now, Log: log})
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &proxy{opened: o, handler: command.New(svc, command.Options{Log: log}), stop: stop,
		now: now, log: log}
	for _, loop := range append(o.loops, svc.Run) {
		p.tasks.Go(func() {
			if err := loop(ctx); err != nil {
				log.Error("a loop failed", "err", err)
			}
		})
	}
	return p, nil
}

func (p *proxy) end() error {
	p.handler.Wait()
	p.stop()
	p.tasks.Wait()
	return p.close()
}

// syncGroups has the group sync look once.
func (p *proxy) syncGroups() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := errors.New("the group sync did not look")
	s := groupsync.Syncer{Store: p.sync, Marks: p.marks, Now: p.now, Log: p.log, Every: patience,
		Observe: func(_ time.Duration, failed error) {
			err = failed
			cancel()
		}}
	return errors.Join(s.Run(ctx), err)
}

// peer is who asks; it takes its answers at once.
type peer struct{}

func (peer) String() string                       { return "192.0.2.1:1" }
func (peer) Conn() uint64                         { return 1 }
func (peer) Reserve(context.Context, int64) error { return nil }
func (peer) TryReserve(int64) bool                { return true }

// answered is how a request ended.
type answered struct {
	frame pdu.Frame
	ok    bool
}

// sequence is the sequence number of all requests.
const sequence = 7

// begin hands a request in; what comes back comes once.
func (p *proxy) begin(ctx context.Context, req proto.Message) (<-chan answered, error) {
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	entry, _ := catalog.Lookup(catalog.Name(req))
	c := make(chan answered, 2) // a second answer would stay in it
	p.handler.Start(ctx, peer{}, pdu.Frame{Command: entry.Command, Seq: sequence, Body: body},
		func(f pdu.Frame, ok bool) {
			c <- answered{f, ok}
		})
	return c, nil
}

// answer waits for the end of a request and returns its answer, nil for none.
func answer(ctx context.Context, req proto.Message, c <-chan answered) (proto.Message, error) {
	var a answered
	select {
	case a = <-c:
	case <-ctx.Done():
		return nil, errors.New("a request was not finished in time")
	}
	if len(c) > 0 {
		return nil, errors.New("a request was finished twice")
	}
	if !a.ok {
		return nil, nil
	}
	entry, _ := catalog.Lookup(catalog.Name(req))
	if entry.Answer == nil || a.frame.Command != entry.AnswerCommand ||
		a.frame.Service != entry.Service || a.frame.Seq != sequence {
		return nil, errors.New("the answer's frame is not that of an answer to this request")
	}
	msg := catalog.New(entry.Answer)
	return msg, proto.Unmarshal(a.frame.Body, msg)
}
