package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/datadir"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// openRecords opens the records of a directory and brings their tables up to date.
func openRecords(
	ctx context.Context, dir *datadir.Dir, opt records.Options,
) (store *records.Store, ran []string, err error) {
	store, err = records.OpenSQLite(dir.Database(), opt)
	if err != nil {
		return nil, nil, fmt.Errorf("opening %s: %w", dir.Database(), dir.Explain(err))
	}
	stop := progress(os.Stderr, "bringing the tables up to date", nil)
	ran, err = tables.Migrate(ctx, store.DB())
	stop()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("making the tables of %s: %w", dir.Database(), err),
			store.Close())
	}
	return store, ran, nil
}

// recordsOptions returns the options for records; limits may be nil, for the defaults.
func recordsOptions(l *config.Limits, log *slog.Logger) records.Options {
	opt := records.Options{Log: log}
	if l != nil {
		opt.MessageTypes, opt.GroupTypes = l.MessageTypes.List(), l.GroupTypes.List()
	}
	return opt
}
