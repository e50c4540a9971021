package talk

import (
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Groups is how groups stand, by their ids: what is counted of them, their members and mutes. Rev
// is 0 where nothing is counted yet.
type Groups map[uint32]*chat.Change

// NoGroups are groups of which nothing is known yet.
func NoGroups(ids []uint32) Groups {
	groups := make(Groups, len(ids))
	for _, id := range ids {
		groups[id] = &chat.Change{Talk: chat.GroupTalk(id)}
	}
	return groups
}

// Part is a query for a part of how groups stand, with the name of the table that it reads.
type Part struct {
	Table string
	sqldb.Fetch
}

// Parts are the queries for some of the groups, to be run in this order: what is read after Rev may
// be newer than it, but is not older. Of several rows of a member the first to join counts, as for
// what a member may read.
func (g Groups) Parts(ids []uint32) []Part {
	in := "IN (" + sqldb.Params(len(ids)) + ")"
	args := sqldb.Args(ids)
	return []Part{{"IMProxyTalk", sqldb.Fetch{
		Text: "SELECT a,lastId,sentA,rev FROM IMProxyTalk WHERE kind=2 AND b=0 AND a " + in,
		Args: args,
		Row: func(scan sqldb.Scanner) error {
			var group uint32
			var c chat.Change
			err := scan(&group, &c.LastID, &c.Count, &c.Rev)
			g[group].LastID, g[group].Count, g[group].Rev = c.LastID, c.Count, c.Rev
			return err
		},
	}}, {"IMGroupMember", sqldb.Fetch{
		Text: "SELECT groupId,userId,MIN(NULLIF(updated,0)) FROM IMGroupMember" +
			" WHERE status=0 AND groupId " +
			in + " GROUP BY groupId,userId ORDER BY groupId,userId",
		Args: args,
		Row: func(scan sqldb.Scanner) error {
			var group uint32
			var m chat.Member
			err := scan(&group, &m.User, &m.Joined)
			g[group].Members = append(g[group].Members, m)
			return err
		},
	}}, {"IMProxyMute", sqldb.Fetch{
		Text: "SELECT groupId,userId,value FROM IMProxyMute WHERE groupId " + in +
			" ORDER BY groupId,userId",
		Args: args,
		Row: func(scan sqldb.Scanner) error {
			var group uint32
			var m chat.Mute
			err := scan(&group, &m.User, &m.Value)
			g[group].Mutes = append(g[group].Mutes, m)
			return err
		},
	}}}
}
