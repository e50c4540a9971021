package repair

import (
	"context"
	"fmt"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// alive is the condition that a row of IMRecentSession, by the name it has in a query, is in its
// user's list.
func alive(row string) string { return "(" + row + ".status=0 OR " + row + ".status IS NULL)" }

// sessions finds users with several sessions of one talk, and users with sessions of groups that
// they are not in.
func (c *Examination) sessions(ctx context.Context, after, upTo int64) (faults []Fault, err error) {
	other := "EXISTS (SELECT 1 FROM IMRecentSession d" +
		c.by("IMRecentSession", "userId,peerId,type") +
		" WHERE d.userId=s.userId AND d.peerId=s.peerId AND d.type=s.type AND " + alive("d") +
		" AND d.id"
	duplicate := "(" + other + "<s.id) AND NOT " + other + ">s.id))"
	stray := "(s.type=2 AND NOT EXISTS (SELECT 1 FROM IMGroupMember m" +
		c.by("IMGroupMember", memberKey) +
		" WHERE m.groupId=s.peerId AND m.userId=s.userId AND m.status=0))"
	query := "SELECT s.id,s.userId,s.peerId,s.type,CASE WHEN " + duplicate +
		" THEN 1 ELSE 0 END,CASE WHEN " + stray + " THEN 1 ELSE 0 END" +
		" FROM IMRecentSession s WHERE s.id>? AND s.id<=? AND s.type IN (1,2) AND " + alive("s") +
		" AND (" + duplicate + " OR " + stray + ") ORDER BY s.id"
	err = c.query(ctx, "sessions", query, []any{after, upTo}, func(scan sqldb.Scanner) error {
		f := Fault{Table: "IMRecentSession"}
		var peer uint32
		var kind chat.TalkKind
		var twice, stray bool
		if err := scan(&f.Row, &f.User, &peer, &kind, &twice, &stray); err != nil {
			return err
		}
		f.Talk = chat.TalkOf(f.User, kind, peer)
		if twice {
			f.Kind = finding.DuplicateSession
			f.Text = fmt.Sprintf("user %d has several sessions of %s", f.User, f.Talk)
			faults = append(faults, f)
		}
		if stray {
			f.Kind = finding.StraySession
			f.Text = fmt.Sprintf("user %d has a session of %s and is not in it", f.User, f.Talk)
			faults = append(faults, f)
		}
		return nil
	})
	return faults, err
}

// mendSession leaves of a user's sessions of a talk the one in use, at the position in the list
// that the latest of them has, and gives the others status 1.
func (c *Examination) mendSession(ctx context.Context, h held, f Fault) (why string, err error) {
	var rows []int64
	var updated int64
	query := "SELECT id,updated FROM IMRecentSession WHERE userId=? AND peerId=? AND type=?" +
		" AND COALESCE(status,0)=0 ORDER BY id"
	args := []any{f.User, f.Talk.Peer(f.User), uint32(f.Talk.Kind)}
	err = sqldb.Each(ctx, h.tx, query, args, func(scan sqldb.Scanner) error {
		var id, at int64
		err := scan(&id, &at)
		rows, updated = append(rows, id), max(updated, at)
		return err
	})
	if err != nil || len(rows) < 2 {
		return "", err
	}
	last := len(rows) - 1
	kept := rows[last]
	if err := c.retire(ctx, h, "IMRecentSession", rows[:last], kept); err != nil {
		return "", err
	}
	if h.Ours && f.Talk.Kind == chat.Pair {
		h.Dirty = true
		if f.User == f.Talk.A {
			h.SessionA = uint32(kept)
		} else {
			h.SessionB = uint32(kept)
		}
	}
	_, err = sqldb.Exec(ctx, h.tx, "UPDATE IMRecentSession SET updated=? WHERE id=?", updated, kept)
	return "", err
}

// retire gives status 1 to rows in place of which another one is kept (0 for none), and notes that
// in the journal.
func (c *Examination) retire(
	ctx context.Context, h held, table string, rows []int64, kept int64,
) error {
	now := c.records.Unix()
	var journal []any
	for _, row := range rows {
		_, err := sqldb.Exec(ctx, h.tx, "UPDATE "+table+" SET status=1 WHERE id=?", row)
		if err != nil {
			return err
		}
		journal = append(journal, uint32(h.Talk.Kind), h.Talk.A, h.Talk.B,
			table, row, 0, 0, 0, table, kept, 0, 0, 0, now)
	}
	return sqldb.Insert(ctx, h.tx.Session, "IMProxyJournal", journalColumns, journal, "")
}

// mendStraySession takes a group out of the list of a user who is not in it, as leaving it does.
func (c *Examination) mendStraySession(
	ctx context.Context, h held, f Fault,
) (why string, err error) {
	in := make(map[talk.Member]bool)
	who := []talk.Member{{Group: f.Talk.A, User: f.User}}
	err = sqldb.FetchAll(ctx, h.tx.Session, talk.MembersAmong(h.tx, who, in))
	if err != nil || len(in) > 0 {
		return "", err
	}
	rows, err := column[int64](ctx, h.tx, "SELECT id FROM IMRecentSession WHERE userId=?"+
		" AND peerId=? AND type=2 AND COALESCE(status,0)=0", f.User, f.Talk.A)
	if err != nil {
		return "", err
	}
	return "", c.retire(ctx, h, "IMRecentSession", rows, 0)
}
