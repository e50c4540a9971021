// Package link is the way to one Redis: a single server, a group under Sentinel, or a Cluster. It
// sends pipelines of commands and scripts, and knows whether the Redis is there.
//
// Most of what a script costs is the call. So commands of one script that follow each other go to a
// server as one call, with all their keys; each has an answer of its own. On a Cluster, whose nodes
// have but some of the keys each, every command is a call.
//
// A call that fails takes the whole instance out of use. From then on all calls fail at once, and a
// probe asks the instance four times a second whether it is back. So a frozen Redis costs one
// timeout, not one for each request. What the instance refused decides what the probe asks: one
// that is full answers every question, and is back only when it takes writes.
//
// An instance that is back lacks what was stored while it was away. The link says so (Behind) until
// its user has made up for that (CaughtUp).
package link

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Observer is told of every pipeline that was sent to an instance, for metrics: the instance's
// roles, joined by commas, how many commands were sent, how long it took, and why there was no
// answer (nil: there was one).
type Observer func(instance string, commands int, took time.Duration, err error)

// Options are what a Link needs beside its instance. Only Observe may be nil.
type Options struct {
	Roles   []string // the names that the configuration has for the instance, at least one
	Log     *slog.Logger
	Observe Observer

	// Ask is the question that every instance in order has an answer to.
	Ask Command
	// Needed returns one command for each right that the user of the instance needs. It is asked of
	// an instance that has refused something for want of a right.
	Needed func() []Command
	// Returned is called when the instance is back, and when a lost connection to it was made anew.
	// It must not wait.
	Returned func()
}

// Link is the way to one Redis. It is safe for concurrent use.
type Link struct {
	Instance
	opt Options

	life context.Context // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup // the goroutine that probes

	mu      sync.Mutex     // guards all that follows
	client  rueidis.Client // nil: there never was a connection
	why     error          // why it is away; nil: it is there
	since   time.Time      // when it went away
	told    []string       // the advice that the log has had since then
	probing bool           // a goroutine probes until it is back
	lacking bool           // it may lack what was stored while it was away
	back    time.Time      // when it came back last
}

// New makes a link, which is away until Connect was called. Close ends it.
func New(i Instance, opt Options) *Link {
	l := &Link{Instance: i, opt: opt, why: errors.New("not connected yet"), since: time.Now()}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// Roles are the names that the configuration has for the instance.
func (l *Link) Roles() []string { return l.opt.Roles }

func (l *Link) names() string { return strings.Join(l.opt.Roles, ",") }

// Close ends the connections. No call may be pending.
func (l *Link) Close() {
	l.mu.Lock()
	l.end()
	l.mu.Unlock()
	l.work.Wait()
	if l.client != nil {
		l.client.Close()
	}
}

// awayError wraps why an instance cannot be used.
func (l *Link) awayError(err error) error {
	return chat.Errorf(chat.Unavailable, "Redis %s (%s) is away: %w",
		strings.Join(l.opt.Roles, ", "), l.Instance, err)
}

// Do sends commands in one pipeline. An error, of kind Unavailable, says that the instance is away:
// some of the commands may have been done, or may be done later. Errors of single commands stand in
// their results.
func (l *Link) Do(ctx context.Context, commands ...Command) ([]rueidis.RedisMessage, error) {
	l.mu.Lock()
	client, why := l.client, l.why
	l.mu.Unlock()
	if why != nil {
		return nil, l.awayError(why)
	}
	if err := ctx.Err(); err != nil {
		return nil, chat.Errorf(chat.Unavailable, "asking Redis: %w", err)
	}
	all := calls(commands, len(l.Cluster) > 0)
	results, err := l.send(ctx, client, all, false)
	if err != nil {
		return nil, err
	}
	return results, l.again(ctx, client, all, results)
}

// again sends the scripts that the server did not know, this time with their text. After them it
// sends once more the commands that only read, so that they see what the scripts did. It puts the
// answers into results.
func (l *Link) again(
	ctx context.Context, client rueidis.Client, all []call, results []rueidis.RedisMessage,
) error {
	var at []int // indices into results, of the first command of each that is sent again
	var missed []call
	first := 0
	for _, c := range all {
		e, ok := rueidis.IsRedisErr(results[first].Error())
		if ok && e.IsNoScript() || len(at) > 0 && c.reads() {
			at = append(at, first)
			missed = append(missed, c)
		}
		first += c.commands
	}
	if len(at) == 0 {
		return nil
	}
	more, err := l.send(ctx, client, missed, true)
	if err != nil {
		return err
	}
	for i, c := range missed {
		copy(results[at[i]:], more[:c.commands])
		more = more[c.commands:]
	}
	return nil
}

// send sends calls, scripts with their text or by their hash, and returns the answer of each
// command of theirs.
func (l *Link) send(
	ctx context.Context, client rueidis.Client, all []call, text bool,
) ([]rueidis.RedisMessage, error) {
	begun := time.Now()
	timed, cancel := context.WithTimeout(ctx, l.CallTimeout)
	defer cancel()
	n := len(all)
	results, err := ask(timed, client, all, text)
	if err == nil {
		err = broken(results...)
	}
	err = Hush(err)
	took := time.Since(begun)
	if l.opt.Observe != nil {
		l.opt.Observe(l.names(), n, took, err)
	}
	switch {
	case err == nil:
		return results, nil
	case ctx.Err() != nil && took < l.CallTimeout/2:
		// The caller had no time left, which says nothing about Redis.
		return nil, chat.Errorf(chat.Unavailable, "asking Redis: %w", err)
	}
	l.fail(err)
	return nil, l.awayError(err)
}
