package chatui

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// loadBook fetches everybody, and the groups that one is in. There is a list of the normal ones;
// the temporary ones are those that one has talked in recently.
func (c *chat) loadBook(ctx context.Context) error {
	all, err := ask[*impb.IMAllUserRsp](ctx, c, &impb.IMAllUserReq{
		UserId: c.me.UserId, LatestUpdateTime: proto.Uint32(0),
	})
	if err != nil {
		return err
	}
	c.people = make(map[uint32]*impb.UserInfo, len(all.GetUserList()))
	for _, u := range all.GetUserList() {
		c.people[u.GetUserId()] = u
	}
	normal, err := ask[*impb.IMNormalGroupListRsp](ctx, c, &impb.IMNormalGroupListReq{
		UserId: c.me.UserId,
	})
	if err != nil {
		return err
	}
	recent, err := ask[*impb.IMRecentContactSessionRsp](ctx, c, &impb.IMRecentContactSessionReq{
		UserId: c.me.UserId, LatestUpdateTime: proto.Uint32(0),
	})
	if err != nil {
		return err
	}
	var wanted []*impb.GroupVersionInfo
	want := func(group *uint32) {
		wanted = append(wanted, &impb.GroupVersionInfo{GroupId: group, Version: proto.Uint32(0)})
	}
	for _, g := range normal.GetGroupVersionList() {
		want(g.GroupId)
	}
	for _, s := range recent.GetContactSessionList() {
		if s.GetSessionType() == group {
			want(s.SessionId)
		}
	}
	groups, err := ask[*impb.IMGroupInfoListRsp](ctx, c, &impb.IMGroupInfoListReq{
		UserId: c.me.UserId, GroupVersionList: wanted,
	})
	if err != nil {
		return err
	}
	c.groups = make(map[uint32]*impb.GroupInfo, len(groups.GetGroupInfoList()))
	for _, g := range groups.GetGroupInfoList() {
		c.groups[g.GetGroupId()] = g
	}
	return nil
}

// nameOf is the name that somebody logs in with. Those who have left are not in the book, but may
// have written messages.
func (c *chat) nameOf(user uint32) string {
	if u, ok := c.people[user]; ok {
		return terminal.Clean(u.GetUserRealName())
	}
	return fmt.Sprintf("user-%d", user)
}

// label is the name that a talk is shown with, and can be opened by.
func (c *chat) label(t talk) string {
	if t.kind != group {
		return c.nameOf(t.id)
	}
	if g, ok := c.groups[t.id]; ok {
		return "#" + terminal.Clean(g.GetGroupName())
	}
	return fmt.Sprintf("#%d", t.id)
}

// find returns the talk that is named: by a person, or by # and a group. The beginning of a name is
// enough, and so is an id (#3, user-3). What is not in the book is looked for in a new one.
func (c *chat) find(ctx context.Context, name string) (talk, error) {
	t, err := c.lookUp(name)
	if err == nil {
		return t, nil
	}
	if err := c.loadBook(ctx); err != nil {
		return talk{}, err
	}
	return c.lookUp(name)
}

// lookUp is find in the book that is there.
func (c *chat) lookUp(name string) (talk, error) {
	if named, ok := strings.CutPrefix(name, "#"); ok {
		names := make(map[uint32][]string, len(c.groups))
		for id, g := range c.groups {
			names[id] = []string{g.GetGroupName(), strconv.FormatUint(uint64(id), 10)}
		}
		id, err := match("group", named, names)
		if err != nil {
			err = fmt.Errorf("%w; /talks lists your talks", err)
		}
		return talk{group, id}, err
	}
	names := make(map[uint32][]string, len(c.people))
	for id, p := range c.people {
		names[id] = []string{p.GetUserRealName(), p.GetUserNickName(), fmt.Sprintf("user-%d", id)}
	}
	id, err := match("person", name, names)
	if err == nil && id == c.me.GetUserId() {
		err = fmt.Errorf("%s is you; there are no talks with oneself", c.Name)
	} else if err != nil {
		err = fmt.Errorf("%w; /people lists all", err)
	}
	return talk{pair, id}, err
}

// match returns the id that has a name. A name that stands first in somebody's list counts more
// than one that stands second, and so on. Where nobody has it, the one wins who alone has a name,
// or a word in one, that begins so; the last of each list, an id, does not count there.
func match(what, name string, names map[uint32][]string) (uint32, error) {
	name = strings.ToLower(name)
	for position := range 3 {
		for _, id := range sorted(names) {
			list := names[id]
			if position < len(list) && strings.ToLower(list[position]) == name {
				return id, nil
			}
		}
	}
	var found []uint32
	var first []string // names of those found
	begins := func(n string) bool { return name != "" && begins(strings.ToLower(n), name) }
	for _, id := range sorted(names) {
		list := names[id]
		if slices.ContainsFunc(list[:len(list)-1], begins) {
			found, first = append(found, id), append(first, terminal.Clean(list[0]))
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("there is no %s %q", what, name)
	case 1:
		return found[0], nil
	default:
		return 0, fmt.Errorf("more than one %s begins with %q: %s",
			what, name, strings.Join(first, ", "))
	}
}

// begins reports whether text, or a word in it, begins with start.
func begins(text, start string) bool {
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, start) {
			return true
		}
	}
	return strings.HasPrefix(text, start)
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
