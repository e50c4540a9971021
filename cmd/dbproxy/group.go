package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func groupCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "group",
		Short: "Make, list, show and change groups",
		Long: `Make, list, show and change the groups in which people talk. This works on
a data directory or, with --config, on MySQL and Redis, beside running servers,
which see the change at once, by the rules by which clients do it.

Groups are named by id (3, or id:3) or by their exact name, people by id or by
login name.`,
		Example: "  dbproxy group list\n  dbproxy group show 1",
	})
	c.AddCommand(groupListCommand(), groupShowCommand(), groupCreateCommand(), groupAddCommand(),
		groupRemoveCommand())
	return c
}

// groupJSON is a group as programs get it. The names of the fields stay as they are.
type groupJSON struct {
	ID       uint32  `json:"id"`
	Name     string  `json:"name"`
	Avatar   string  `json:"avatar"`
	Type     string  `json:"type"`
	Creator  uint32  `json:"creator"`
	Version  uint32  `json:"version"`
	Size     uint32  `json:"size"`
	Messages *uint32 `json:"messages"`
	Created  uint32  `json:"created"`
	LastTalk uint32  `json:"last_talk"`
}

// groupFields describes groupJSON in help texts.
const groupFields = `id, name, avatar, type (normal, temporary), creator (an id, 0: the server),
version (grows with every change of members), size (how many members), messages
(how many so far; null while that is not counted), created and last_talk (Unix
seconds)`

// uncounted explains that in help texts.
const uncounted = `How many messages there are is not counted (-) of a group of original servers'
until somebody writes to it, or changes its members, through dbproxy.`

func groupsJSON(groups []chat.GroupSummary) []groupJSON {
	list := make([]groupJSON, len(groups))
	for i, g := range groups {
		list[i] = groupJSON{g.ID, g.Name, g.Avatar, groupType(g.Type), g.Creator, g.Version, g.Size,
			nil, g.Created, g.LastTalk}
		if g.Counted {
			list[i].Messages = &g.Messages
		}
	}
	return list
}

// messagesOf is how many messages a group has, for people.
func messagesOf(g chat.GroupSummary) string {
	if !g.Counted {
		return "-"
	}
	return id(g.Messages)
}

// groupType is the word for a type of group.
func groupType(t chat.GroupType) string {
	return admin.WordFor(uint32(t), "0", "normal", "temporary")
}

func groupListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List all groups",
		Long: `List all groups. A group without members does not exist. Long cells are cut to
the width of the terminal; --json has everything.

` + uncounted + `

The JSON is an array of objects with the fields
` + groupFields + `.`,
		Example: "  dbproxy group list\n  dbproxy group list --member ann\n  dbproxy group list " +
			"--json",
		Args: cobra.NoArgs,
	}
	data, asJSON := targetFlags(c), jsonFlag(c)
	member := c.Flags().String("member", "", "only groups with this `user`, by id or login name")
	c.RunE = data.onRecords(func(store *records.Store, _ []string) error {
		groups, err := findGroups(c.Context(), store, *member)
		if err != nil {
			return err
		}
		if *asJSON {
			return showJSON(c.OutOrStdout(), groupsJSON(groups))
		}
		return listGroups(c, store, groups, *member)
	})
	return c
}

// findGroups returns all groups, or those of a member.
func findGroups(
	ctx context.Context, store *records.Store, member string,
) ([]chat.GroupSummary, error) {
	if member == "" {
		return store.AllGroups(ctx)
	}
	u, err := admin.FindUser(ctx, store, member)
	if err != nil {
		return nil, err
	}
	return store.GroupsOf(ctx, u.ID)
}

func listGroups(
	c *cobra.Command, store *records.Store, groups []chat.GroupSummary, member string,
) error {
	out := c.OutOrStdout()
	if len(groups) == 0 {
		text := `There are no groups yet; "dbproxy group create --help" shows how to make one.`
		if member != "" {
			text = printable(member) + " is in no group."
		}
		_, err := fmt.Fprintln(out, text)
		return err
	}
	var creators []uint32
	for _, g := range groups {
		creators = append(creators, g.Creator)
	}
	people, err := userNames(c.Context(), store, creators)
	if err != nil {
		return err
	}
	t := terminal.Table{{"ID", "NAME", "TYPE", "CREATOR", "MEMBERS", "MESSAGES", "LAST TALK"}}
	for _, g := range groups {
		t = append(t, []string{id(g.ID), g.Name, groupType(g.Type), people.name(g.Creator),
			id(g.Size), messagesOf(g), clock(g.LastTalk)})
	}
	return t.WriteWithin(out, terminal.Columns(out), 1, 3)
}

// userNames are the login names of users, by id.
func userNames(ctx context.Context, store *records.Store, ids []uint32) (names, error) {
	users, err := store.Accounts(ctx, ids, nil)
	found := make(names, len(users))
	for _, u := range users {
		found[u.ID] = u.Name
	}
	return found, err
}

// memberJSON is a member of a group as programs get it.
type memberJSON struct {
	ID     uint32 `json:"id"`
	Name   string `json:"name"`
	Nick   string `json:"nick"`
	Status string `json:"status"`
	Joined uint32 `json:"joined"`
}

func groupShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show GROUP",
		Short: "Show a group and its members",
		Long: `Show a group, named by id or name, and its members.

` + uncounted + `

The JSON is an object with the fields
` + groupFields + `,
and members, an array of objects with the fields id, name, nick, status (as of
"dbproxy user list") and joined (Unix seconds).`,
		Example: "  dbproxy group show 1\n  dbproxy group show engineering --json",
		Args:    oneArg("the id or name of a group"),
	}
	data, asJSON := targetFlags(c), jsonFlag(c)
	c.RunE = data.onRecords(func(store *records.Store, args []string) error {
		g, err := admin.FindGroup(c.Context(), store, args[0])
		if err != nil {
			return err
		}
		members, err := membersJSON(c.Context(), store, g.ID)
		if err != nil {
			return err
		}
		if *asJSON {
			return showJSON(c.OutOrStdout(), struct {
				groupJSON
				Members []memberJSON `json:"members"`
			}{groupsJSON([]chat.GroupSummary{g})[0], members})
		}
		return showGroup(c, store, g, members)
	})
	return c
}

func membersJSON(ctx context.Context, store *records.Store, group uint32) ([]memberJSON, error) {
	members, err := store.Memberships(ctx, group)
	if err != nil {
		return nil, err
	}
	ids := make([]uint32, len(members))
	for i, m := range members {
		ids[i] = m.User
	}
	users, err := store.Accounts(ctx, ids, nil)
	byID := make(map[uint32]chat.User, len(users))
	for _, u := range users {
		byID[u.ID] = u
	}
	list := make([]memberJSON, len(members))
	for i, m := range members {
		status := "unknown"
		if u, known := byID[m.User]; known {
			status = userStatus(u.Status)
		}
		list[i] = memberJSON{m.User, byID[m.User].Name, byID[m.User].Nick, status, m.Joined}
	}
	return list, err
}

func showGroup(
	c *cobra.Command, store *records.Store, g chat.GroupSummary, members []memberJSON,
) error {
	out := c.OutOrStdout()
	people, err := userNames(c.Context(), store, []uint32{g.Creator})
	if err != nil {
		return err
	}
	creator := "the server"
	if g.Creator != 0 {
		creator = people.name(g.Creator) + " (" + id(g.Creator) + ")"
	}
	head := terminal.Table{
		{"ID", id(g.ID)},
		{"NAME", g.Name},
		{"TYPE", groupType(g.Type)},
		{"CREATOR", creator},
		{"VERSION", id(g.Version)},
		{"MESSAGES", messagesOf(g)},
		{"CREATED", clock(g.Created)},
		{"LAST TALK", clock(g.LastTalk)},
		{"MEMBERS", id(g.Size)},
	}
	if err := head.Write(out); err != nil {
		return err
	}
	t := terminal.Table{{"ID", "NAME", "NICK", "STATUS", "JOINED"}}
	for _, m := range members {
		t = append(t, []string{id(m.ID), m.Name, m.Nick, m.Status, clock(m.Joined)})
	}
	fmt.Fprintln(out)
	return t.WriteWithin(out, terminal.Columns(out), 1, 2)
}
