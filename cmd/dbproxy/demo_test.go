package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/tryout/demo"
)

// TestDemoTellsWhatDiffers has one step fail: the play goes on, says which it was, and returns an
// error.
func TestDemoTellsWhatDiffers(t *testing.T) {
	addr, _ := demoProxy(t)
	conn, err := reach(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out strings.Builder
	err = demo.Play(t.Context(), demo.Options{
		Client: conn, Out: &out,
		Start: func(context.Context, string) (string, func() error, error) {
			return "", nil, errors.New("no second proxy today")
		},
	})
	if err == nil || err.Error() != "1 of 19 steps differed from what was expected" {
		t.Errorf("Play: %v", err)
	}
	for _, want := range []string{
		"\n18 drain        DIFFERS  no second proxy today\n19 tidy up      ok  ",
		"\n19 steps, 1 DIFFERED from what was expected, see above.\n" +
			"It added messages 1 to 102 of emma and frank, ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
}

// TestDemoEndsWithTheProxy plays against a proxy whose connection is gone.
func TestDemoEndsWithTheProxy(t *testing.T) {
	addr, _ := demoProxy(t)
	conn, err := reach(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	var out strings.Builder
	err = demo.Play(t.Context(), demo.Options{Client: conn, Out: &out})
	if err == nil || !strings.HasPrefix(err.Error(), "the play ended at step 1 of 19: ") {
		t.Errorf("Play: %v", err)
	}
}
