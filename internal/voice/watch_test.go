package voice_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/voice"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
)

// spoken is a log that several write to.
type spoken struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

// takes waits for a line that has all words, the only one since the last time.
func (s *spoken) takes(t *testing.T, within time.Duration, words ...string) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		text := s.out.String()
		s.mu.Unlock()
		if text == "" {
			if time.Now().After(deadline) {
				t.Fatalf("nothing is said within %v, want a line with %q", within, words)
			}
			continue
		}
		for _, w := range words {
			if !strings.Contains(text, w) || strings.Count(text, "\n") != 1 {
				t.Errorf("%q is not one line with %q", text, w)
			}
		}
		s.mu.Lock()
		s.out.Reset()
		s.mu.Unlock()
		return
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
	var log spoken
	ctx, end := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { _ = m.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil))) })
	defer watching.Wait()
	defer end()
	away := []string{"level=WARN", "the file server is away", "voice messages are refused",
		m.Site()}
	back := []string{"level=INFO", "the file server is back", m.Site(), "after="}
	log.takes(t, patience, away...) // from the start
	s.Trouble(msfs.Trouble{})
	log.takes(t, told, back...)

	hold := make(chan struct{})
	s.Trouble(msfs.Trouble{Hold: hold})
	if _, err := m.Save(t.Context(), []byte("sound")); err == nil {
		t.Fatal("saved")
	}
	log.takes(t, patience, away...)
	close(hold)
	s.Trouble(msfs.Trouble{})
	log.takes(t, told, back...)
}
