package link

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// probePause is the time between two probes of an instance that is away.
const probePause = 250 * time.Millisecond

// Connect tries once to connect. Where that fails, tries go on in the background.
func (l *Link) Connect() {
	if err := l.probe(); err != nil {
		l.fail(err)
	}
}

// Away returns why the instance is away, and since when; why is nil when it is there.
func (l *Link) Away() (since time.Time, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since, l.why
}

// fail notes that the instance is away, and has it probed until it is back.
func (l *Link) fail(err error) {
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

// tell tells the log why the instance is away, unless the log has that advice already: what ended a
// connection says less than what the next one is refused with. The caller holds mu.
func (l *Link) tell(what string, err error) {
	mend := Mend(l.Instance, l.opt.Roles, err)
	if slices.Contains(l.told, mend) {
		return
	}
	l.told = append(l.told, mend)
	l.opt.Log.Warn(what, "instance", l.names(), "addr", l.String(), "err", err, "mend", mend)
}

func (l *Link) probeUntilBack() {
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
		back, after := l.why == nil, time.Since(l.since) // it may have failed again meanwhile
		l.probing = !back
		l.mu.Unlock()
		if back {
			l.opt.Log.Info("Redis is back", "instance", l.names(), "addr", l.String(),
				"after", after.Round(time.Millisecond))
			return
		}
	}
}

// probe connects if there is no connection yet, and asks the server for an answer.
func (l *Link) probe() error {
	l.mu.Lock()
	client, why := l.client, l.why
	l.mu.Unlock()
	if client == nil {
		options := l.options()
		options.DialCtxFn = l.dial
		fresh, err := connect(options)
		if err != nil {
			if fresh != nil {
				fresh.Close()
			}
			return Hush(err)
		}
		client = fresh
	}
	ctx, cancel := context.WithTimeout(l.life, l.CallTimeout)
	defer cancel()
	asking := calls(l.question(why), true)
	scripts := slices.DeleteFunc(slices.Clone(asking), func(c call) bool { return c.Script == nil })
	answers, err := ask(ctx, client, asking, false)
	if err == nil && len(scripts) > 0 { // by their hashes, and by their texts
		var more []rueidis.RedisMessage
		more, err = ask(ctx, client, scripts, true)
		answers = append(answers, more...)
	}
	err = Hush(cmp.Or(err, broken(answers...)))
	if IsDenied(err) && asking[0].Name == "SET" {
		err = nil // it answers, and the user has lost no other right
	}
	l.mu.Lock()
	l.client = client
	if err == nil && l.why != nil {
		l.why, l.back = nil, time.Now()
	}
	l.mu.Unlock()
	if err == nil {
		l.opt.Returned()
	}
	return err
}

// question is what an instance that is away for a reason is asked, to find out whether it is back.
//
// One that refused to write (it is full, or a replica) answers who reads all the time. So it is
// asked to write what changes nothing: nobody ever sets that key. One that refused some commands or
// keys is asked for all that we need.
func (l *Link) question(why error) []Command {
	if IsDenied(why) || IsMissing(why) {
		return l.opt.Needed()
	}
	if why != nil {
		for _, word := range []string{"OOM", "READONLY", "MISCONF", "NOREPLICAS"} {
			if strings.Contains(why.Error(), word) {
				return []Command{Plain("SET", "dbproxy:probe", "1", "XX")}
			}
		}
	}
	return []Command{l.opt.Ask}
}

// dial makes a connection for the client library. One that is made later than the first ones
// replaces one that was lost.
func (l *Link) dial(
	ctx context.Context, addr string, dialer *net.Dialer, secure *tls.Config,
) (conn net.Conn, err error) {
	if secure != nil {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", addr)
	}
	if err == nil && !slices.Contains(l.Sentinels, addr) {
		l.redialled()
	}
	return conn, err
}

// redialled notes that a connection was made. Where there were connections before, a server may
// have crashed, or handed over to its replica, and have lost the last that it was told.
func (l *Link) redialled() {
	l.mu.Lock()
	again := l.client != nil
	if again {
		l.lacking, l.back = true, time.Now()
	}
	l.mu.Unlock()
	if again {
		l.opt.Returned()
	}
}

// Behind reports whether the instance may lack what was stored while it was away.
func (l *Link) Behind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lacking
}

// Back returns when an instance that is there, and still behind, came back; ok is false for others.
func (l *Link) Back() (at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back, l.lacking && l.why == nil
}

// CaughtUp notes that the instance has all that was stored before it came back at that time.
func (l *Link) CaughtUp(back time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back.Equal(back) && l.why == nil {
		l.lacking = false
	}
}
