package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Options are the instances by their role, each of which may be the same as another, and what else
// a Copy needs.
type Options struct {
	Unread      link.Instance // ids, unread counters, counts and levels of groups, failed logins
	GroupSet    link.Instance // mutes
	Token       link.Instance // push tokens
	GroupMember link.Instance // members of groups

	Now     func() time.Time // the clock; nil means time.Now
	Log     *slog.Logger     // nil means slog.Default()
	Observe link.Observer    // is told of every pipeline; may be nil
}

// Use is an instance in one of its roles. The role is what the configuration calls it: "unread".
type Use struct {
	Role string
	At   link.Instance
}

// Uses are the instances in their roles, in a fixed order.
func (o Options) Uses() []Use {
	return []Use{
		{"unread", o.Unread}, {"group_set", o.GroupSet}, {"token", o.Token},
		{"group_member", o.GroupMember},
	}
}

// Records is what a Copy needs of the records: what they know, to give back what Redis has lost,
// and where the epochs stand. What they return is never older than what this process has been told
// of.
type Records interface {
	// PairsNow returns all pairs of these users that the records count, with their revisions. Users
	// names those of each pair who were asked for.
	PairsNow(ctx context.Context, users []uint32) ([]chat.Change, error)
	// InGroupsNow returns the groups that each user is in, the latest joined first, with what is
	// counted.
	InGroupsNow(ctx context.Context, users []uint32) (map[uint32][]chat.UserGroup, error)
	// GroupsNow returns the members and mutes of groups. Members may be newer than Rev says, but
	// not older.
	GroupsNow(ctx context.Context, groups []uint32) ([]chat.Change, error)
	// DevicesNow returns the push tokens that users have set; Token is empty where it now belongs
	// to another.
	DevicesNow(ctx context.Context, users []uint32) ([]chat.Device, error)

	Marks
	Backlog
}

// Marks are values by name. A mark is never 0.
type Marks interface {
	// Marks returns those of the marks that there are.
	Marks(ctx context.Context, names []string) (map[string]uint32, error)
	// SwapMark sets a mark to value if it is old (0: if it is not there), and says whether it did.
	SwapMark(ctx context.Context, name string, old, value uint32) (swapped bool, err error)
	// RaiseMarks sets those of the marks that are below these values; none is made.
	RaiseMarks(ctx context.Context, values map[string]uint32) error
}

// Copy is the copy in Redis. It implements chat.Sequencer and records.Follower. Its reads have an
// error when the records must be asked instead: Redis is away, behind the records, or has lost what
// it had. It is safe for concurrent use.
type Copy struct {
	now     func() time.Time
	log     *slog.Logger
	links   []*link.Link
	records Records // set by Use, before anything reads it

	unread, groupSet, token, groupMember *role
	roles                                []*role

	wake chan struct{} // holds one; has Run compare the epochs soon
	tail tail

	// Use owns what follows, and then Run.

	noted    bool // total_user_update is there
	evicted  map[*link.Link]evictions
	replayed map[*link.Link]time.Time // when each was back that the tail was applied to, as of Back
}

// Open connects to all instances. Those that cannot be reached are tried again in the background:
// see Away. An error says that the options are wrong.
func Open(opt Options) (*Copy, error) {
	r := &Copy{
		now: opt.Now, log: cmp.Or(opt.Log, slog.Default()), wake: make(chan struct{}, 1),
		evicted: make(map[*link.Link]evictions), replayed: make(map[*link.Link]time.Time),
	}
	if r.now == nil {
		r.now = time.Now
	}
	if err := r.makeRoles(opt); err != nil {
		return nil, err
	}
	var all errgroup.Group
	for _, l := range r.links {
		all.Go(func() error { l.Connect(); return nil })
	}
	return r, all.Wait()
}

// makeRoles makes the roles, and a link for each of the instances: roles of one instance share it.
func (r *Copy) makeRoles(opt Options) error {
	uses := opt.Uses()
	var errs error
	names := make(map[string][]string) // of the roles, by instance
	for i, use := range uses {
		if err := use.At.Check(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("cache instance %s: %w", use.Role, err))
		}
		uses[i].At = use.At.WithDefaults()
		id := uses[i].At.Identity()
		names[id] = append(names[id], use.Role)
	}
	if errs != nil {
		return errs
	}
	links := make(map[string]*link.Link) // by instance
	for _, use := range uses {
		id := use.At.Identity()
		if links[id] == nil {
			roles := names[id]
			links[id] = link.New(use.At, link.Options{
				Roles: roles, Log: r.log, Observe: opt.Observe, Returned: r.refreshSoon,
				Ask:    link.Plain("GET", epochKey(roles[0])),
				Needed: func() []link.Command { return Needed(roles) },
			})
			r.links = append(r.links, links[id])
		}
		made := &role{Link: links[id], name: use.Role, comparing: semaphore.NewWeighted(1)}
		r.roles = append(r.roles, made)
	}
	r.unread, r.groupSet, r.token, r.groupMember = r.roles[0], r.roles[1], r.roles[2], r.roles[3]
	return nil
}

// Use gives it the records, and compares the instances that can be reached with them. It is called
// once, before anything but Away, Close and the comparing methods of a Comparison.
func (r *Copy) Use(ctx context.Context, records Records) {
	r.records = records
	if err := errors.Join(r.refreshEpochs(ctx), r.noteStart(ctx)); err != nil {
		level := slog.LevelWarn
		if len(r.Away()) > 0 {
			level = slog.LevelDebug // the log says already that it is away
		}
		r.log.Log(ctx, level, "cannot tell yet whether Redis still has what it had; asking the "+
			"records meanwhile",
			"err", err)
	}
}

// Close ends the connections. No call may be pending.
func (r *Copy) Close() {
	for _, l := range r.links {
		l.Close()
	}
}

// Missing is an instance that is away.
type Missing struct {
	Roles []string // the instance's names in the configuration
	Addr  string
	Since time.Time
	Err   error // why

	instance link.Instance
}

// Error says which instance is away, where, and why.
func (m Missing) Error() string {
	return fmt.Sprintf("cannot use Redis %s at %s: %v", strings.Join(m.Roles, ", "), m.Addr, m.Err)
}

// Mend says what to do about it.
func (m Missing) Mend() string { return link.Mend(m.instance, m.Roles, m.Err) }

// Unwrap is the cause.
func (m Missing) Unwrap() error { return m.Err }

// Away returns the instances that cannot be used now.
func (r *Copy) Away() (missing []Missing) {
	for _, l := range r.links {
		if since, why := l.Away(); why != nil {
			missing = append(missing, Missing{
				Roles: l.Roles(), Addr: l.String(), Since: since, Err: why, instance: l.Instance,
			})
		}
	}
	return missing
}

// answers are what a role's instance answered to a pipeline.
type answers struct {
	results []rueidis.RedisMessage
	// sound: the instance has lost nothing, as far as it can tell, since we last compared it with
	// the records.
	sound bool
}

// lookup is what is read of keys of one role, in one pipeline. Keys are numbered in the order in
// which they are asked for.
type lookup struct {
	role     *role
	at       uint32 // the epoch that is known
	commands []link.Command
	got      answers
}

func about(ro *role) lookup { return lookup{role: ro, at: ro.known()} }

// width is how many commands a key takes. With each key its companion is asked for the epoch in
// which it was filled, but for the first epoch, in which that says nothing.
func (q *lookup) width() int {
	if q.at > firstEpoch {
		return 2
	}
	return 1
}

// read has a key read by a command, and returns the key's number.
func (q *lookup) read(name, key string, args ...string) (n int) {
	n = len(q.commands) / q.width()
	q.commands = append(q.commands, link.Plain(name, key, args...))
	if q.width() > 1 {
		q.commands = append(q.commands, link.Plain("HGET", link.Companion(key), "epoch"))
	}
	return n
}

// answer is what was read of a key.
func (q *lookup) answer(n int) *rueidis.RedisMessage { return &q.got.results[n*q.width()] }

// complete reports whether a key is known to lack nothing.
func (q *lookup) complete(n int) bool {
	return q.got.sound &&
		(q.at == firstEpoch || text(q.got.results[n*q.width()+1]) == decimal(q.at))
}

// consult has answers given that are to be believed. It fails while the instance is behind the
// records, and when that turns out only with its answer.
func (r *Copy) consult(ctx context.Context, q *lookup) (err error) {
	if q.role.Behind() {
		return errBehind
	}
	q.got, err = r.ask(ctx, q.role, q.at, q.commands)
	if err == nil && q.role.Behind() {
		err = errBehind
	}
	return err
}

// ask sends commands that were made while the epoch was at, and asks for the epoch after them.
func (r *Copy) ask(
	ctx context.Context, ro *role, at uint32, commands []link.Command,
) (answers, error) {
	results, err := ro.Do(ctx, append(commands, link.Plain("GET", epochKey(ro.name)))...)
	if err != nil {
		return answers{}, err
	}
	n := len(commands)
	sound := ro.matches(text(results[n]), at)
	if !sound {
		r.refreshSoon()
	}
	return answers{results[:n], sound}, nil
}

// refreshSoon has Run compare the epochs soon. It does not wait.
func (r *Copy) refreshSoon() {
	select {
	case r.wake <- struct{}{}:
	default: // it is to do so already
	}
}
