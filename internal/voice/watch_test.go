package voice_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/voice"
	"github.com/teamtalk-go/dbproxy/test/rig/logs"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
)

// takes waits for a line that has all words, the only one since the last time.
func takes(t *testing.T, log *logs.Log, within time.Duration, words ...string) {
	t.Helper()
	log.Await(t, within, words...)
	if text := log.Take(); strings.Count(text, "\n") != 1 {
		t.Errorf("%q is not one line with %q", text, words)
	}
}

// TestAFileServerThatComesBackIsTold within two seconds; it fails at five times that.
func TestAFileServerThatComesBackIsTold(t *testing.T) {
	t.Parallel()
	const told = 10 * time.Second
	s := startMsfs(t, "127.0.0.1:0")
	s.Trouble(msfs.Trouble{Down: true})
	m, err := voice.OpenMsfs(s.URL(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var log logs.Log
	ctx, end := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { _ = m.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil))) })
	defer watching.Wait()
	defer end()
	away := []string{"level=WARN", "the file server is away", "voice messages are refused",
		m.Site()}
	back := []string{"level=INFO", "the file server is back", m.Site(), "after="}
	takes(t, &log, patience, away...) // from the start
	s.Trouble(msfs.Trouble{})
	takes(t, &log, told, back...)

	hold := make(chan struct{})
	s.Trouble(msfs.Trouble{Hold: hold})
	if _, err := m.Save(t.Context(), []byte("sound")); err == nil {
		t.Fatal("saved")
	}
	takes(t, &log, patience, away...)
	close(hold)
	s.Trouble(msfs.Trouble{})
	takes(t, &log, told, back...)
}
