package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// rules are those by which clients' requests are done, for the commands that do the same.
func rules(store *records.Store) chat.Administration {
	return chat.NewAdministration(store, time.Now)
}

func groupCreateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a group",
		Long: `Make a group. Its creator may add and remove members from a client, and is a
member only when listed. To a temporary group any user may add members. A second
one of that name is refused without --same-name; clients may make as many as
they like.`,
		Example: `  dbproxy group create lunch --creator ann --members ann,bob
  dbproxy group create 值班 --creator 1 --members 1,2 --type temporary`,
		Args: oneArg("the group's name"),
	}
	data := targetFlags(c)
	f := c.Flags()
	creator := f.String("creator", "", "the `user` who makes it, by id or login name; required")
	members := f.StringSlice("members", nil,
		"its `users`, by id or login name, with commas; required")
	avatar := f.String("avatar", "", "the `URL` of a picture")
	kind := f.String("type", "normal", "the `kind`: normal or temporary")
	completes(c, "type", "normal", "temporary")
	sameName := sameNameFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		g := chat.NewGroup{Name: args[0], Avatar: *avatar, Type: chat.NormalGroup}
		switch {
		case *kind == "temporary":
			g.Type = chat.TemporaryGroup
		case *kind != "normal":
			return fmt.Errorf("--type %s: choose normal or temporary", *kind)
		case *creator == "" || len(*members) == 0:
			return fmt.Errorf("a group needs both --creator and --members; for example:\n%s",
				c.Example)
		}
		return data.changes("group not created",
			func(store *records.Store, _ []string) (string, error) {
				said, err := createGroup(c.Context(), store, g, *creator, *members, *sameName)
				return said, sameNameHint(err)
			})(c, args)
	}
	return c
}

func createGroup(
	ctx context.Context, store *records.Store, g chat.NewGroup, creator string, members []string,
	sameName bool,
) (string, error) {
	if err := chat.CheckGroupName(g.Name); err != nil {
		return "", err
	}
	by, err := admin.FindUser(ctx, store, creator)
	if err != nil {
		return "", err
	}
	users, err := findJoiners(ctx, store, trimmed(members))
	if err != nil {
		return "", err
	}
	if !sameName {
		if err := groupNameFree(ctx, store, g.Name); err != nil {
			return "", err
		}
	}
	g.Creator, g.Members = by.ID, idsOf(users)
	n, in, err := rules(store).CreateGroup(ctx, g)
	if err != nil {
		return "", err
	}
	said := fmt.Sprintf("group %d created: %s, with %s", n, printable(g.Name),
		admin.Count(len(in), "member"))
	if !slices.Contains(in, by.ID) {
		said += fmt.Sprintf("; its creator %s is none of them", printable(by.Name))
	}
	return said, nil
}

// groupNameFree returns an error of the kind NotAllowed if there is a group of that name.
func groupNameFree(ctx context.Context, store *records.Store, name string) error {
	ids, err := store.GroupsNamed(ctx, name)
	if err == nil && len(ids) > 0 {
		err = chat.Errorf(chat.NotAllowed, "there is a group named %q already, with the id %d",
			name, ids[0])
	}
	return err
}

// findJoiners finds people who are to be in a group.
func findJoiners(ctx context.Context, store *records.Store, args []string) ([]chat.User, error) {
	users, err := admin.FindUsers(ctx, store, args)
	for _, u := range users {
		if u.Status == chat.Left {
			return nil, fmt.Errorf("user %d (%s) has left; \"dbproxy user enable %d\" brings "+
				"them back", u.ID, printable(u.Name), u.ID)
		}
	}
	return users, err
}

func idsOf(users []chat.User) (ids []uint32) {
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids
}

func groupAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add GROUP USER...",
		Short: "Add members to a group",
		Long: `Add people, named by id or login name, to a group, named by id or name. They see
what is said in it from now on.`,
		Example: "  dbproxy group add engineering carol\n  dbproxy group add 2 carol 4",
	}
	c.Args = groupAndUsers
	c.RunE = targetFlags(c).changes("nobody added",
		func(store *records.Store, args []string) (string, error) {
			return addMembers(c.Context(), store, args[0], args[1:])
		})
	return c
}

func groupAndUsers(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return nil
	}
	return fmt.Errorf("%q wants a group and at least one user, each by id or name; for "+
		"example:\n%s", c.CommandPath(), c.Example)
}

func addMembers(
	ctx context.Context, store *records.Store, arg string, who []string,
) (string, error) {
	g, err := admin.FindGroup(ctx, store, arg)
	if err != nil {
		return "", err
	}
	users, err := findJoiners(ctx, store, who)
	if err != nil {
		return "", err
	}
	added, members, err := rules(store).ChangeMembers(ctx,
		chat.MemberChange{Group: g.ID, Users: idsOf(users)})
	if chat.KindOf(err) == chat.NotAllowed {
		return "", fmt.Errorf("%s in group %d (%s) already", all(users, "is", "are all"), g.ID,
			printable(g.Name))
	}
	if err != nil {
		return "", err
	}
	joined, before := partition(users, added)
	said := fmt.Sprintf("group %d (%s): %s added, %s now", g.ID, printable(g.Name),
		all(joined, "", ""), admin.Count(len(members), "member"))
	if len(before) > 0 {
		said += "; " + all(before, "was", "were") + " in it already"
	}
	return said, nil
}

// all lists people, with the verb for one or for several behind them.
func all(users []chat.User, one, several string) string {
	var names []string
	for _, u := range users {
		name := u.Name
		if name == "" {
			name = id(u.ID)
		}
		if name = printable(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	verb := several
	if len(names) == 1 {
		verb = one
	}
	return strings.TrimSpace(strings.Join(names, ", ") + " " + verb)
}

func groupRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove GROUP USER...",
		Short: "Remove members from a group",
		Long: `Remove people, named by id or login name, from a group, named by id or name. It
leaves their lists of recent talks, and they can read nothing of it any more,
until they are added again. A group without members does not exist any more and
cannot be brought back, so removing all members needs --dissolve.`,
		Example: "  dbproxy group remove engineering carol\n  dbproxy group remove 2 carol 4",
	}
	c.Args = groupAndUsers
	data := targetFlags(c)
	dissolve := c.Flags().Bool("dissolve", false, "end the group if nobody is left")
	c.RunE = data.changes("nobody removed",
		func(store *records.Store, args []string) (string, error) {
			return removeMembers(c.Context(), store, args[0], args[1:], *dissolve)
		})
	return c
}

func removeMembers(
	ctx context.Context, store *records.Store, arg string, who []string, dissolve bool,
) (string, error) {
	g, err := admin.FindGroup(ctx, store, arg)
	if err != nil {
		return "", err
	}
	before, err := store.Members(ctx, g.ID)
	if err != nil {
		return "", err
	}
	users, err := admin.FindUsers(ctx, store, who, before...)
	if err != nil {
		return "", err
	}
	out, others := partition(users, before)
	switch {
	case len(out) == 0:
		return "", fmt.Errorf("%s not in group %d (%s)", all(users, "is", "are"), g.ID,
			printable(g.Name))
	case len(chat.SortedSet(idsOf(out))) == len(before) && !dissolve:
		return "", fmt.Errorf("nobody would be left in group %d (%s), which would end it for "+
			"good; if you want that, add --dissolve", g.ID, printable(g.Name))
	}
	_, members, err := rules(store).ChangeMembers(ctx,
		chat.MemberChange{Group: g.ID, Remove: true, Users: idsOf(out)})
	if err != nil {
		return "", err
	}
	left := admin.Count(len(members), "member") + " now"
	if len(members) == 0 {
		left = "nobody is left, the group does not exist any more"
	}
	said := fmt.Sprintf("group %d (%s): %s removed, %s", g.ID, printable(g.Name), all(out, "", ""),
		left)
	if len(others) > 0 {
		said += "; " + all(others, "was", "were") + " not in it"
	}
	return said, nil
}

// partition parts users by whether their ids are among ids.
func partition(users []chat.User, ids []uint32) (among, others []chat.User) {
	for _, u := range users {
		if slices.Contains(ids, u.ID) {
			among = append(among, u)
		} else {
			others = append(others, u)
		}
	}
	return among, others
}

// trimmed is names without the spaces around them.
func trimmed(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.TrimSpace(n)
	}
	return out
}
