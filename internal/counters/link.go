package counters

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/advice"
	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// probePause is how long after a failure Redis is asked again. Meanwhile calls fail at once: a frozen server costs one
// call's timeout, not every call's.
const probePause = 250 * time.Millisecond

// Observer is told of every pipeline sent to an instance (its roles, comma separated), for metrics. err is nil, or why
// there was no answer.
type Observer func(instance string, commands int, took time.Duration, err error)

// script is a Lua script by its hash.
type script struct{ text, sha string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text, hex.EncodeToString(sum[:])}
}

// command is one command of a pipeline: of one key or, for a script, of keys in one slot.
type command struct {
	name   string  // for a script: empty
	script *script // else nil
	keys   []string
	args   []string
}

func plain(name, key string, args ...string) command {
	return command{name: name, keys: []string{key}, args: args}
}

// run is a script on a key and the key that accompanies it.
func run(s *script, key string, args ...string) command {
	return command{script: s, keys: []string{key, companion(key)}, args: args}
}

// companion is the key in which we note what we did to another: on a Cluster it is in the same slot.
func companion(key string) string { return "dbproxy:{" + key + "}" }

func (c command) build(b rueidis.Builder, text bool) rueidis.Completed {
	switch {
	case c.script == nil:
		return b.Arbitrary(c.name).Keys(c.keys...).Args(c.args...).Build()
	case text:
		return b.Arbitrary("EVAL", c.script.text, strconv.Itoa(len(c.keys))).Keys(c.keys...).Args(c.args...).Build()
	default:
		return b.Arbitrary("EVALSHA", c.script.sha, strconv.Itoa(len(c.keys))).Keys(c.keys...).Args(c.args...).Build()
	}
}

// link is the way to one Redis, and knows whether it is away. It is safe for concurrent use.
type link struct {
	Instance
	roles   []string
	log     *slog.Logger
	observe Observer

	life context.Context // until close
	end  context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	client  rueidis.Client // nil: there never was a connection
	why     error          // why it is away; nil: it is there
	since   time.Time      // when it went away
	told    []string       // what to do about it, as the log was told since
	probing bool
	lacking bool      // it may not have what was stored while it was away: see catchUp
	back    time.Time // when it came back last
	woken   func()    // called when it is back; may be nil
}

func newLink(i Instance, log *slog.Logger, observe Observer) *link {
	l := &link{Instance: i, log: log, observe: observe, why: errors.New("not connected yet"), since: time.Now()}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// errAway wraps what is known of an instance that is away.
func (l *link) errAway(err error) error {
	return chat.Errorf(chat.Unavailable, "Redis %s (%s) is away: %w", strings.Join(l.roles, ","), l.Instance, err)
}

// connect tries once to connect; when that fails it goes on trying in the background.
func (l *link) connect() {
	if err := l.probe(); err != nil {
		l.fail(err)
	}
}

// probe connects if there is no connection yet, and asks the server for an answer.
func (l *link) probe() error {
	l.mu.Lock()
	client, why := l.client, l.why
	l.mu.Unlock()
	if client == nil {
		options := l.options()
		options.DialCtxFn = l.dial
		fresh, err := rueidis.NewClient(options)
		if err != nil {
			if fresh != nil {
				fresh.Close()
			}
			return hush(err)
		}
		client = fresh
	}
	ctx, cancel := context.WithTimeout(l.life, l.CallTimeout)
	defer cancel()
	asking := l.question(why)
	var all []rueidis.Completed
	for _, c := range asking {
		all = append(all, c.build(client.B(), false))
		if c.script != nil { // by its hash, and by its text
			all = append(all, c.build(client.B(), true))
		}
	}
	err := hush(broken(client.DoMulti(ctx, all...)...))
	if isDenied(err) && asking[0].name == "SET" {
		err = nil // it answers, and nobody else is denied anything
	}
	l.mu.Lock()
	l.client = client
	if err == nil && l.why != nil {
		l.why, l.back = nil, time.Now()
	}
	woken := l.woken
	l.mu.Unlock()
	if err == nil && woken != nil {
		woken()
	}
	return err
}

// question is what an instance is asked to find out whether it is back: to tell something or, where it refused to write
// (it is full, or a replica), to write what changes nothing, as nobody ever sets that key. One that refuses to write
// answers who reads, and would be back and away again all the time; and so would one that refuses some commands or keys,
// which is asked for all of them.
func (l *link) question(why error) []command {
	if isDenied(why) || isMissing(why) {
		return needed(l.roles)
	}
	if why != nil {
		for _, word := range []string{"OOM", "READONLY", "MISCONF", "NOREPLICAS"} {
			if strings.Contains(why.Error(), word) {
				return []command{plain("SET", "dbproxy:probe", "1", "XX")}
			}
		}
	}
	return []command{plain("GET", epochKey(l.roles[0]))}
}

// mendOf is what to do about an instance of those names that is away.
func mendOf(i Instance, names []string, err error) string {
	if _, said := rueidis.IsRedisErr(err); said {
		return mendOfRefusal(i, names, err)
	}
	return cmp.Or(advice.Mend(err), "see whether it runs, and what its log says")
}

// fail notes that the instance is away, and has it probed until it is back.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil {
		l.since, l.told = time.Now(), nil
		l.tell("Redis is away; going on without it", err)
	}
	l.why, l.lacking = err, true
	if l.probing || l.life.Err() != nil {
		return
	}
	l.probing = true
	l.work.Go(l.probeUntilBack)
}

// tell tells the log why the instance is away, unless it knows: what ended a connection says less than
// what the next one is refused with. Called with mu held.
func (l *link) tell(what string, err error) {
	mend := mendOf(l.Instance, l.roles, err)
	if slices.Contains(l.told, mend) {
		return
	}
	l.told = append(l.told, mend)
	l.log.Warn(what, "instance", strings.Join(l.roles, ","), "addr", l.String(), "err", err, "mend", mend)
}

func (l *link) probeUntilBack() {
	for {
		select {
		case <-l.life.Done():
			return
		case <-time.After(probePause):
		}
		err := l.probe()
		l.mu.Lock()
		if err != nil && l.why != nil {
			if _, said := rueidis.IsRedisErr(err); said {
				l.tell("Redis is still away", err)
			}
			l.why = err
		}
		back, after := l.why == nil, time.Since(l.since) // it may have failed again since it answered
		l.probing = !back
		l.mu.Unlock()
		if back {
			l.log.Info("Redis is back", "instance", strings.Join(l.roles, ","), "addr", l.String(),
				"after", after.Round(time.Millisecond))
			return
		}
	}
}

// away returns why the instance is away and since when; nil when it is there.
func (l *link) away() (since time.Time, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since, l.why
}

func (l *link) close() {
	l.mu.Lock()
	l.end()
	l.mu.Unlock()
	l.work.Wait()
	if l.client != nil {
		l.client.Close()
	}
}

// do sends commands in one pipeline. Its error says that Redis is away (kind Unavailable): some of them may have been
// done, or may be done later. Errors of single commands stand in their results.
func (l *link) do(ctx context.Context, commands []command) (results []rueidis.RedisResult, err error) {
	l.mu.Lock()
	client, why := l.client, l.why
	l.mu.Unlock()
	if why != nil {
		return nil, l.errAway(why)
	}
	if err := ctx.Err(); err != nil {
		return nil, chat.Errorf(chat.Unavailable, "asking Redis: %w", err)
	}
	all := make([]rueidis.Completed, len(commands))
	for i, c := range commands {
		all[i] = c.build(client.B(), false)
	}
	if results, err = l.send(ctx, client, all); err != nil {
		return nil, err
	}
	return l.again(ctx, client, commands, results)
}

// again sends the scripts that the server did not know, this time with their text, and after them once more whatever
// only reads, so that it sees what they did.
func (l *link) again(
	ctx context.Context, client rueidis.Client, commands []command, results []rueidis.RedisResult,
) ([]rueidis.RedisResult, error) {
	var at []int
	var all []rueidis.Completed
	for i, c := range commands {
		if e, ok := rueidis.IsRedisErr(results[i].Error()); ok && e.IsNoScript() || len(at) > 0 && c.reads() {
			at = append(at, i)
			all = append(all, c.build(client.B(), true))
		}
	}
	if len(at) == 0 {
		return results, nil
	}
	more, err := l.send(ctx, client, all)
	if err != nil {
		return nil, err
	}
	for i, k := range at {
		results[k] = more[i]
	}
	return results, nil
}

func (c command) reads() bool {
	switch c.name {
	case "GET", "HGET", "HGETALL", "HMGET":
		return true
	default:
		return false
	}
}

func (l *link) send(ctx context.Context, client rueidis.Client, all []rueidis.Completed) ([]rueidis.RedisResult, error) {
	begun := time.Now()
	call, cancel := context.WithTimeout(ctx, l.CallTimeout)
	defer cancel()
	n := len(all)
	results := client.DoMulti(call, all...)
	err := hush(broken(results...))
	took := time.Since(begun)
	if l.observe != nil {
		l.observe(strings.Join(l.roles, ","), n, took, err)
	}
	switch {
	case err == nil:
		return results, nil
	case ctx.Err() != nil && took < l.CallTimeout/2: // the caller had no time left, which says nothing about Redis
		return nil, chat.Errorf(chat.Unavailable, "asking Redis: %w", err)
	}
	l.fail(err)
	return nil, l.errAway(err)
}

// number is the answer of a command as a number; ok is false when it is none.
func number(r rueidis.RedisResult) (n int64, ok bool) {
	n, err := r.AsInt64()
	return n, err == nil
}

// text is the answer of a command as text, empty when there is none.
func text(r rueidis.RedisResult) string {
	s, err := r.ToString()
	if err != nil {
		return ""
	}
	return s
}

// failure is the error of a command, nil when it has an answer, be it that there is nothing.
func failure(r rueidis.RedisResult) error {
	if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
		return fmt.Errorf("Redis refused a command: %w", hush(err))
	}
	return nil
}

// count is text as a counter: 0 when it is none.
func count(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func decimal[T ~uint32 | ~uint8 | ~int](n T) string { return strconv.FormatInt(int64(n), 10) }
