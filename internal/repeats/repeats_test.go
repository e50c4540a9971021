package repeats_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/repeats"
)

// desk is a log whose clock a test moves.
type desk struct {
	*slog.Logger
	t   *testing.T
	h   *repeats.Handler
	at  time.Time
	out bytes.Buffer
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, at: time.Unix(1, 0)}
	d.h = repeats.New(slog.NewJSONHandler(&d.out, nil), func() time.Time { return d.at })
	d.Logger = slog.New(d.h)
	return d
}

// passes moves the clock on, second by second.
func (d *desk) passes(whole time.Duration) {
	for ; whole > 0; whole -= time.Second {
		d.at = d.at.Add(time.Second)
		d.h.Sum(d.t.Context())
	}
}

// said returns the lines since it was called last.
func (d *desk) said() (lines []map[string]any) {
	for dec := json.NewDecoder(&d.out); dec.More(); {
		var line map[string]any
		if err := dec.Decode(&line); err != nil {
			d.t.Fatal(err)
		}
		lines = append(lines, line)
	}
	d.out.Reset()
	return lines
}

func TestRepeatsAreSummed(t *testing.T) {
	d := newDesk(t)
	for i := range 133 {
		d.Error("failed", "peer", fmt.Sprintf("10.0.0.%d:%d", i, 40000+i), "err",
			errors.New("away"))
	}
	if lines := d.said(); len(lines) != 10 || lines[0]["peer"] != "10.0.0.0:40000" {
		t.Errorf("of 133 that are alike it wrote %v", lines)
	}
	d.passes(9 * time.Second)
	if lines := d.said(); len(lines) > 0 {
		t.Errorf("too early: %v", lines)
	}
	d.passes(time.Second)
	lines := d.said()
	if len(lines) != 1 || lines[0]["msg"] != "… and 123 more like this in 10s: failed" ||
		lines[0]["more"] != 123.0 ||
		lines[0]["level"] != "ERROR" || lines[0]["peer"] != "10.0.0.132:40132" ||
		lines[0]["err"] != "away" {
		t.Fatalf("the sum is %v", lines)
	}

	// As long as it goes on there is one line every ten seconds.
	for range 30 {
		d.Error("failed", "peer", "10.0.0.1:1", "err", errors.New("away"))
		d.passes(time.Second)
	}
	if lines := d.said(); len(lines) != 3 || lines[2]["more"] != 10.0 {
		t.Errorf("in 30 seconds, 1 a second: %v", lines)
	}
	d.passes(10 * time.Second)
	if lines := d.said(); len(lines) != 0 {
		t.Errorf("of nothing it says %v", lines)
	}
	d.Error("failed", "peer", "10.0.0.1:1", "err", errors.New("away"))
	if lines := d.said(); len(lines) != 1 || lines[0]["msg"] != "failed" {
		t.Errorf("after a while of silence: %v", lines)
	}
}

// TestNoFirstIsHidden has something else happen in the midst of many that are alike.
func TestNoFirstIsHidden(t *testing.T) {
	d := newDesk(t)
	for range 50 {
		d.Warn("refused", "reason", "one thing, at 7 bytes")
	}
	d.said()
	d.Error("refused", "reason", "one thing, at 8 bytes")
	d.Warn("refused", "reason", "another thing")
	d.Warn("refused", "reason", "one thing, at 9 bytes")
	d.Warn("stored", "reason", "one thing, at 9 bytes")
	if lines := d.said(); len(lines) != 3 || lines[0]["level"] != "ERROR" ||
		lines[1]["reason"] != "another thing" || lines[2]["msg"] != "stored" {
		t.Errorf("of three that are new it wrote %v", lines)
	}
}

func TestNewsIsRarelySummed(t *testing.T) {
	d := newDesk(t)
	for i := range 150 {
		d.Info("connection opened", "peer", i)
	}
	if lines := d.said(); len(lines) != 100 {
		t.Errorf("of 150 news it wrote %d", len(lines))
	}
}

// TestManyKinds has more kinds come than are told apart: the rest counts by message.
func TestManyKinds(t *testing.T) {
	d := newDesk(t)
	name := func(i int) string { // without digits
		return strings.Repeat("x", i%50) + " " + strings.Repeat("y", i/50)
	}
	for i := range 2000 {
		d.Warn("refused", "name", name(i))
	}
	if n := len(d.said()); n != 1010 {
		t.Errorf("of 2000 that are not alike it wrote %d", n)
	}
	d.Warn("something else", "name", name(2001))
	if lines := d.said(); len(lines) != 1 {
		t.Errorf("then something else was written as %v", lines)
	}
	d.passes(10 * time.Second)
	if lines := d.said(); len(lines) != 1 || lines[0]["more"] != 990.0 {
		t.Errorf("the sum is %v", lines)
	}
}

// TestEndSumsTheRest ends Run before a sum is due.
func TestEndSumsTheRest(t *testing.T) {
	d := newDesk(t)
	log := d.With("part", "one").WithGroup("of")
	for range 15 {
		log.Warn("away", "x", 1)
	}
	d.said()
	d.at = d.at.Add(3 * time.Second)
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := d.h.Run(ctx); err != nil {
		t.Fatal(err)
	}
	lines := d.said()
	if len(lines) != 1 || lines[0]["msg"] != "… and 5 more like this in 3s: away" ||
		lines[0]["part"] != "one" {
		t.Errorf("at the end it says %v", lines)
	}
}

func TestDetailsAreNotSummed(t *testing.T) {
	var out bytes.Buffer
	h := repeats.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}),
		time.Now)
	for range 500 {
		slog.New(h).Debug("detail")
	}
	if n := strings.Count(out.String(), "\n"); n != 500 {
		t.Errorf("of 500 details it wrote %d", n)
	}
}

func TestNamesOfUsersAreAlike(t *testing.T) {
	d := newDesk(t)
	for i := range 500 {
		d.Info("refused", "reason", "wrong name or password", "user", strings.Repeat("n", i))
	}
	if lines := d.said(); len(lines) != 100 {
		t.Errorf("of 500 names %d lines are written", len(lines))
	}
	d.passes(10 * time.Second)
	if lines := d.said(); len(lines) != 1 || lines[0]["more"] != 400.0 {
		t.Errorf("the sum is %v", lines)
	}
}
