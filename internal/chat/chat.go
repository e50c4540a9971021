package chat

import (
	"context"
	"log/slog"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/turns"
)

// Store is all that the service needs from below: the records, with the counters in front of them.
// The fields are called from many goroutines at once.
type Store struct {
	Ledger    Ledger
	Sequencer Sequencer
	Counters  Counters
	Directory Directory
	Profiles  Profiles
	Archive   Archive
	Sessions  Sessions
	Groups    Groups
	Mutes     Mutes
	Tokens    Tokens
	Files     Files
	Voice     Voice
	Failures  Failures
}

// Options are the service's settings.
type Options struct {
	// VoiceKey is the suite's aesKey, 32 bytes. With it the label is encrypted that stands for a
	// voice message in lists.
	VoiceKey string
	// Now is the clock. In its time zone the nightly push shield holds. Nil means time.Now.
	Now func() time.Time
	// Concurrency is how many batches of reads are served at once, and how many changes run at
	// once; 0 means 32.
	Concurrency int
	Log         *slog.Logger
	// Committed is told of every try to store a batch: how many drafts it has, how many bytes these
	// have, how long it took until the outcome was known, and the outcome (nil: stored). The
	// committer waits for it, so it must be quick. Nil means that nobody wants to know.
	Committed func(rows, bytes int, took time.Duration, err error)
}

// DefaultVoiceKey is the aesKey in the suite's own configuration files.
const DefaultVoiceKey = "12345678901234567890123456789012"

// Service is the rules at work on one store. Nobody can reach that store through it, past the
// rules. Make it with New, and have Run running; its methods are safe for concurrent use. Its
// fields never change; each of those that have a state guards it itself.
type Service struct {
	Administration
	store     Store
	committer *committer
	reads     *turns.Slots // Concurrency, see Reads
	changes   *turns.Slots // Concurrency, apart from reads, so that changes that wait hold up none
	sounds    *turns.Slots // maxSounds, of sounds that are being stored
	judged    nameLocks    // of the logins that are being judged
	acks      acks         // that are pending
	label     string       // for a voice message in lists
	now       func() time.Time
	log       *slog.Logger
}

// New makes a service on a store. The error says what is wrong with the options.
func New(store Store, opt Options) (*Service, error) {
	label, err := voiceLabel(opt.VoiceKey)
	if err != nil {
		return nil, err
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Concurrency == 0 {
		opt.Concurrency = 32
	}
	if opt.Committed == nil {
		opt.Committed = func(int, int, time.Duration, error) {}
	}
	return &Service{
		Administration: NewAdministration(store.Groups, opt.Now),
		store:          store,
		committer: &committer{
			commits:   make(chan struct{}, mostCommits),
			idle:      make(chan func()),
			lanes:     newLanes(maxQueued),
			ledger:    store.Ledger,
			seq:       store.Sequencer,
			counters:  store.Counters,
			log:       opt.Log,
			now:       opt.Now,
			committed: opt.Committed,
			storing:   storing{log: opt.Log, now: opt.Now},
		},
		reads:   turns.NewSlots(opt.Concurrency),
		changes: turns.NewSlots(opt.Concurrency),
		sounds:  turns.NewSlots(maxSounds),
		label:   label,
		now:     opt.Now,
		log:     opt.Log,
	}, nil
}

// Run stores what is sent, until ctx ends. What is queued then is refused. It returns when nothing
// is pending any more.
func (s *Service) Run(ctx context.Context) error { return s.committer.run(ctx) }

// Queue is how much is pending in a service.
type Queue struct {
	Waiting int // changes, messages and read acks that have not begun
	Lanes   int // lanes that have something pending
	Limit   int // how many may be pending; whoever submits more waits
}

// Queue returns how much is pending now.
func (s *Service) Queue() Queue {
	q := Queue{Limit: maxQueued}
	q.Waiting, q.Lanes = s.committer.length()
	return q
}

// Ordered has change called when everything submitted to its lane before is done, and before
// anything submitted later. It does not wait for that; it waits only while the queue is full.
// change is called exactly once: with an error, and then it must not do its work, if the deadline
// of ctx has passed or the service is shutting down.
func (s *Service) Ordered(ctx context.Context, lane Lane, change func(error)) {
	err := s.committer.submit(lane, &job{
		ctx:  ctx,
		run:  func() { limited(ctx, s.changes, change) },
		done: func(_ Stored, err error) { change(err) },
	})
	if err != nil {
		change(err)
	}
}

// Reads are the slots of reads, Options.Concurrency of them: each batch of a turns.Stage that reads
// takes one.
func (s *Service) Reads() *turns.Slots { return s.reads }

// limited does the work in a slot, or calls it with the reason why it gets none in time.
func limited(ctx context.Context, slots *turns.Slots, work func(error)) {
	if err := slots.Acquire(ctx); err != nil {
		work(Errorf(Unavailable, "%w waiting for a turn: %w", ErrDropped, err))
		return
	}
	defer slots.Release()
	work(nil)
}

// Now is the service's clock.
func (s *Service) Now() time.Time { return s.now() }

func (s *Service) unix() uint32 { return unix(s.now()) }
