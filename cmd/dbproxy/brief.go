package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// briefLog is the log of commands that do their work and end. It shows warnings and errors, each in
// one short line, and nothing twice.
func briefLog(w io.Writer) *slog.Logger {
	return slog.New(&briefHandler{w: w, said: make(map[string]bool)})
}

// briefHandler is briefLog's slog.Handler. Any goroutine may use it.
type briefHandler struct {
	mu   sync.Mutex // guards w and said
	w    io.Writer
	said map[string]bool // the messages that were shown
}

// Enabled implements slog.Handler.
func (h *briefHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler. It shows no attribute but the address: "dbproxy config check"
// tells the rest.
func (h *briefHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "addr" {
			text += " (" + printable(a.Value.String()) + ")"
		}
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said[text] {
		return nil
	}
	h.said[text] = true
	_, err := fmt.Fprintln(h.w, "warning:", text)
	return err
}

// WithAttrs implements slog.Handler.
func (h *briefHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *briefHandler) WithGroup(string) slog.Handler { return h }
