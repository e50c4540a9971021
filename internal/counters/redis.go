package counters

import (
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
)

// RedisOptions are the instances by their role, each of which may be the same as another, and what else a Redis needs.
type RedisOptions struct {
	Unread      Instance // ids, unread counters, what of groups was sent and seen, failed logins
	GroupSet    Instance // mutes
	Token       Instance // push tokens
	GroupMember Instance // members of groups

	Now     func() time.Time // the clock; nil means time.Now
	Log     *slog.Logger     // nil means slog.Default()
	Observe Observer         // nil: nobody is told
}

// Books is what a Redis needs of the records: what they know, to answer where Redis has lost something and to give it
// back, and what it stands before.
type Books interface {
	Records
	Standings
	Marks
	chat.Tokens
	chat.Profiles
	Groups
	Backlog
}

// Standings says how things stand in the records, with revisions, as changes would. What is returned is never older
// than what this process has been told of.
type Standings interface {
	// PairsNow returns all pairs of these users that the records count, Users naming those of them who were asked for.
	PairsNow(ctx context.Context, users []uint32) ([]chat.Change, error)
	// InGroups returns the groups that each user is in, the latest joined first, with Count and the user in Users; Rev
	// is 0 where the records do not count.
	InGroups(ctx context.Context, users []uint32) (map[uint32][]chat.Change, error)
	// GroupsNow returns the members and mutes of groups. Members may be newer than Rev says, but not older.
	GroupsNow(ctx context.Context, groups []uint32) ([]chat.Change, error)
	// DevicesNow returns the push tokens that users have set; Token is empty where it now belongs to another.
	DevicesNow(ctx context.Context, users []uint32) ([]chat.Device, error)
}

// Marks are values by name. A mark is never 0.
type Marks interface {
	Mark(ctx context.Context, name string) (value uint32, ok bool, err error)
	SetMark(ctx context.Context, name string, value uint32) error
	// Marks returns those of the marks that there are.
	Marks(ctx context.Context, names []string) (map[string]uint32, error)
	// SwapMark sets a mark to value if it is old (0: if it is not there), and says whether it did.
	SwapMark(ctx context.Context, name string, old, value uint32) (swapped bool, err error)
	// RaiseMarks sets those of the marks that are below these values; none is made.
	RaiseMarks(ctx context.Context, values map[string]uint32) error
}

// Groups is what a Redis needs of chat.Groups and chat.Mutes.
type Groups interface {
	chat.Mutes
	Find(ctx context.Context, id uint32) (chat.GroupInfo, error)
}

// Redis keeps a copy of ids, counters, members, mutes and push tokens in Redis, where original servers look for them
// and count on. The records are the truth: what the copy loses, and what could not be written while Redis was away,
// comes back from them. It implements chat.Sequencer, chat.Counters, chat.Mutes, chat.Tokens, chat.Profiles and
// records.Follower. It is safe for concurrent use.
type Redis struct {
	now   func() time.Time
	log   *slog.Logger
	links []*link
	books Books // set by Use, before anything else is called

	unread, groupSet, token, groupMember *role
	roles                                []*role

	wake     chan struct{}       // has room for one
	noted    bool                // total_user_update was seen to; owned by Use, then Run
	evicted  map[*link]evictions // owned by Run
	tail     tail
	replayed map[*link]time.Time // when the instance had come back that the tail was last applied to again; owned by Run
	failures SharedFailures
}

// OpenRedis connects to all instances. Those that cannot be reached are tried again in the background: see Away. An
// error says that the options are wrong.
func OpenRedis(opt RedisOptions) (*Redis, error) {
	r := &Redis{now: opt.Now, log: opt.Log, wake: make(chan struct{}, 1), evicted: make(map[*link]evictions),
		replayed: make(map[*link]time.Time)}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	byIdentity := make(map[string]*link)
	add := func(name string, i Instance) (*role, error) {
		if err := i.check(); err != nil {
			return nil, fmt.Errorf("cache instance %s: %w", name, err)
		}
		if i.ConnectTimeout <= 0 {
			i.ConnectTimeout = defaultConnectTimeout
		}
		if i.CallTimeout <= 0 {
			i.CallTimeout = defaultCallTimeout
		}
		l := byIdentity[i.identity()]
		if l == nil {
			l = newLink(i, r.log, opt.Observe)
			l.woken = r.look
			byIdentity[i.identity()] = l
			r.links = append(r.links, l)
		}
		l.roles = append(l.roles, name)
		ro := &role{link: l, name: name, looking: semaphore.NewWeighted(1)}
		r.roles = append(r.roles, ro)
		return ro, nil
	}
	var errs [4]error
	r.unread, errs[0] = add("unread", opt.Unread)
	r.groupSet, errs[1] = add("group_set", opt.GroupSet)
	r.token, errs[2] = add("token", opt.Token)
	r.groupMember, errs[3] = add("group_member", opt.GroupMember)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r.failures.role, r.failures.most = r.unread, maxNames
	var all errgroup.Group
	for _, l := range r.links {
		all.Go(func() error { l.connect(); return nil })
	}
	return r, all.Wait()
}

// Use gives it the records, and looks whether the instances that can be reached still have what they had. It is called
// once, before anything else.
func (r *Redis) Use(ctx context.Context, books Books) {
	r.books = books
	if err := errors.Join(r.lookAll(ctx), r.noteStart(ctx)); err != nil {
		level := slog.LevelWarn
		if len(r.Away()) > 0 {
			level = slog.LevelDebug // that it is away was said
		}
		r.log.Log(ctx, level, "cannot tell yet whether Redis still has what it had; asking the records meanwhile", "err", err)
	}
}

// Close ends the connections. Nothing may be under way.
func (r *Redis) Close() {
	for _, l := range r.links {
		l.close()
	}
}

// Missing is an instance that is away.
type Missing struct {
	Roles []string // the instance's names in the configuration
	Addr  string
	Since time.Time
	Err   error // why

	instance Instance
}

// Error says which instance is away, where, and why.
func (m Missing) Error() string {
	return fmt.Sprintf("cannot use Redis %s at %s: %v", strings.Join(m.Roles, ", "), m.Addr, m.Err)
}

// Mend says what to do about it.
func (m Missing) Mend() string { return mendOf(m.instance, m.Roles, m.Err) }

// Unwrap is the cause.
func (m Missing) Unwrap() error { return m.Err }

// Away returns the instances that cannot be used now.
func (r *Redis) Away() (missing []Missing) {
	for _, l := range r.links {
		if since, why := l.away(); why != nil {
			missing = append(missing, Missing{Roles: l.roles, Addr: l.String(), Since: since, Err: why, instance: l.Instance})
		}
	}
	return missing
}

// answers are what a role's instance answered to a pipeline.
type answers struct {
	results []rueidis.RedisResult
	// sound: nothing was lost, as far as the instance can tell, since we last compared it with the records.
	sound bool
}

// consult is ask for what is to be believed: not while the instance is behind the records, and not when that only turns
// out with its answer.
func (r *Redis) consult(ctx context.Context, ro *role, at uint32, commands []command) (answers, error) {
	if ro.behind() {
		return answers{}, errBehind
	}
	got, err := r.ask(ctx, ro, at, commands)
	if err == nil && ro.behind() {
		err = errBehind
	}
	return got, err
}

// ask sends commands that were made while the epoch was at, and asks for the epoch after them.
func (r *Redis) ask(ctx context.Context, ro *role, at uint32, commands []command) (answers, error) {
	results, err := ro.do(ctx, append(commands, plain("GET", epochKey(ro.name))))
	if err != nil {
		return answers{}, err
	}
	n := len(commands)
	sound := ro.matches(text(results[n]), at)
	if !sound {
		r.look()
	}
	return answers{results[:n], sound}, nil
}

// look has Run look at the epochs soon.
func (r *Redis) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
