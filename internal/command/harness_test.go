package command_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/command"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/server"
	"github.com/teamtalk-go/dbproxy/internal/voice"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// patience is how long a test waits for what must come. No test passes by waiting this long.
const patience = 60 * time.Second

// world is a handler at work on a store of its own.
type world struct {
	testing.TB
	svc   *chat.Service
	h     *command.Handler
	raw   testdb.Raw
	store io.Closer
	ctx   context.Context // of requests
	peer  peer

	outcomes *outcomes
}

// rule tests a rule on every engine.
func rule(t *testing.T, test func(w *world)) {
	t.Helper()
	ruleWith(t, nil, test)
}

// ruleWith is rule with something put between the service and its store.
func ruleWith(t *testing.T, wrap func(*chat.Store), test func(w *world)) {
	t.Helper()
	for _, e := range testdb.Engines {
		t.Run(e.Name, func(t *testing.T) {
			test(start(t, e, wrap, slog.NewTextHandler(t.Output(), nil)))
		})
	}
}

// start starts a handler on an engine. The service ends with the test.
func start(tb testing.TB, engine testdb.Engine, wrap func(*chat.Store), logs slog.Handler) *world {
	tb.Helper()
	log := slog.New(logs)
	dir := tb.TempDir()
	kept, raw := engine.Open(tb, dir, records.Options{Log: log})
	sounds, err := voice.OpenDir(filepath.Join(dir, "voice"))
	if err != nil {
		tb.Fatal(err)
	}
	store := counters.OnRecords(kept)
	store.Voice, store.Failures = sounds, &counters.Failures{}
	if wrap != nil {
		wrap(&store)
	}
	svc, err := chat.New(store, chat.Options{VoiceKey: chat.DefaultVoiceKey, Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	life, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- svc.Run(life) }()
	w := &world{TB: tb, svc: svc, raw: raw, store: kept, outcomes: new(outcomes)}
	w.h = command.New(svc, command.Options{Log: log, Observe: w.outcomes.add})
	tb.Cleanup(func() {
		w.h.Wait()
		stop()
		if err := errors.Join(<-ran, sounds.Close()); err != nil {
			tb.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	w.ctx = ctx
	return w
}

// outcomes has what the handler observed, in order, such as "IMMsgData answered".
type outcomes struct {
	mu   sync.Mutex
	seen []string // guarded by mu
}

func (o *outcomes) add(request string, what command.Outcome, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if took < 0 {
		request = "before it began: " + request
	}
	o.seen = append(o.seen, request+" "+string(what))
}

// take returns what was observed since the last time.
func (o *outcomes) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	return seen
}

// peer is who asks; its answers do not wait unless it is told so.
type peer struct{ deaf, gone bool }

func (peer) String() string { return "192.0.2.1:1" }

func (peer) Conn() uint64 { return 1 }

func (p peer) Reserve(ctx context.Context, _ int64) error {
	if p.gone {
		return server.ErrGone
	}
	if p.deaf {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (p peer) TryReserve(int64) bool { return !p.gone && !p.deaf }

// answered is what finish was called with.
type answered struct {
	pdu.Frame
	ok bool
}

// begin hands a frame to the handler and does not wait for the answer.
func (w *world) begin(f pdu.Frame) <-chan answered {
	w.Helper()
	c := make(chan answered, 1)
	var finished atomic.Bool
	w.h.Start(w.ctx, w.peer, f, func(answer pdu.Frame, ok bool) {
		if finished.Swap(true) {
			w.Errorf("command 0x%04x was finished twice", f.Command)
			return
		}
		c <- answered{answer, ok}
	})
	return c
}

func (w *world) await(c <-chan answered) answered {
	w.Helper()
	select {
	case a := <-c:
		return a
	case <-time.After(patience):
		w.Fatal("waited in vain for an answer")
		return answered{}
	}
}

// entryOf is the catalog's entry of a request.
func entryOf(tb testing.TB, req proto.Message) catalog.Entry {
	tb.Helper()
	e, err := catalog.Lookup(catalog.Name(req))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// frame encodes a request.
func frame(tb testing.TB, req proto.Message) pdu.Frame {
	tb.Helper()
	body, err := proto.MarshalOptions{AllowPartial: true}.Marshal(req)
	if err != nil {
		tb.Fatal(err)
	}
	return pdu.Frame{Service: 99, Command: entryOf(tb, req).Command, Seq: 7, Body: body}
}

// sends hands a request to the handler and does not wait for the answer.
func (w *world) sends(req proto.Message) <-chan answered {
	w.Helper()
	return w.begin(frame(w, req))
}

// ask sends a request and returns its answer, nil for none.
func (w *world) ask(req proto.Message) proto.Message {
	w.Helper()
	return w.decode(entryOf(w, req), w.await(w.sends(req)))
}

// decode checks an answer's frame and parses its body.
func (w *world) decode(e catalog.Entry, a answered) proto.Message {
	w.Helper()
	if !a.ok {
		return nil
	}
	if a.Command != e.AnswerCommand || a.Service != e.Service || a.Seq != 7 {
		w.Errorf("%s: answered with command 0x%04x, service %d, sequence number %d", e.Name(),
			a.Command, a.Service, a.Seq)
	}
	answer := catalog.New(e.Answer)
	if err := (proto.UnmarshalOptions{AllowPartial: e.Command == 0x0703}).Unmarshal(a.Body,
		answer); err != nil {
		w.Errorf("%s: the answer does not parse: %v", e.Name(), err)
	}
	return answer
}

// filled is a request with every field set: numbers are 1, texts "x", enums their first value.
// Tests of all commands send it, on a store where user 1 knows user 2 and both are in group 1.
func filled(example proto.Message) proto.Message {
	msg := catalog.New(example)
	m := msg.ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.Kind() == protoreflect.MessageKind:
			element := m.Mutable(f).List().NewElement().Message().Interface()
			m.Mutable(f).List().Append(protoreflect.ValueOfMessage(filled(element).ProtoReflect()))
		case f.IsList():
			m.Mutable(f).List().Append(value(f))
		case f.Number() != attachData:
			m.Set(f, value(f))
		}
	}
	if to := fields.ByName("to_session_id"); to != nil {
		m.Set(to, protoreflect.ValueOfUint32(2))
	}
	return msg
}

const attachData = 20

func value(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("x"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(f.Enum().Values().Get(0).Number())
	default:
		return protoreflect.ValueOfUint32(1)
	}
}

// people fills the store with users 1 and 2, whose name and password are x and y and x, and group 1
// with both.
func (w *world) people() {
	w.Helper()
	for _, name := range []string{"x", "y"} {
		w.raw.Run("INSERT INTO IMUser "+
			"(sex,name,domain,nick,password,salt,phone,email,avatar,departId,status,"+
			"created,updated,push_shield_status,sign_info)"+
			" VALUES (1,?,'','',?,'s','','','',0,0,1,1,0,'')", name, chat.HashPassword("x", "s"))
	}
	w.raw.Run("INSERT INTO IMGroup " +
		"(id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,created) VALUES " +
		"(1,'g','',1,1,2,0,2,0,1,1)")
	for user := range 2 {
		w.raw.Run("INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES "+
			"(1,?,0,1,1)", user+1)
	}
}
