package tail

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// feed has one message at the beginning and one at each call of Next, of which number last calls
// stop.
type feed struct {
	calls, last int
	stop        func() error
}

func (f *feed) Skip(context.Context, int, uint32) ([]Added, error) {
	return []Added{message(1, "hi\n\u202e")}, nil
}

func (f *feed) Next(context.Context) ([]Added, error) {
	if f.calls++; f.calls == f.last {
		return nil, f.stop()
	}
	return []Added{message(uint32(f.calls)+1, "more")}, nil
}

func message(id uint32, text string) Added {
	return Added{
		Message: chat.Message{ID: id, From: 2, Type: chat.PairText, Data: text},
		Talk:    chat.PairTalk(1, 2), Size: len(text), To: 1, FromName: "bob", ToName: "ann",
	}
}

func TestRunEnds(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, c := range []struct {
		name  string
		opt   Options
		last  int
		fails bool
		lines int
		want  error
	}{
		{name: "by Ctrl-C", last: 3, lines: 3},
		{name: "by an error", last: 3, fails: true, lines: 3, want: broken},
		{name: "after a count", opt: Options{Count: 2}, last: 9, lines: 2},
		{name: "at once", opt: Options{Once: true}, last: 9, lines: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f := &feed{last: c.last, stop: func() error { cancel(); return nil }}
			if c.fails {
				f.stop = func() error { return broken }
			}
			var out strings.Builder
			c.opt.Out, c.opt.Every = &out, time.Hour
			if err := Run(ctx, f, c.opt); !errors.Is(err, c.want) {
				t.Errorf("Run: %v, want %v", err, c.want)
			}
			if n := strings.Count(out.String(), "\n"); n != c.lines {
				t.Errorf("%d lines, want %d:\n%s", n, c.lines, &out)
			}
		})
	}
}

func TestLineIsOneLine(t *testing.T) {
	readable := func(text string) string { return strings.ReplaceAll(text, "hi", "hello\r") }
	opt := Options{Content: true, Readable: readable}
	got := line(message(1, "hi\n\u202e"), opt)
	want := `bob (2) > ann (1)             #1      text        6 bytes  "hello\r\n\u202e"`
	if !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant … %s", got, want)
	}
	fork := message(1, "hi")
	fork.Type = 19
	got, want = line(fork, opt), `#1      type 19     2 bytes  "hello\r"`
	if !strings.HasSuffix(got, want) {
		t.Errorf("got  %s\nwant … %s", got, want)
	}
	const family = "👩\u200d👧"
	if got := line(message(1, family+"\\"), opt); !strings.HasSuffix(got, `"`+family+`\\"`) {
		t.Errorf("got  %s", got)
	}
	opt.Width = 80
	got = line(message(1, strings.Repeat("你好", 50)), opt)
	if terminal.Width(got) > 80 || !strings.HasSuffix(got, "…") {
		t.Errorf("got  %s", got)
	}
	m := message(70000, "hi")
	m.Group, m.FromName, m.ToName = true, "", "lunch\n\x1b[2J"
	got = line(m, Options{})
	want = `- (2) > #lunch`
	if !strings.Contains(got, want) || strings.ContainsAny(got, "\n\x1b\"") {
		t.Errorf("got  %q\nwant … %q", got, want)
	}
}

func TestParseSince(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"90m":                  now.Add(-90 * time.Minute),
		"2026-03-01":           time.Date(2026, 3, 1, 0, 0, 0, 0, time.Local),
		"2026-03-01 08:30":     time.Date(2026, 3, 1, 8, 30, 0, 0, time.Local),
		"2026-03-01T08:30:00Z": time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC),
		"-5m":                  {},
		"yesterday":            {},
	} {
		if got, err := ParseSince(text, now); !got.Equal(want) || (err == nil) == want.IsZero() {
			t.Errorf("ParseSince(%q) = %v, %v", text, got, err)
		}
	}
}
