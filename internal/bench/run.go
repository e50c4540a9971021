package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// Why a connection ended before the load did: the limits of a server.
var (
	errClosed   = errors.New("the server closed it")
	errStopping = errors.New("the server says that it stops")
	errSilent   = errors.New("the server answers nothing any more")
	errLate     = errors.New("the server answers so late that no more could be sent")
	errConfused = errors.New("the server answers what was not asked")
)

// maxTallies is how many tallies connections share.
const maxTallies = 8

// run is one profile while it runs.
type run struct {
	*Bench
	profile Profile
	kinds   []prepared
	begun   time.Time
	// Since begun: what is answered from warm on counts, and for the rate only until end. Nothing
	// is to be sent after end.
	warm, end time.Duration
	tallies   []*tally
}

// prepared is a kind of request, and its share of the load.
type prepared struct {
	kind
	entry catalog.Entry
	upTo  int // of a hundred, those below this and not below the one before are of this kind
}

// now is the time since the run began.
func (r *run) now() time.Duration { return time.Since(r.begun) }

// draw draws which kind the next request is of.
func (r *run) draw(rng *rand.Rand) int {
	if len(r.kinds) == 1 {
		return 0
	}
	n, i := rng.IntN(100), 0
	for n >= r.kinds[i].upTo {
		i++
	}
	return i
}

// tally counts what some connections learn.
type tally struct {
	mu       sync.Mutex                // guards all below
	took     []*hdrhistogram.Histogram // by kind: microseconds until a good answer, from warm on
	answered []int64                   // by kind: good answers that came from warm to end
	late     int64                     // good answers that came after end
	bytes    int64                     // that these have
	failures Failures
	cause    error // what was wrong with the first wrong or refused answer
}

// Failures are requests that did not get the answer they should have.
type Failures struct {
	Refused int64 `json:"refused"` // answered that it was not done
	Wrong   int64 `json:"wrong"`   // answered otherwise than it should be
	Missing int64 `json:"missing"` // not answered in time
	Lost    int64 `json:"lost"`    // not answered when their connection ended
}

// Sum is how many there are.
func (f Failures) Sum() int64 { return f.Refused + f.Wrong + f.Missing + f.Lost }

// note notes an answer, and what is wrong with it.
func (t *tally) note(r *run, s slot, at time.Duration, bytes int, wrong error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wrong != nil {
		if errors.Is(wrong, errRefused) {
			t.failures.Refused++
		} else {
			t.failures.Wrong++
		}
		if t.cause == nil {
			t.cause = fmt.Errorf("%s: %w", r.kinds[s.kind].name, wrong)
		}
		return
	}
	if at < r.warm {
		return
	}
	_ = t.took[s.kind].RecordValue(max(1, (at - s.at).Microseconds())) // it is within bounds
	if at >= r.end {
		t.late++
		return
	}
	t.answered[s.kind]++
	t.bytes += int64(bytes)
}

// missed notes requests that were not answered in time.
func (t *tally) missed(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures.Missing += int64(n)
}

// lost notes requests whose connection ended.
func (t *tally) lost(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures.Lost += int64(n)
}

// newTally makes a tally of so many kinds.
func newTally(kinds int, longest time.Duration) *tally {
	t := &tally{answered: make([]int64, kinds)}
	for range kinds {
		t.took = append(t.took, hdrhistogram.New(1, longest.Microseconds(), 3))
	}
	return t
}

// Run runs a profile for which the store was prepared. It ends by itself, or with ctx. The error
// says that it could not begin; what went wrong later is in the result.
func (b *Bench) Run(ctx context.Context, p Profile) (*Result, error) {
	r := &run{Bench: b, profile: p, warm: b.Warmup, end: b.Warmup + b.For}
	upTo := 0
	for _, part := range p.mix {
		k := part.make(b)
		upTo += part.share
		entry, err := catalog.Lookup(catalog.Name(k.request))
		if err != nil {
			return nil, err
		}
		r.kinds = append(r.kinds, prepared{k, entry, upTo})
	}
	inFlight, slots := b.inFlight(&p), b.inFlight(&p)
	if b.Rate > 0 {
		slots = max(64, openWaiting/b.Conns)
	}
	var all []*conn
	defer func() {
		for _, c := range all {
			c.net.Close()
		}
	}()
	for range min(b.Conns, maxTallies) {
		r.tallies = append(r.tallies, newTally(len(r.kinds), r.end+2*b.Timeout))
	}
	for i := range b.Conns {
		c, err := r.connect(ctx, b.Addrs[i%len(b.Addrs)], i, slots)
		if err != nil {
			return nil, fmt.Errorf("connection %s of %s: %w", Digits(float64(i+1)),
				Digits(float64(b.Conns)), descriptors.Explain(err))
		}
		c.tally = r.tallies[i%len(r.tallies)]
		all = append(all, c)
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range all {
			c.net.Close()
		}
	})
	defer stop()
	ends := r.work(all, inFlight)
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return r.result(ends), nil
}

// end is how a connection ended: before the load did, if there is an error.
type end struct {
	at  time.Duration
	err error
}

// work has all connections work, and returns how each ended.
func (r *run) work(all []*conn, inFlight int) []end {
	ends := make([]end, len(all))
	var working sync.WaitGroup
	r.begun = time.Now()
	stopped := r.showProgress()
	defer stopped()
	for i, c := range all {
		working.Go(func() {
			loop := func() error { return c.closedLoop(inFlight) }
			if r.Rate > 0 {
				loop = c.openLoop
			}
			err := loop()
			ends[i] = end{r.now(), err}
			c.net.Close()
		})
	}
	if r.Rate > 0 {
		working.Go(func() { r.pace(all, float64(time.Second)/r.Rate) })
	}
	working.Wait()
	for _, c := range all {
		c.tally.lost(c.waiting)
	}
	return ends
}
