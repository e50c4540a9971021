package harness

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Migrate makes an empty store in the directory data and runs the statements of seed on it.
func Migrate(ctx context.Context, binary, data, seed string) error {
	if _, err := Run(ctx, binary, "", "migrate", "--data", data); err != nil {
		return err
	}
	if seed == "" {
		return nil
	}
	db, err := open(data, "rw")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, seed); err != nil {
		return fmt.Errorf("seeding %s: %w", data, err)
	}
	return nil
}

// OpenStore opens the store in the directory data for reading, beside a running proxy.
func OpenStore(data string) (*sql.DB, error) { return open(data, "ro") }

func open(data, mode string) (*sql.DB, error) {
	q := url.Values{"mode": {mode}, "_pragma": {"busy_timeout(10000)"}}
	u := url.URL{Scheme: "file",
		Opaque:   (&url.URL{Path: filepath.Join(data, "dbproxy.db")}).EscapedPath(),
		RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", data, err)
	}
	return db, nil
}
