package sqldb_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestNoValueEndsTheTextItStandsIn has values come back from the server that went there in one text
// with other statements.
func TestNoValueEndsTheTextItStandsIn(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.At(testdb.New(t)), slog.New(slog.DiscardHandler))
	texts := []any{"", "?", "a ? b ?", "'", "''", `\`, `\'`, `'\`, `\\'`, `"`, "`", "--", "-- ?\n",
		"/* ? */", "#?", ";\nROLLBACK", "';\nROLLBACK;\n'", "\x00", "\n\r\x1a", "%_", "ü 漢 😀",
		"\u00bf\u005c", "NULL", "?", strings.Repeat(`\'?`, 1000)}
	var got []string
	err := db.Batch(t.Context(), func(tx sqldb.Tx) error {
		got = nil
		for _, text := range texts { // they go with the query
			if _, err := sqldb.Exec(t.Context(), tx, "DO ?", text); err != nil {
				return err
			}
		}
		query := "SELECT " + strings.Join(strings.Split(sqldb.Params(len(texts)), ","),
			" UNION ALL SELECT ")
		return sqldb.Each(t.Context(), tx, query, texts, func(scan sqldb.Scanner) error {
			var text string
			err := scan(&text)
			got = append(got, text)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range texts {
		if i >= len(got) || got[i] != want {
			t.Errorf("%.50q did not come back, of %.200q", want, got)
		}
	}
}

func TestAStatementTakesAsManyValuesAsItHasMarks(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.At(testdb.New(t)), slog.New(slog.DiscardHandler))
	for _, values := range [][]any{{1}, {1, 2, 3}, {1, 1.5}, {1, []byte("x")}} {
		err := db.Batch(t.Context(), func(tx sqldb.Tx) error {
			_, err := sqldb.Exec(t.Context(), tx, "DO ?+?", values...)
			return err
		})
		if err == nil {
			t.Errorf("%v was taken", values)
		}
	}
}
