package repair

import (
	"context"
	"fmt"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// alive is the condition that a row of IMRecentSession, by the name it has in a query, is in its user's list.
func alive(row string) string { return "(" + row + ".status=0 OR " + row + ".status IS NULL)" }

// sessions finds users with several sessions of one talk, and with sessions of groups that they are not in.
func (c *Examination) sessions(ctx context.Context, after Cursor) (Found, error) {
	found, err := c.chunk(ctx, "IMRecentSession", after, scanRows)
	if err != nil || found.Rows == 0 {
		return found, err
	}
	other := "EXISTS (SELECT 1 FROM IMRecentSession d" + c.by("IMRecentSession", "userId,peerId,type") + " WHERE d.userId=s.userId AND d.peerId=s.peerId AND d.type=s.type AND " + alive("d") + " AND d.id"
	duplicate := "(" + other + "<s.id) AND NOT " + other + ">s.id))"
	stray := "(s.type=2 AND NOT EXISTS (SELECT 1 FROM IMGroupMember m" + c.by("IMGroupMember", memberKey) + " WHERE m.groupId=s.peerId AND m.userId=s.userId AND m.status=0))"
	query := "SELECT s.id,s.userId,s.peerId,s.type,CASE WHEN " + duplicate + " THEN 1 ELSE 0 END,CASE WHEN " + stray + " THEN 1 ELSE 0 END" +
		" FROM IMRecentSession s WHERE s.id>? AND s.id<=? AND s.type IN (1,2) AND " + alive("s") + " AND (" + duplicate + " OR " + stray + ") ORDER BY s.id"
	err = c.query(ctx, "sessions", query, []any{after.a, found.Next.a}, func(scan sqldb.Scanner) error {
		var f Fault
		var peer uint32
		var kind chat.TalkKind
		var twice, stray bool
		if err := scan(&f.Row, &f.User, &peer, &kind, &twice, &stray); err != nil {
			return err
		}
		f.Table, f.Talk = "IMRecentSession", chat.TalkOf(f.User, kind, peer)
		if twice {
			f.Kind, f.Text = finding.DuplicateSession, fmt.Sprintf("user %d has several sessions of %s", f.User, f.Talk)
			found.Faults = append(found.Faults, f)
		}
		if stray {
			f.Kind, f.Text = finding.StraySession, fmt.Sprintf("user %d has a session of %s and is not in it", f.User, f.Talk)
			found.Faults = append(found.Faults, f)
		}
		return nil
	})
	return found, err
}

// mendSession leaves of a user's sessions of a talk the one in use, at the place in the list of the latest, and gives the
// others status 1.
func (c *Examination) mendSession(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx talk.Work, h talk.Held) error {
		var rows []int64
		var updated int64
		err := sqldb.Each(ctx, tx, "SELECT id,updated FROM IMRecentSession WHERE userId=? AND peerId=? AND type=? AND COALESCE(status,0)=0 ORDER BY id",
			[]any{f.User, f.Talk.Peer(f.User), uint32(f.Talk.Kind)}, func(scan sqldb.Scanner) error {
				var id, at int64
				err := scan(&id, &at)
				rows, updated = append(rows, id), max(updated, at)
				return err
			})
		if err != nil || len(rows) < 2 {
			return err
		}
		kept := rows[len(rows)-1]
		if err := c.retire(ctx, tx, h, "IMRecentSession", rows[:len(rows)-1], kept); err != nil {
			return err
		}
		if _, err := sqldb.Exec(ctx, tx, "UPDATE IMRecentSession SET updated=? WHERE id=?", updated, kept); err != nil {
			return err
		}
		if h.Ours && f.Talk.Kind == chat.Pair {
			if f.User == f.Talk.A {
				h.SessionA = uint32(kept)
			} else {
				h.SessionB = uint32(kept)
			}
			h.Dirty = true
		}
		return nil
	})
	return "", err
}

// retire gives rows status 1 for which another one is kept (0: none), and notes it in the journal.
func (c *Examination) retire(ctx context.Context, tx talk.Work, h talk.Held, table string, rows []int64, kept int64) error {
	now := c.records.Unix()
	var journal []any
	for _, row := range rows {
		if _, err := sqldb.Exec(ctx, tx, "UPDATE "+table+" SET status=1 WHERE id=?", row); err != nil {
			return err
		}
		journal = append(journal, uint32(h.Talk.Kind), h.Talk.A, h.Talk.B, table, row, 0, 0, 0, table, kept, 0, 0, 0, now)
	}
	return sqldb.Insert(ctx, tx.Session, "IMProxyJournal", journalColumns, journal, "")
}

// mendStraySession takes a group out of the list of a user who is not in it, as leaving it does.
func (c *Examination) mendStraySession(ctx context.Context, f Fault) (why string, err error) {
	err = c.holding(ctx, f.Talk, func(tx talk.Work, h talk.Held) error {
		in := make(map[talk.Member]bool)
		err := sqldb.FetchAll(ctx, tx.Session, talk.MembersAmong(tx, []talk.Member{{Group: f.Talk.A, User: f.User}}, in))
		if err != nil || len(in) > 0 {
			return err
		}
		var rows []int64
		err = sqldb.Each(ctx, tx, "SELECT id FROM IMRecentSession WHERE userId=? AND peerId=? AND type=2 AND COALESCE(status,0)=0",
			[]any{f.User, f.Talk.A}, func(scan sqldb.Scanner) error {
				var id int64
				err := scan(&id)
				rows = append(rows, id)
				return err
			})
		if err != nil {
			return err
		}
		return c.retire(ctx, tx, h, "IMRecentSession", rows, 0)
	})
	return "", err
}
