// Package demo plays a scripted conversation against a running proxy, through its protocol, and
// says in one line per step what it does and whether the proxy did what docs/protocol.md promises.
// The people in it are those of package company.
//
// Each step compares what came with what must come. The first difference ends a step, and the play
// goes on with the next one. The first steps find out how things are, so that a play can be given
// twice, and the last one leaves the lists of talks as they were found. The proxy that is tried
// cannot be stopped by the play: the step that needs that starts one of its own (Start).
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// ErrNoCompany says that the people of the play are not at the proxy.
var ErrNoCompany = errors.New("the demo company is not there")

// Start starts a proxy on a data directory, and returns the address that it listens on. The stop
// that it returns does what SIGTERM does, and returns when the proxy has ended.
type Start func(ctx context.Context, dir string) (addr string, stop func() error, err error)

// Options are what a play needs.
type Options struct {
	Client *client.Client // connected to the proxy to be tried
	Start  Start          // starts the second proxy, which a step stops
	Out    io.Writer      // gets one line per step, for people
}

// The kinds of talks.
const pair, group = impb.SessionType_SESSION_TYPE_SINGLE, impb.SessionType_SESSION_TYPE_GROUP

// answerWithin is how long a step waits for one answer. A proxy gives up on a request after 5
// seconds.
const answerWithin = 6 * time.Second

// play is one play at work. Its fields are what later steps need of earlier ones.
type play struct {
	Options
	differs error // what was not as it must be, first of all in this step; nil: nothing yet

	emma, frank, ming, carol person
	hadTalk                  map[uint32]bool // whose list had the talk of emma and frank before
	unreadBefore             uint32          // how many messages of emma frank had not read before

	first, last uint32 // ids of the messages that the play added to that talk
	group       uint32 // the id of the group that the play made; 0: none
}

// person is one of those who play.
type person struct {
	id   uint32
	name string
}

// step is one thing that is tried. Its play says in a few words what happened, unless something
// differed from what must happen.
type step struct {
	name string
	play func(context.Context) (said string)
}

func (p *play) steps() []step {
	return []step{
		{"people", p.people},
		{"login", p.login},
		{"send", p.send},
		{"order", p.order},
		{"unread", p.unread},
		{"read", p.read},
		{"page", p.page},
		{"recent", p.recent},
		{"voice", p.voice},
		{"group", p.createGroup},
		{"group talk", p.talkInGroup},
		{"outsider", p.outsider},
		{"group ends", p.endGroup},
		{"offline file", p.offlineFile},
		{"refused", p.refused},
		{"password", p.wrongPassword},
		{"lockout", p.lockout},
		{"drain", p.drain},
		{"tidy up", p.tidy},
	}
}

// Play plays all steps. Its error says how many of them differed. It is ErrNoCompany when the
// people are not there; then nothing was done.
func Play(ctx context.Context, opt Options) error {
	p := &play{Options: opt}
	steps := p.steps()
	differed := 0
	for i, s := range steps {
		p.differs = nil
		verdict, said := "ok", s.play(ctx)
		if errors.Is(p.differs, ErrNoCompany) {
			return p.differs
		}
		if p.differs != nil {
			differed++
			verdict, said = "DIFFERS", p.differs.Error()
		}
		fmt.Fprintf(p.Out, "%2d %-12s %-2s  %s\n", i+1, s.name, verdict, said)
		if lost := p.Client.Err(); lost != nil {
			return fmt.Errorf("the play ended at step %d of %d: %w", i+1, len(steps), lost)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the play was stopped at step %d of %d", i+1, len(steps))
		}
	}
	return p.summary(len(steps), differed)
}

// summary prints how the play went and what it left behind.
func (p *play) summary(steps, differed int) error {
	result := "all as expected"
	if differed > 0 {
		result = fmt.Sprintf("%d DIFFERED from what was expected, see above", differed)
	}
	var left []string
	if p.last >= p.first && p.first > 0 {
		left = append(left, fmt.Sprintf("messages %d to %d of emma and frank, "+
			"the last with its sound", p.first, p.last))
	}
	if p.unreadBefore > 0 {
		left = append(left, fmt.Sprintf("nothing unread: the %d that frank had not read of emma "+
			"count as read", p.unreadBefore))
	}
	if p.group > 0 {
		left = append(left, fmt.Sprintf("group %d, which has no members", p.group))
	}
	fmt.Fprintf(p.Out, "\n%d steps, %s.\n", steps, result)
	if len(left) > 0 {
		fmt.Fprintf(p.Out, "It added %s.\n", strings.Join(left, ";\nand "))
	}
	if differed > 0 {
		return fmt.Errorf("%d of %d steps differed from what was expected", differed, steps)
	}
	return nil
}

// call sends a request and returns its answer.
func call[A proto.Message](ctx context.Context, c *client.Client, req proto.Message) (A, error) {
	late := fmt.Errorf("no answer within %v", answerWithin)
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, late)
	defer cancel()
	return client.Call[A](ctx, c, req)
}

// ask is call for a step. The answer is empty when there is none, or something has differed.
func ask[A proto.Message](ctx context.Context, p *play, req proto.Message) (answer A) {
	if p.differs == nil {
		answer, p.differs = call[A](ctx, p.Client, req)
	}
	return answer
}

// tell sends a request that has no answer.
func (p *play) tell(ctx context.Context, req proto.Message) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if p.differs == nil {
		p.differs = p.Client.Post(ctx, req)
	}
}

// fail notes an error, if there is one, unless something has differed already.
func (p *play) fail(err error) {
	if p.differs == nil {
		p.differs = err
	}
}

// expect notes that what came is not what must come.
func expect[T comparable](p *play, what string, got, want T) { p.fail(compare(what, got, want)) }

// compare is an error if what came is not what must come.
func compare[T comparable](what string, got, want T) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s: expected %v, got %v", what, want, got)
}
