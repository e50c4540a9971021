package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// openRecords opens the records of a directory and brings their tables up to date.
func openRecords(ctx context.Context, dir *datadir.Dir, log *slog.Logger) (store *records.Store, ran []string, err error) {
	store, err = records.OpenSQLite(dir.Database(), records.Options{Log: log})
	if err != nil {
		return nil, nil, fmt.Errorf("opening %s: %w", dir.Database(), dir.Explain(err))
	}
	stop := progress(os.Stderr, "bringing the tables up to date", nil)
	ran, err = store.Migrate(ctx)
	stop()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("making the tables of %s: %w", dir.Database(), err), store.Close())
	}
	return store, ran, nil
}

// withRecords runs work on the records of an existing store, for commands that do their work and end.
func withRecords(ctx context.Context, path string, work func(*records.Store) error) error {
	dir, err := datadir.Existing(path)
	if err != nil {
		return err
	}
	store, _, err := openRecords(ctx, dir, slog.Default())
	if err != nil {
		return err
	}
	return errors.Join(work(store), store.Close())
}
