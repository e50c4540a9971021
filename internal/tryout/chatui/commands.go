package chatui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// command is something that a line beginning with / asks for.
type command struct {
	word, args, about string
	do                func(c *chat, ctx context.Context, rest string) error
}

func commands() []command {
	return []command{
		{"/people", "[WORD]", "everybody, or those with WORD in their names", (*chat).listPeople},
		{"/talks", "", "your recent talks, and what is unread in them", (*chat).talks},
		{"/open", "NAME|#GROUP", "open a talk: show its last messages, mark it read",
			(*chat).openTalk},
		{"/older", "[N]", "the N messages before those shown (10)", (*chat).older},
		{"/read", "[NAME|#GROUP]", "mark a talk as read without opening it", (*chat).markRead},
		{"/help", "", "this list", (*chat).help},
		{"/quit", "", "leave; Ctrl-D does, too", (*chat).quit},
	}
}

func (c *chat) quit(context.Context, string) error { return errQuit }

func (c *chat) help(context.Context, string) error {
	for _, k := range commands() {
		c.Screen.Print("  " + terminal.Pad(k.word+" "+k.args, 22) + k.about)
	}
	c.Screen.Print("  anything else is sent to the open talk; the beginning of a name is enough")
	return nil
}

// listPeople lists those who have word in their names.
func (c *chat) listPeople(ctx context.Context, word string) error {
	if err := c.loadBook(ctx); err != nil {
		return err
	}
	departments, err := ask[*impb.IMDepartmentRsp](ctx, c, &impb.IMDepartmentReq{
		UserId: c.me.UserId, LatestUpdateTime: proto.Uint32(0),
	})
	if err != nil {
		return err
	}
	names := make(map[uint32]string)
	for _, d := range departments.GetDeptList() {
		names[d.GetDeptId()] = d.GetDeptName()
	}
	rows := terminal.Table{{"NAME", "NICK", "DEPARTMENT", "SIGNATURE"}}
	for _, id := range sorted(c.people) {
		p := c.people[id]
		if contains(p.GetUserRealName(), word) || contains(p.GetUserNickName(), word) {
			rows = append(rows, []string{
				p.GetUserRealName(), p.GetUserNickName(), names[p.GetDepartmentId()],
				p.GetSignInfo(),
			})
		}
	}
	if len(rows) == 1 {
		return fmt.Errorf("nobody has %q in their names", word)
	}
	c.table(rows)
	return nil
}

func contains(text, word string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(word))
}

// talks lists the recent talks.
func (c *chat) talks(ctx context.Context, _ string) error {
	if err := c.hear(ctx, false); err != nil {
		return err
	}
	recent, err := ask[*impb.IMRecentContactSessionRsp](ctx, c, &impb.IMRecentContactSessionReq{
		UserId: c.me.UserId, LatestUpdateTime: proto.Uint32(0),
	})
	if err != nil {
		return err
	}
	sessions := recent.GetContactSessionList()
	if len(sessions) == 0 {
		c.Screen.Print("no talks yet; /people lists whom to talk to")
		return nil
	}
	if slices.ContainsFunc(sessions, c.isNewGroup) {
		if err := c.loadBook(ctx); err != nil {
			return err
		}
	}
	// Talks of the same second stay in the order of the answer.
	slices.SortStableFunc(sessions, func(a, b *impb.ContactSessionInfo) int {
		return cmp.Compare(b.GetUpdatedTime(), a.GetUpdatedTime())
	})
	rows := terminal.Table{{"TALK", "UNREAD", "LAST MESSAGE"}}
	for _, s := range sessions {
		t := talk{s.GetSessionType(), s.GetSessionId()}
		last := c.show(s.GetLatestMsgType(), s.GetLatestMsgData(), true)
		if t.kind == group {
			last = c.nameOf(s.GetLatestMsgFromUserId()) + ": " + last
		}
		unread := "-"
		if n := c.unread[t]; n > 0 {
			unread = fmt.Sprint(n)
		}
		rows = append(rows, []string{c.label(t), unread, last})
	}
	c.table(rows)
	return nil
}

// isNewGroup reports whether a session is one of a group that is not in the book.
func (c *chat) isNewGroup(s *impb.ContactSessionInfo) bool {
	return s.GetSessionType() == group && c.groups[s.GetSessionId()] == nil
}

// table prints rows, of which the first has the heads of the columns. A line takes at most 80
// cells: the last column is cut where it is too long for that.
func (c *chat) table(rows terminal.Table) {
	const limit, widest = 80, 24
	for _, row := range rows {
		for i := range row {
			row[i] = terminal.Clean(row[i])
			if i < len(row)-1 {
				row[i] = terminal.Fit(row[i], widest)
			}
		}
	}
	for n, line := range rows.Lines() {
		line = terminal.Fit(line, limit)
		if n == 0 {
			line = c.Style.Dim(line)
		}
		c.Screen.Print(line)
	}
}
