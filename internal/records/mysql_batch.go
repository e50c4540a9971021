package records

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
)

// keptBack is a transaction that sends what is executed together, as one text of several statements. The statements are
// constants of ours and the driver binds the values, so no value can end one.
type keptBack struct {
	tx    *sql.Tx
	texts []string
	args  []any
}

// ExecContext keeps a statement back.
func (k *keptBack) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	k.texts = append(k.texts, query)
	k.args = append(k.args, args...)
	return driver.RowsAffected(0), nil
}

// QueryContext sends what was kept back, then the query.
func (k *keptBack) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := k.flush(ctx); err != nil {
		return nil, err
	}
	return k.tx.QueryContext(ctx, query, args...)
}

func (k *keptBack) insertID(ctx context.Context, query string, args ...any) (int64, error) {
	if err := k.flush(ctx); err != nil {
		return 0, err
	}
	return atOnce{k.tx}.insertID(ctx, query, args...)
}

func (k *keptBack) flush(ctx context.Context) error {
	if len(k.texts) == 0 {
		return nil
	}
	text, args := strings.Join(k.texts, ";\n"), k.args
	k.texts, k.args = nil, nil
	_, err := k.tx.ExecContext(ctx, text, args...)
	return err
}
