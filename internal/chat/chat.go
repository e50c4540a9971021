// Package chat holds the rules of the proxy: who may log in, what a message, a session and a group are, what is
// refused and what is counted. It knows neither protobuf nor SQL: it declares the small interfaces it needs from below
// (Ledger, Archive, Directory, …) beside the code that uses them, and the command package calls it from above.
//
// Reads are plain methods that may run side by side. Changes belong to a Lane and take effect there in the order they
// were asked for: see Ordered, and Send for messages, which are stored in batches by the committer.
package chat

import (
	"context"
	"log/slog"
	"time"
)

// Store is everything the service needs from below: the records, with the counters in front of them.
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
	// VoiceKey is the suite's aesKey, 32 bytes: the label that stands for a voice message in lists is encrypted
	// with it.
	VoiceKey string
	// Now is the clock; its location is the one the nightly push shield goes by. Nil means time.Now.
	Now func() time.Time
	// Concurrency is how many reads, and how many single changes, may run at once; 0 means 32.
	Concurrency int
	Log         *slog.Logger
	// Committed is told of every try to store a batch: how many drafts it has, and bytes of theirs, how long it took until
	// the outcome was known, and that outcome (nil: stored). The committer waits for it. Nil means nobody wants to know.
	Committed func(rows, bytes int, took time.Duration, err error)
}

// DefaultVoiceKey is the aesKey that the suite's own configuration files come with.
const DefaultVoiceKey = "12345678901234567890123456789012"

// Service is the rules at work on one store, which nobody reaches through it past the rules. Make it with New and have
// Run running; its methods are safe for concurrent use.
type Service struct {
	Administration
	store     Store
	committer *committer
	reads     *turns // at most so many run at once
	changes   *turns // likewise; of their own, so that those waiting for the storage hold up no reads
	sounds    *turns // at most so many are being stored at once
	reading   reading
	label     string
	now       func() time.Time
	log       *slog.Logger
}

// New makes a service on a store.
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
			lanes:     newLanes(maxQueued),
			ledger:    store.Ledger,
			seq:       store.Sequencer,
			counters:  store.Counters,
			log:       opt.Log,
			now:       opt.Now,
			committed: opt.Committed,
			storing:   storing{log: opt.Log, now: opt.Now},
		},
		reads:   newTurns(opt.Concurrency),
		changes: newTurns(opt.Concurrency),
		sounds:  newTurns(maxSounds),
		label:   label,
		now:     opt.Now,
		log:     opt.Log,
	}, nil
}

// Run stores what is sent, until ctx ends. What is queued then is refused; Run returns when nothing is under way.
func (s *Service) Run(ctx context.Context) error { return s.committer.run(ctx) }

// Queue is how much waits in a service.
type Queue struct {
	Waiting int // changes and messages whose turn has not come
	Lanes   int // lanes with something waiting or under way
	Limit   int // how many may wait and be under way before those who ask for more wait themselves
}

// Queue returns how much waits now.
func (s *Service) Queue() Queue {
	q := Queue{Limit: maxQueued}
	q.Waiting, q.Lanes = s.committer.length()
	return q
}

// Ordered runs change when everything asked for before it in its lane is done, and before anything asked for later.
// It does not wait for that, only for room in the queue; change is called exactly once, with an error when it must not
// do its work because the deadline passed or the service is shutting down.
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

// Limited calls work, which reads, once as few enough others are reading, or with an error when ctx
// ends before. Those who wait take turns by their connections: see AskedBy.
func (s *Service) Limited(ctx context.Context, work func(error)) { limited(ctx, s.reads, work) }

func limited(ctx context.Context, t *turns, work func(error)) {
	if err := t.acquire(ctx); err != nil {
		work(Errorf(Unavailable, "%w waiting for a turn: %w", ErrDropped, err))
		return
	}
	defer t.release()
	work(nil)
}

// Now is the service's clock.
func (s *Service) Now() time.Time { return s.now() }

func (s *Service) unix() uint32 { return unix(s.now()) }
