// Package takeover has the proxies of a MySQL database count without Redis from then on, or with it
// again.
//
// What only Redis knows must be in the records before: what proxies answered with Redis, they are
// to answer without it. So a Takeover reads all that stands there, and compares it with the
// records as a proxy does: where the records count a talk, and Redis has lost what it had, the
// records are right; else Redis is. What differs is stored in the rows of the talks, under their
// locks (talk.TakeOver), and noted in Redis (redis.Standing.Taken), so that a proxy with Redis can
// go on where this was stopped. All of it may be repeated: what was taken over does not differ any
// more, and a talk that the records begin to count is taken over as a whole, with what both users
// of a pair have not read. The mark, by which proxies know where they count, comes last.
//
// Ids go on after the greatest of three: what the row of a talk says, what Redis says, and what is
// stored, as an original may have been the last to send.
//
// Nobody may count in Redis meanwhile. So there are three reasons to refuse: a proxy with Redis is
// alive, by its row in IMProxyServer; somebody else is connected to the databases; or something
// moved between two readings, which are half a minute apart. An original that is idle moves the
// time of its group sync.
//
// Everything is read in pages. Of a million users, groups and relations a reading leaves twelve
// bytes of each: a hash, to be compared with that of the next reading.
package takeover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
)

// Takeover takes over what only Redis knows. It is for one goroutine.
type Takeover struct {
	Records *records.Store // without a Follower
	Redis   *redis.Copy    // not in Use; nil: nothing can be taken over
	// Force goes on whoever else counts, and takes over what can be reached.
	Force bool
	// Watch is the time between the beginnings of the two readings.
	Watch time.Duration
	// Progress is told what is being done, and how far it has come. It must not wait.
	Progress func(what string)

	stands *redis.Standing
}

// Refusals are the reasons not to begin: who else counts in Redis, or may, as far as can be seen
// at once.
func (t *Takeover) Refusals(ctx context.Context) (reasons []string, err error) {
	alive, err := fleet.Alive(ctx, t.Records.DB(), fleet.InRedis)
	if err != nil {
		return nil, err
	}
	for _, address := range alive {
		reasons = append(reasons, fmt.Sprintf("a proxy with Redis is alive at %s: stop it; one "+
			"that was killed counts as alive for ten seconds", address))
	}
	if t.Redis == nil {
		return append(reasons, "the configuration names no Redis servers, so that nothing can be "+
			"taken over: take one that still names them in CacheInstances"), nil
	}
	return append(reasons, strangers(ctx, t.Redis, "what it counts would be lost")...), nil
}

// strangers are the reasons not to begin while others are connected to Redis: what would become of
// what they do is given.
func strangers(ctx context.Context, copied *redis.Copy, lost string) (reasons []string) {
	found, unnamed, unknown := copied.Strangers(ctx)
	who := "Proxies of earlier versions have no name"
	if unnamed {
		who = "Proxies have no name there, as that Redis lets them give none"
	}
	for _, c := range found {
		reasons = append(reasons, fmt.Sprintf("somebody else is connected to Redis from %s: stop "+
			"it, as %s. %s", c, lost, who))
	}
	for _, err := range unknown {
		reasons = append(reasons, fmt.Sprintf("it cannot be seen who is connected: %v", err))
	}
	return reasons
}

// Reconcile applies to Redis what proxies that were killed did not. It is to be called before Read,
// unless nothing may be changed. Where it is forced, its error is to be told, and it goes on.
func (t *Takeover) Reconcile(ctx context.Context) error {
	if t.Redis == nil {
		return nil
	}
	return t.Redis.Reconcile(ctx, t.Records)
}

// Read reads all that is to be taken over, twice. moved names what moved meanwhile. lost says what
// cannot be read; unless it is forced, that is an error.
func (t *Takeover) Read(ctx context.Context) (s Summary, moved Moved, lost []error, err error) {
	if t.Redis == nil {
		return s, moved, nil, nil
	}
	if lost, err = t.begin(ctx); err != nil {
		return s, moved, lost, err
	}
	beats, times, err := t.marksAndTimes(ctx)
	if err != nil {
		return s, moved, lost, err
	}
	begun, reading := time.Now(), newReading()
	if s, err = t.pass(ctx, "reading", reading.first, nil); err != nil {
		return s, moved, lost, err
	}
	if err := t.wait(ctx, begun); err != nil {
		return s, moved, lost, err
	}
	s, err = t.pass(ctx, "reading again", reading.again, nil)
	if err != nil {
		return s, moved, lost, err
	}
	moved = reading.moved
	beatsNow, timesNow, err := t.marksAndTimes(ctx)
	for name, n := range beatsNow {
		if n != beats[name] {
			moved.add("the mark " + name + ", which a proxy raises that works with Redis")
		}
	}
	for name, at := range timesNow {
		if at != times[name] {
			moved.add(name + ", which originals and proxies write")
		}
	}
	return s, moved, lost, err
}

// begin begins to read what stands in Redis. lost says what cannot be read; unless it is forced,
// that is an error.
func (t *Takeover) begin(ctx context.Context) (lost []error, err error) {
	t.stands, lost, err = t.Redis.Standing(ctx, t.Records)
	if err == nil && len(lost) > 0 && !t.Force {
		err = lost[0]
	}
	return lost, err
}

func (t *Takeover) marksAndTimes(
	ctx context.Context,
) (beats map[string]uint32, times map[string]string, err error) {
	if beats, err = t.Redis.Beats(ctx, t.Records); err == nil {
		times, err = t.stands.Times(ctx)
	}
	return beats, times, err
}

// wait waits until it is time for the second reading.
func (t *Takeover) wait(ctx context.Context, begun time.Time) error {
	for left := t.Watch; left > 0; left = t.Watch - time.Since(begun) {
		t.Progress(fmt.Sprintf("watching whether anything moves, %d s to go",
			int(left/time.Second)+1))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, time.Second)):
		}
	}
	return nil
}

// Apply takes over what differs, and has the proxies of the database count without Redis: that
// comes last. Time may have passed since Read. So it begins anew with what Redis lacks, and asks
// before and after, unless it is forced, who else counts. over is what it passes over by force.
func (t *Takeover) Apply(ctx context.Context) (over []error, err error) {
	if err := t.alone(ctx, "nothing was taken over"); err != nil {
		return nil, err
	}
	if t.Redis != nil {
		if err := t.Reconcile(ctx); err != nil {
			if !t.Force {
				return nil, err
			}
			over = append(over, err)
		}
		lost, err := t.begin(ctx)
		if over = append(over, lost...); err != nil {
			return over, err
		}
		if _, err := t.pass(ctx, "taking over", nil, t.apply); err != nil {
			return over, err
		}
		if err := t.takeSyncMark(ctx); err != nil {
			return over, err
		}
		if err := t.alone(ctx, "all was taken over"); err != nil {
			return over, err
		}
	}
	return over, fleet.Set(ctx, t.Records.DB(), fleet.InMySQL)
}

// alone returns the refusals as an error, which also says how far it has come.
func (t *Takeover) alone(ctx context.Context, far string) error {
	if err := counting(ctx, t.Records, fleet.InRedis); err != nil {
		return err
	}
	if t.Force {
		return nil
	}
	reasons, err := t.Refusals(ctx)
	if err == nil && len(reasons) > 0 {
		err = chat.Errorf(chat.NotAllowed, "%s, but meanwhile %s", far,
			strings.Join(reasons, "; "))
	}
	return err
}

// counting returns an error if the proxies of the database do not count somewhere any more: then
// the same command has come to its end elsewhere, and what this one has read counts no more.
func counting(ctx context.Context, store *records.Store, before fleet.Counting) error {
	is, err := fleet.Read(ctx, store.DB())
	if err == nil && is != before {
		err = chat.Errorf(chat.NotAllowed, "meanwhile somebody else has had the proxies of this "+
			"database count %s", is)
	}
	return err
}

// syncMark is the mark of how far the group sync has got: see counters.Shared.
const syncMark = "last_update_group"

// takeSyncMark takes over how far the group sync has got, if no proxy has synced yet.
func (t *Takeover) takeSyncMark(ctx context.Context) error {
	_, known, err := t.Records.Mark(ctx, syncMark)
	if err != nil || known {
		return err
	}
	if until := t.Redis.SyncedUntil(ctx); until > 0 {
		return t.Records.SetMark(ctx, syncMark, until)
	}
	return nil
}

// Moved is what moved between two readings.
type Moved struct {
	Count int
	Some  []string // the names of the first ones
}

// mostNamed is how many are named.
const mostNamed = 10

func (m *Moved) add(name string) {
	if m.Count++; m.Count <= mostNamed {
		m.Some = append(m.Some, name)
	}
}

// reading is what a reading leaves, by which the next one finds what moved.
type reading struct {
	trails map[string]*trail // by the form of the name of what is read
	moved  Moved
}

// trail is the sums of what was read of one kind, by ascending ids; those of what is not there are
// left out.
type trail struct {
	ids  []uint32
	sums []uint64
	at   int // how far the second reading has come
}

func newReading() *reading { return &reading{trails: make(map[string]*trail)} }

// first notes the sum of something that is read for the first time.
func (r *reading) first(form string, id uint32, sum uint64) {
	if sum == 0 {
		return
	}
	if r.trails[form] == nil {
		r.trails[form] = new(trail)
	}
	t := r.trails[form]
	t.ids, t.sums = append(t.ids, id), append(t.sums, sum)
}

// again compares it with that of what is read for the second time.
func (r *reading) again(form string, id uint32, sum uint64) {
	before := uint64(0)
	if t := r.trails[form]; t != nil {
		for t.at < len(t.ids) && t.ids[t.at] < id {
			t.at++
		}
		if t.at < len(t.ids) && t.ids[t.at] == id {
			before = t.sums[t.at]
		}
	}
	if sum != before {
		r.moved.add(fmt.Sprintf(form, id))
	}
}

// RefusalsWithRedis are the reasons not to begin with Redis again: who counts without it, and who
// else uses that Redis, whose keys are to be removed.
func RefusalsWithRedis(
	ctx context.Context, store *records.Store, copied *redis.Copy,
) (reasons []string, err error) {
	alive, err := fleet.Alive(ctx, store.DB(), fleet.InMySQL)
	if err != nil {
		return nil, err
	}
	for _, address := range alive {
		reasons = append(reasons, fmt.Sprintf("a proxy without Redis is alive at %s: stop it; one "+
			"that was killed counts as alive for ten seconds", address))
	}
	return append(reasons, strangers(ctx, copied, "keys are removed that it may use")...), nil
}

// StartWithRedis has the proxies of a database count in Redis again. What stands there from before
// is removed, and counts no more. copied must not be in Use, and becomes so. Unless it is forced,
// it refuses for the reasons of RefusalsWithRedis. It returns how many keys were removed.
func StartWithRedis(
	ctx context.Context, store *records.Store, copied *redis.Copy, force bool,
) (removed int, err error) {
	alone := func() error {
		if err := counting(ctx, store, fleet.InMySQL); err != nil || force {
			return err
		}
		reasons, err := RefusalsWithRedis(ctx, store, copied)
		if err == nil && len(reasons) > 0 {
			err = chat.Errorf(chat.NotAllowed, "%s", strings.Join(reasons, "; "))
		}
		return err
	}
	if err := alone(); err != nil {
		return 0, err
	}
	copied.Use(ctx, store)
	if removed, err = copied.StartAnew(ctx); err != nil {
		return removed, err
	}
	if err := alone(); err != nil {
		return removed, err
	}
	return removed, fleet.Set(ctx, store.DB(), fleet.InRedis)
}
