package chat

import (
	"cmp"
	"context"
	"slices"
)

// GroupType is the protocol's GroupType, stored as it is in IMGroup.type.
type GroupType uint8

// The types of group.
const (
	NormalGroup    GroupType = 1 // only its creator changes its members
	TemporaryGroup GroupType = 2 // anyone adds to it
)

// GroupInfo is a group. It exists while it has members.
type GroupInfo struct {
	ID      uint32
	Name    string
	Avatar  string
	Creator uint32
	Type    GroupType
	Version uint32   // grows by one with every change of members, from 1
	Members []uint32 // in order of the ids as text
}

// GroupVersion is a group and the version that somebody knows, or that it has.
type GroupVersion struct {
	ID, Version uint32
}

// GroupNews is when the last message of a group was stored, in Unix seconds by the clock of the
// process that stored it, and the group's version.
type GroupNews struct {
	Group, At, Version uint32
}

// NewGroup is a group to be created.
type NewGroup struct {
	Creator uint32
	Type    GroupType
	Name    string
	Avatar  string
	Members []uint32 // sorted, unique, at least one
}

// ErrNoGroup refuses requests about a group that does not exist; they get no answer.
var ErrNoGroup = Errorf(NotFound, "no such group")

// KnownGroups is a request for the groups that have changed since the versions that somebody knows.
type KnownGroups struct {
	Versions []GroupVersion // in the store sorted by their ids, each once
	Limit    int            // how many bytes the groups may take in the answer, 0: any
}

// Groups keeps groups and their members. Times are Unix seconds. NewerThan and NormalOf return a
// *TooLongError if the list exceeds its limit, which NormalOf has of its context.
type Groups interface {
	// Create makes a group and returns its id.
	Create(ctx context.Context, g NewGroup, now uint32) (id uint32, err error)
	// NewerThan returns for each request those of its groups that exist and whose version is above
	// the given one, the latest updated first. Lists of members may be shared by groups of several
	// requests, and must not be changed.
	NewerThan(ctx context.Context, known []KnownGroups) []Result[[]GroupInfo]
	// Find returns a group without its members; ErrNoGroup when it does not exist.
	Find(ctx context.Context, id uint32) (GroupInfo, error)
	// NormalOf returns the normal groups that user is in, the latest updated first.
	NormalOf(ctx context.Context, user uint32) ([]GroupVersion, error)
	// AddMembers adds users (sorted, unique). It returns who was added, ascending, and all members
	// after that. If nobody is new, nothing changes and added is empty. ErrNoGroup if the group
	// does not exist.
	AddMembers(ctx context.Context, group uint32, users []uint32, now uint32) (
		added, members []uint32, err error)
	// RemoveMembers removes users (sorted, unique), members or not, and takes the group off their
	// lists of recent talks. It returns all members after that. ErrNoGroup if the group does not
	// exist.
	RemoveMembers(ctx context.Context, group uint32, users []uint32, now uint32) (
		members []uint32, err error)
}

// Mutes keeps which members want no pushes for a group.
type Mutes interface {
	// SetMute stores a member's mute value. ErrNoGroup if the group does not exist, kind NotAllowed
	// if the user is no member.
	SetMute(ctx context.Context, group, user, value uint32) error
	// Mutes returns the mute values of users; users who have set none are missing. ErrNoGroup if
	// the group does not exist.
	Mutes(ctx context.Context, group uint32, users []uint32) (map[uint32]uint32, error)
}

// CreateGroup makes a group. The creator is a member only if listed. It returns the group's id and
// its members, ascending; these also with an error of kind Invalid.
func (a Administration) CreateGroup(
	ctx context.Context, g NewGroup,
) (id uint32, members []uint32, err error) {
	g.Members = SortedSet(g.Members)
	switch {
	case g.Name == "":
		err = Errorf(Invalid, "a group needs a name")
	case len(g.Members) == 0:
		err = Errorf(Invalid, "a group needs members")
	case len(g.Members) > maxMembers:
		err = Errorf(Invalid, "a group of %d members: at most %d can be given at once",
			len(g.Members), maxMembers)
	default:
		err = checkText("group name", g.Name, MaxGroupName)
	}
	if err == nil {
		err = checkText("group avatar", g.Avatar, MaxGroupAvatar)
	}
	if err == nil {
		id, err = a.groups.Create(ctx, g, a.unix())
	}
	return id, g.Members, err
}

// NormalGroups returns the normal groups that user is in.
func (s *Service) NormalGroups(ctx context.Context, user uint32) ([]GroupVersion, error) {
	return s.store.Groups.NormalOf(ctx, user)
}

// fewGroups is how many groups a request asks for at most that is served together with others.
const fewGroups = 16

// GroupsNewerThan returns for each request those of the known groups that have changed since the
// versions that the caller knows. If a group is named twice, the last version counts. A
// *TooLongError if they exceed its limit. Lists of members must not be changed.
func (s *Service) GroupsNewerThan(
	ctx context.Context, known []KnownGroups,
) []Result[[]GroupInfo] {
	results := make([]Result[[]GroupInfo], len(known))
	var few []KnownGroups
	var at []int // where their results belong
	for i, k := range known {
		k.Versions = lastOfEach(k.Versions)
		switch n := len(k.Versions); {
		case n > fewGroups:
			results[i] = s.store.Groups.NewerThan(ctx, []KnownGroups{k})[0]
		case n > 0:
			few, at = append(few, k), append(at, i)
		}
	}
	if len(few) > 0 {
		for i, r := range s.store.Groups.NewerThan(ctx, few) {
			results[at[i]] = r
		}
	}
	return results
}

// lastOfEach returns the last version of each group, sorted by their ids, and leaves the argument
// as it was.
func lastOfEach(groups []GroupVersion) []GroupVersion {
	groups = slices.Clone(groups)
	slices.Reverse(groups)
	slices.SortStableFunc(groups, func(a, b GroupVersion) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(groups, func(a, b GroupVersion) bool { return a.ID == b.ID })
}

// MemberChange asks to add users to a group or to remove them.
type MemberChange struct {
	By     uint32 // the user who asks; 0: an administrator, who may change all groups
	Group  uint32
	Remove bool
	Users  []uint32
}

// ChangeMembers adds or removes members. It returns who was added or removed, ascending, and all
// members after that, in order of their ids as text. Kind NotAllowed if the asker may not, or if
// there is nobody to add; ErrNoGroup if the group does not exist.
func (a Administration) ChangeMembers(
	ctx context.Context, c MemberChange,
) (changed, members []uint32, err error) {
	if err := a.mayChange(ctx, c); err != nil {
		return nil, nil, err
	}
	users := SortedSet(c.Users)
	if len(users) > maxMembers {
		return nil, nil, Errorf(Invalid, "%d members: at most %d can be changed at once",
			len(users), maxMembers)
	}
	if c.Remove {
		members, err = a.groups.RemoveMembers(ctx, c.Group, users, a.unix())
		changed = users
		if len(users) == 0 {
			members = nil // nothing was asked for: neither list is answered
		}
	} else {
		changed, members, err = a.groups.AddMembers(ctx, c.Group, users, a.unix())
		if err == nil && len(changed) == 0 {
			err = Errorf(NotAllowed, "nobody to add to group %d: all are members", c.Group)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(members, CompareAsText)
	return changed, members, nil
}

// mayChange refuses a change of a group's members by somebody who may not make it.
func (a Administration) mayChange(ctx context.Context, c MemberChange) error {
	g, err := a.groups.Find(ctx, c.Group)
	if err != nil {
		return err
	}
	if c.By == 0 || c.By == g.Creator || g.Type == TemporaryGroup && !c.Remove {
		return nil
	}
	return Errorf(NotAllowed, "user %d may not change the members of group %d", c.By, c.Group)
}

// MuteGroup sets whether a member wants no pushes for a group; the value is stored as given.
func (s *Service) MuteGroup(ctx context.Context, user, group, value uint32) error {
	return s.store.Mutes.SetMute(ctx, group, user, value)
}

// Mutes returns the mute value of every given user, in the given order, 0 if the user has set none.
// Kind Invalid for more than 200,000 users.
func (s *Service) Mutes(ctx context.Context, group uint32, users []uint32) ([]uint32, error) {
	if len(users) > maxAsked {
		return nil, Errorf(Invalid, "%d users: at most %d can be asked about at once", len(users),
			maxAsked)
	}
	set, err := s.store.Mutes.Mutes(ctx, group, SortedSet(users))
	if err != nil {
		return nil, err
	}
	values := make([]uint32, len(users))
	for i, u := range users {
		values[i] = set[u]
	}
	return values, nil
}
