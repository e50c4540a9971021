package client_test

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/command"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/internal/server"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// serveCompany serves a made-up company from an embedded store, as "dbproxy serve --demo" does,
// until stop is called.
func serveCompany() (addr string, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	dir, err := os.MkdirTemp("", "dbproxy-example-")
	must(err)
	quiet := slog.New(slog.DiscardHandler)
	store, err := records.OpenSQLite(filepath.Join(dir, "dbproxy.db"), records.Options{Log: quiet})
	must(err)
	_, err = tables.Migrate(ctx, store.DB())
	must(err)
	sounds, err := voice.OpenDir(filepath.Join(dir, "voice"))
	must(err)
	rules := counters.OnRecords(store)
	rules.Voice, rules.Failures = sounds, &counters.Failures{Table: store, Log: quiet}
	opt := chat.Options{VoiceKey: chat.DefaultVoiceKey, Log: quiet}
	_, err = company.Ensure(ctx, store, rules, opt)
	must(err)
	svc, err := chat.New(rules, opt)
	must(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)

	handler := command.New(svc, command.Options{Log: quiet})
	var running errgroup.Group
	running.Go(func() error { return svc.Run(ctx) })
	running.Go(func() error {
		return server.New(server.DefaultConfig(), handler, quiet).Serve(ctx, ln)
	})
	return ln.Addr().String(), func() {
		cancel()
		must(errors.Join(running.Wait(), sounds.Close(), store.Close(), os.RemoveAll(dir)))
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
