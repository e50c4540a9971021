package repair

import (
	"cmp"
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// Range is how many of a table's ids are used.
type Range struct {
	Table string
	Last  int64   // the largest id that is known to have been given out
	Max   int64   // the largest id that there can be
	Share float64 // Last as a share of Max, from 0 to 1
}

// Ranges returns how many ids are used of every table that numbers its rows, the fullest first.
func (c *Examination) Ranges(ctx context.Context) (ranges []Range, err error) {
	next := make(map[string]int64)
	if c.db.Engine() == sqldb.EngineMySQL {
		query := "SELECT TABLE_NAME,COALESCE(AUTO_INCREMENT,0) FROM information_schema.TABLES" +
			" WHERE TABLE_SCHEMA=DATABASE()"
		if err := c.query(ctx, "tables", query, nil, sqldb.Into(next)); err != nil {
			return nil, err
		}
	}
	for _, t := range tables.All() {
		if t.Primary != nil || !c.there(t.Name) {
			continue
		}
		r := Range{Table: t.Name, Max: 1<<31 - 1}
		if t.UnsignedID {
			r.Max = 1<<32 - 1
		}
		last, err := c.number(ctx, t.Name, "SELECT COALESCE(MAX(id),0) FROM "+t.Name)
		if err != nil {
			return nil, err
		}
		r.Last = max(last, next[t.Name]-1)
		r.Share = float64(r.Last) / float64(r.Max)
		ranges = append(ranges, r)
	}
	slices.SortStableFunc(ranges, func(x, y Range) int { return cmp.Compare(y.Share, x.Share) })
	return ranges, nil
}
