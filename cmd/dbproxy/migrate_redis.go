package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/fleet"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/takeover"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// watchMoves is for how long it is watched whether anything moves in Redis.
const watchMoves = 30 * time.Second

// longestPage is how long a statement may take: those that read a page are longer than a proxy's.
const longestPage = 5 * time.Minute

// errRefused begins the error of what was refused.
var errRefused = errors.New("refused, and nothing was changed")

// errNobodyToAsk is the refusal of a change to which nobody can agree.
var errNobodyToAsk = errors.New("nothing was changed, as there is no terminal to ask at; --yes " +
	"goes on")

// to is where the proxies of the database are to count; 0: that is to stay.
func (m *migration) to() fleet.Counting {
	switch {
	case m.withRedis:
		return fleet.InRedis
	case m.withoutRedis:
		return fleet.InMySQL
	}
	return 0
}

// mayMove returns an error if a configuration does not fit what is to be done about a database.
func (m *migration) mayMove(
	ctx context.Context, store *records.Store, cfg *config.Config, path string,
) error {
	is, err := fleet.Read(ctx, store.DB())
	if err != nil || m.to() == 0 || m.to() == is || !cfg.WithoutRedis() {
		return err
	}
	path = terminal.ShellWord(path)
	switch {
	case m.withRedis:
		return fmt.Errorf("%s names no Redis servers: name those to count in, in CacheInstances",
			path)
	case !m.force:
		return fmt.Errorf("%s names no Redis servers, so that nothing can be taken over: let "+
			"CacheInstances name them as long as this runs, and remove it after that", path)
	}
	return nil
}

// move has the proxies of a database count without Redis, or with it again.
func (m *migration) move(ctx context.Context, cfg *config.Config, at sqldb.MySQL) (err error) {
	at.StatementTimeout = max(at.StatementTimeout, longestPage)
	at.ReadTimeout = max(at.ReadTimeout, longestPage)
	log := briefLog(m.cmd.ErrOrStderr())
	store, err := records.OpenMySQL(at, nil, records.Options{Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if missing, err := tables.Missing(ctx, store.DB()); err != nil || len(missing) > 0 {
		m.say("Where proxies count can be changed once all tables are there.\n")
		return err
	}
	if is, err := fleet.Read(ctx, store.DB()); err != nil || is == m.to() {
		m.say("Nothing to do: the proxies of this database count %s.\n", is)
		return err
	}
	if !m.yes && !m.dryRun && !terminal.Is(m.cmd.InOrStdin()) { // before it watches for long
		return errNobodyToAsk
	}
	var copied *redis.Copy
	if !cfg.WithoutRedis() {
		if copied, err = openRedis(cfg, nil, log); err != nil {
			return err
		}
		defer copied.Close()
		if away := copied.Away(); len(away) > 0 && (m.withRedis || !m.force) {
			return fmt.Errorf("%w: %w: %s", errRefused, away[0], away[0].Mend())
		}
	}
	if m.withRedis {
		return m.toRedis(ctx, store, copied)
	}
	return m.toMySQL(ctx, &takeover.Takeover{Records: store, Redis: copied, Force: m.force,
		Watch: m.watch})
}

// say prints text; where a script for mysql is printed, as comments.
func (m *migration) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if m.dryRun {
		text = "-- " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n-- ") + "\n"
		text = strings.ReplaceAll(text, "-- \n", "--\n")
	}
	fmt.Fprint(m.cmd.OutOrStdout(), text)
}

// agrees asks whether to go on, where that was not said. Without an error and a yes it is a no.
func (m *migration) agrees(ctx context.Context, question string) (bool, error) {
	switch {
	case m.yes:
		return true, nil
	case !terminal.Is(m.cmd.InOrStdin()):
		return false, errNobodyToAsk
	}
	yes := m.questions().Yes(ctx, question)
	if !yes {
		m.say("Nothing was changed.\n")
	}
	return yes, nil
}

// toMySQL has proxies count without Redis.
func (m *migration) toMySQL(ctx context.Context, t *takeover.Takeover) error {
	reasons, err := t.Refusals(ctx)
	if err != nil {
		return err
	}
	if err := m.pass(reasons); err != nil {
		return err
	}
	if !m.dryRun {
		if err := t.Reconcile(ctx); err != nil {
			if !m.force {
				return err
			}
			m.passOverLost([]error{err})
		}
	}
	var at atomic.Value
	at.Store("")
	t.Progress = func(what string) { at.Store(what) }
	far := func() string { return at.Load().(string) }
	stop := progress(os.Stderr, "Redis", far)
	s, moved, lost, err := t.Read(ctx)
	stop()
	if ctx.Err() != nil {
		return errors.New("stopped, and nothing was taken over")
	}
	if err != nil {
		return err
	}
	m.passOverLost(lost)
	if moved.Count > 0 {
		what := fmt.Sprintf("somebody is at work on Redis, as %s moved within %s: %s",
			admin.Count(moved.Count, "value"), m.watch, strings.Join(moved.Some, ", "))
		if !m.force {
			return fmt.Errorf("%w: %s; stop all originals and proxies", errRefused, what)
		}
		m.passOver(what)
	}
	m.say("%s", summary(s, t.Redis == nil || len(lost) > 0))
	if m.dryRun {
		return nil
	}
	if yes, err := m.agrees(ctx, "Have the proxies count without Redis from now on?"); !yes {
		return err
	}
	stop = progress(os.Stderr, "Redis", far)
	lost, err = t.Apply(ctx)
	stop()
	m.passOverLost(lost)
	if err != nil {
		return fmt.Errorf("the proxies still count in Redis; the same command again goes on: %w",
			err)
	}
	m.say("The proxies of this database count without Redis now. Next, remove\n" +
		"CacheInstances and the keys of its instances from the configuration of every\n" +
		"proxy, and start them. The Redis may be shut down.\n")
	return nil
}

// pass returns an error with the reasons to refuse, or says that it passes them over.
func (m *migration) pass(reasons []string) error {
	if len(reasons) == 0 {
		return nil
	}
	list := "\n  " + strings.Join(reasons, "\n  ")
	if !m.force {
		return fmt.Errorf("%w:%s", errRefused, list)
	}
	for _, reason := range reasons {
		m.passOver(reason)
	}
	return nil
}

// passOver says what --force passes over, each thing once.
func (m *migration) passOver(what string) {
	if !slices.Contains(m.passed, what) {
		m.passed = append(m.passed, what)
		m.say("Passed over, as --force says: %s\n", what)
	}
}

// passOverLost says what could not be read, or applied, of Redis.
func (m *migration) passOverLost(lost []error) {
	for _, err := range lost {
		m.passOver(err.Error() + "; what it knows is lost")
	}
}

// summary shows what is taken over.
func summary(s takeover.Summary, blind bool) string {
	var b strings.Builder
	switch {
	case blind && s.Nothing():
		b.WriteString("What only Redis knows is lost.\n")
	case s.Nothing():
		b.WriteString("Nothing is to be taken over from Redis: the records know all.\n")
	default:
		b.WriteString("To be taken over from Redis:\n\n")
		for _, row := range []struct {
			what, text string
			n          int
		}{
			{"unread", admin.Count(s.Unread, "counter") + " of pairs", s.Unread},
			{"groups", admin.Count(s.Groups, "group") + ", what " +
				admin.Count(s.Levels, "member") + " have not read", s.Groups},
			{"mutes", admin.Count(s.Mutes, "value"), s.Mutes},
			{"tokens", admin.Count(s.Tokens, "push token"), s.Tokens},
			{"ids", "of " + admin.Count(s.IDs, "talk"), s.IDs},
		} {
			if row.n > 0 {
				fmt.Fprintf(&b, "  %-9s %s\n", row.what, row.text)
			}
		}
		b.WriteString("\n")
		if blind {
			b.WriteString("What else only Redis knows is lost.\n")
		}
	}
	if s.Impossible > 0 {
		fmt.Fprintf(&b, "%s that cannot be %s passed over.\n", admin.Count(s.Impossible, "value"),
			map[bool]string{true: "is", false: "are"}[s.Impossible == 1])
	}
	return b.String()
}

// toRedis has proxies count in Redis again.
func (m *migration) toRedis(ctx context.Context, store *records.Store, copied *redis.Copy) error {
	reasons, err := takeover.RefusalsWithRedis(ctx, store, copied)
	if err != nil {
		return err
	}
	if err := m.pass(reasons); err != nil {
		return err
	}
	keys, err := copied.KeysOfOriginals(ctx)
	if err != nil {
		return err
	}
	m.say("The keys in which originals count are removed from Redis: what they have\n" +
		"is from before, and they are filled again from MySQL. Now these are:\n\n")
	for _, at := range keys {
		m.say("  %s of %s\n", admin.Count(at.Keys, "key"), at.Addr)
	}
	m.say("\n")
	if m.dryRun {
		return nil
	}
	if yes, err := m.agrees(ctx, "Have the proxies count in Redis from now on?"); !yes {
		return err
	}
	removed, err := takeover.StartWithRedis(ctx, store, copied, m.force)
	if err != nil {
		return fmt.Errorf("the proxies still count without Redis; the same command again goes "+
			"on: %w", err)
	}
	m.say("%s removed. The proxies of this database count in Redis now. Next, name it in\n"+
		"CacheInstances in the configuration of every proxy, and start them. Keys are\n"+
		"filled as they are needed. Before an original starts, fill all:\n"+
		"dbproxy doctor --before-original --repair\n", admin.Count(removed, "key"))
	return nil
}
