// Package repeats keeps a log short and readable while the same thing happens over and over. Lines
// that are alike are written a few times; then they are counted, and summed up in one line.
package repeats

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// window is how long lines of a kind are counted before their sum is written.
	window = 10 * time.Second
	// most is how many lines of a kind are written as they come. Of level INFO, mostNews are: so
	// somebody who searches for a certain login that failed finds it, unless there were very many.
	most, mostNews = 10, 100
	// maxKinds is how many kinds are told apart at a time. When there are as many, lines with the
	// same message count as alike.
	maxKinds = 1000
	// maxKind is how much of what a line says makes its kind, in bytes.
	maxKind = 400
	// passEvery is how often Run searches for sums to write.
	passEvery = time.Second
)

// Handler is a slog.Handler that writes to another one. The first lines of a kind go through; of
// those that follow within ten seconds only the number is written, with the last of them. As long
// as they keep coming that is one line every ten seconds. A kind is a level, a message, and the
// values of all attributes of the line, wherein words with digits (ids, addresses, times) count as
// equal, and so do the names of users, which callers make up. Lines below level Info are not
// counted: whoever turns them on wants to see all of them.
type Handler struct {
	next slog.Handler
	*kinds
}

// kinds is what a Handler shares with those that WithAttrs and WithGroup make of it.
type kinds struct {
	now func() time.Time

	mu   sync.Mutex // guards open and all that it holds
	open map[string]*kind
}

// kind are lines that are alike.
type kind struct {
	since   time.Time
	allowed int // lines that may be written as they come
	more    int // lines that were not written
	last    slog.Record
	next    slog.Handler // writes last
}

// New returns a handler that writes to next. Keep Run running, so that sums are written in time.
// now is the clock.
func New(next slog.Handler, now func() time.Time) *Handler {
	return &Handler{next, &kinds{now: now, open: make(map[string]*kind)}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.next.WithAttrs(attrs), h.kinds}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.next.WithGroup(name), h.kinds}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo || h.admit(r) {
		return h.next.Handle(ctx, r)
	}
	return nil
}

// admit reports whether a line may be written as it is; else it is counted.
func (h *Handler) admit(r slog.Record) bool {
	name := nameOf(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.open[name]
	if k == nil && len(h.open) >= maxKinds {
		name = r.Level.String() + " " + r.Message
		k = h.open[name]
	}
	if k == nil {
		k = &kind{since: h.now(), allowed: most}
		if r.Level < slog.LevelWarn {
			k.allowed = mostNews
		}
		h.open[name] = k
	}
	if k.allowed > 0 {
		k.allowed--
		return true
	}
	k.more++
	k.last, k.next = r.Clone(), h.next
	return false
}

// Sum writes the sums that are due. A kind of which nothing was counted for ten seconds is
// forgotten: the next line of it is a first one again.
func (h *Handler) Sum(ctx context.Context) { h.sum(ctx, window) }

// sum writes the sums of what was counted for a while.
func (h *Handler) sum(ctx context.Context, after time.Duration) {
	type due struct {
		kind
		took time.Duration
	}
	var dues []due
	now := h.now()
	h.mu.Lock()
	for name, k := range h.open {
		took := now.Sub(k.since)
		switch {
		case took < after:
		case k.more == 0:
			delete(h.open, name)
		default:
			dues = append(dues, due{*k, took})
			*k = kind{since: now}
		}
	}
	h.mu.Unlock()
	for _, d := range dues {
		took := d.took.Round(time.Second)
		text := fmt.Sprintf("… and %d more like this in %v: %s", d.more, took, d.last.Message)
		r := slog.NewRecord(now, d.last.Level, text, d.last.PC)
		d.last.Attrs(func(a slog.Attr) bool { r.AddAttrs(a); return true })
		r.AddAttrs(slog.Int("more", d.more), slog.Time("last", d.last.Time))
		_ = d.next.Handle(ctx, r) // there is nobody to tell
	}
}

// Run writes sums in time until ctx ends, and then those of all that was counted.
func (h *Handler) Run(ctx context.Context) error {
	tick := time.NewTicker(passEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			h.sum(context.WithoutCancel(ctx), 0)
			return nil
		case <-tick.C:
			h.Sum(ctx)
		}
	}
}

// nameOf names the kind of a line.
func nameOf(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Level.String())
	b.WriteByte(' ')
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteByte(' ')
		b.WriteString(a.Key)
		b.WriteByte('=')
		if a.Key != "user" {
			writeAlike(&b, a.Value.Resolve().String())
		}
		return b.Len() < maxKind
	})
	return b.String()
}

// writeAlike writes text with each word that has a digit in it replaced by one mark, as far as
// it fits.
func writeAlike(b *strings.Builder, text string) {
	word, digit := 0, false // where the word at hand begins, and whether it has a digit
	end := func(at int) {
		if digit {
			b.WriteByte('#')
		} else {
			b.WriteString(text[word:at])
		}
		digit = false
	}
	for i := 0; i < len(text) && b.Len() < maxKind; i++ {
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			digit = true
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c >= 0x80:
		default:
			end(i)
			b.WriteByte(c)
			word = i + 1
		}
	}
	if b.Len() < maxKind {
		end(len(text))
	}
}
