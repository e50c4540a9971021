// Package tail prints the messages of a store, one line each, as they are added.
//
// It asks a Feed for them, which reads the store itself, and waits only when the feed has nothing
// new. Texts of messages are printed only on request. They are quoted, so that each stays on one
// line and cannot steer a terminal.
package tail

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// Source tells which messages are added. It is a Feed.
type Source interface {
	// Skip moves behind all messages there are. It returns the last max of them or, where since is
	// not 0, all that were created since then, in Unix seconds.
	Skip(ctx context.Context, max int, since uint32) ([]Added, error)
	// Next returns the messages that were added since the last call.
	Next(ctx context.Context) ([]Added, error)
}

// Options say what is printed.
type Options struct {
	Last    int       // how many messages to begin with
	Since   time.Time // if not zero, begin with all messages created since then instead
	Once    bool      // end after those
	Count   int       // end after so many lines; 0 for never
	Content bool      // print the texts, quoted
	Width   int       // how many cells a line with a text has; the rest is cut. 0: no bound
	// Readable decrypts a text that a client has encrypted. Where it is nil, texts are printed as
	// they are stored.
	Readable func(text string) string
	Every    time.Duration // how long to wait when nothing is new
	Out      io.Writer
}

// Run prints messages until ctx ends, or what Options say is done.
func Run(ctx context.Context, f Source, opt Options) error {
	since := uint32(0)
	if !opt.Since.IsZero() {
		since = uint32(max(opt.Since.Unix(), 1))
	}
	added, err := f.Skip(ctx, opt.Last, since)
	for printed := 0; err == nil; {
		for _, a := range added {
			if _, err := fmt.Fprintln(opt.Out, line(a, opt)); err != nil {
				return err
			}
			if printed++; printed == opt.Count {
				return nil
			}
		}
		if opt.Once {
			return nil
		}
		if added, err = f.Next(ctx); err == nil && len(added) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(opt.Every):
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// line is what is printed of a message: when, from whom to whom, its id in the talk, what kind, and
// how many bytes of text or sound.
func line(a Added, opt Options) string {
	kind := fmt.Sprintf("type %d", a.Type) // as forks have them
	switch {
	case a.Type.Text():
		kind = "text"
	case a.Type.Voice():
		kind = "voice"
	}
	at := time.Unix(int64(a.Created), 0).Format(time.DateTime)
	to := named(a.ToName, a.To)
	if a.Group {
		to = "#" + to
	}
	who := terminal.Pad(named(a.FromName, a.From)+" > "+to, whoWidth)
	s := fmt.Sprintf("%s  %s  #%-6d %s %*d bytes", at, who, a.ID, kind, kindWidth-len(kind), a.Size)
	if !opt.Content || a.Type.Voice() {
		return s
	}
	text := a.Data
	if opt.Readable != nil {
		text = opt.Readable(text)
	}
	s += "  " + quoted(text)
	if opt.Width > 0 {
		s = terminal.Fit(s, opt.Width)
	}
	return s
}

// joiner joins emoji into one: it is invisible, and does no harm.
const joiner = "\u200d"

// quoted is strconv.Quote, which leaves joined emoji as they are.
func quoted(text string) string {
	parts := strings.Split(text, joiner)
	for i, part := range parts {
		part = strconv.Quote(part)
		parts[i] = part[1 : len(part)-1]
	}
	return `"` + strings.Join(parts, joiner) + `"`
}

// Widths in cells, by which lines have 80. Longer names take more.
const (
	kindWidth = 12 // of the kind and the size, without the cell between them
	whoWidth  = 28 // of "ann (1) > bob (2)"
)

// named is a name with its id, and a dash where there is no name.
func named(name string, id uint32) string {
	return fmt.Sprintf("%s (%d)", cmp.Or(terminal.Clean(name), "-"), id)
}

// ParseSince reads a time in the past: how long before now (90m, 24h), or a day, with or without
// the time of day, in the time zone of now.
func ParseSince(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	layouts := []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, time.RFC3339}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: give how long ago (90m, 24h) "+
		"or when (2006-01-02, \"2006-01-02 15:04\")", text)
}
