package chat

import (
	"context"
	"slices"
)

// User is a person, as in the table IMUser.
type User struct {
	ID         uint32
	Name       string // what they log in with
	Nick       string
	Sex        uint32
	Domain     string
	Phone      string
	Email      string
	Avatar     string
	Department uint32
	Status     uint32 // 0 in service, 1 trial, 2 regular, 3 left, 4 intern
	Signature  string
	Updated    uint32 // Unix seconds

	// Password is the md5 of the password on the wire and Salt, in lower-case hex. Only
	// UsersByName, and what is there for administrators, fill in these three.
	Password string
	Salt     string
	Created  uint32 // Unix seconds; only for administrators
}

// The values of User.Status that rules go by.
const (
	InService uint32 = 0 // the only one with which one can log in
	Left      uint32 = 3
)

// Department is a row of the table IMDepart.
type Department struct {
	ID       uint32
	Name     string
	Parent   uint32
	Priority uint32
	Status   uint32 // 0 open, 1 closed; others are not shown to anybody
	Updated  uint32 // Unix seconds
}

// Directory reads people and departments. The suite's back office writes them too, at any time, so
// nothing that was read is kept beyond a request. A list that exceeds the limit of its context is
// refused with a *TooLongError.
type Directory interface {
	// UsersByName returns the users of status 0 with exactly these names, which are unique, by
	// name; if several have a name, the one with the greatest id. Of other names there may be
	// users, too.
	UsersByName(ctx context.Context, names []string) (map[string]User, error)
	// UsersByID returns the users with these ids, of any status; unknown ids are left out. The ids
	// are sorted and unique.
	UsersByID(ctx context.Context, ids []uint32) (map[uint32]User, error)
	// UsersChanged returns the users changed at or after since, ascending by id; since 0 means all
	// who have not left.
	UsersChanged(ctx context.Context, since uint32) ([]User, error)
	// DepartmentsChanged returns the departments changed after since, of any status, ascending by
	// id.
	DepartmentsChanged(ctx context.Context, since uint32) ([]Department, error)
	// PushShields returns the nightly shield of these users; unknown users are missing.
	PushShields(ctx context.Context, users []uint32) (map[uint32]uint32, error)
}

// Profiles changes what users may change of themselves. Every method sets the user's updated to now
// (Unix seconds). The error is of kind NotFound if there is no such user.
type Profiles interface {
	SetSignature(ctx context.Context, user uint32, text string, now uint32) error
	SetAvatar(ctx context.Context, user uint32, url string, now uint32) error
	SetPushShield(ctx context.Context, user uint32, shield uint8, now uint32) error
}

// UsersAsked is a request for users by their ids.
type UsersAsked struct {
	IDs   []uint32
	Limit int // how many bytes they may take in the answer, 0: any
}

// fewUsers is how many users a request asks for at most that is served together with others.
const fewUsers = 16

// Users returns the users that each request asks for, each once, ascending by id. A *TooLongError
// if they exceed its limit.
func (s *Service) Users(ctx context.Context, asked []UsersAsked) []Result[[]User] {
	var few []uint32
	for i := range asked {
		asked[i].IDs = SortedSet(asked[i].IDs)
		if len(asked[i].IDs) <= fewUsers {
			few = append(few, asked[i].IDs...)
		}
	}
	found, err := s.store.Directory.UsersByID(ctx, SortedSet(few))
	results := make([]Result[[]User], len(asked))
	for i, a := range asked {
		found, err := found, err
		ctx := WithLimit(ctx, a.Limit)
		if len(a.IDs) > fewUsers {
			found, err = s.store.Directory.UsersByID(ctx, a.IDs)
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		results[i].Value, results[i].Err = usersIn(ctx, a.IDs, found)
	}
	return results
}

// usersIn are those of the users with these ids that were found.
func usersIn(ctx context.Context, ids []uint32, found map[uint32]User) (users []User, err error) {
	size := NewMeasure(ctx, "users")
	for _, id := range ids {
		if u, ok := found[id]; ok && size.Add(u.Size()) {
			users = append(users, u)
		}
	}
	return users, size.Err()
}

// UsersSince returns the users changed at or after since (0: all who have not left), and the time
// of the latest change among them, or since itself if there is none. A *TooLongError if they exceed
// the limit of ctx.
func (s *Service) UsersSince(ctx context.Context, since uint32) ([]User, uint32, error) {
	users, err := s.store.Directory.UsersChanged(ctx, since)
	if err != nil {
		return nil, 0, err
	}
	latest := uint32(0)
	for i := range users {
		latest = max(latest, users[i].Updated)
	}
	if len(users) == 0 {
		latest = since
	}
	return users, latest, nil
}

// DepartmentsSince returns the open and closed departments changed after since, and the time of the
// latest change of any department, or since itself if there is none.
func (s *Service) DepartmentsSince(
	ctx context.Context, since uint32,
) ([]Department, uint32, error) {
	departments, err := s.store.Directory.DepartmentsChanged(ctx, since)
	latest := since
	for _, d := range departments {
		latest = max(latest, d.Updated)
	}
	departments = slices.DeleteFunc(departments, func(d Department) bool { return d.Status > 1 })
	return departments, latest, err
}

// SetSignature changes a user's personal signature.
func (s *Service) SetSignature(ctx context.Context, user uint32, text string) error {
	if err := checkBytes("signature", text, MaxSignature); err != nil {
		return err
	}
	return s.store.Profiles.SetSignature(ctx, user, text, s.unix())
}

// SetAvatar changes a user's avatar.
func (s *Service) SetAvatar(ctx context.Context, user uint32, url string) error {
	if err := checkText("avatar", url, MaxAvatar); err != nil {
		return err
	}
	return s.store.Profiles.SetAvatar(ctx, user, url, s.unix())
}

// SetPushShield sets a user's nightly do-not-disturb, 0 to 255.
func (s *Service) SetPushShield(ctx context.Context, user, shield uint32) error {
	if shield > 255 {
		return Errorf(Invalid, "push shield %d is above 255", shield)
	}
	return s.store.Profiles.SetPushShield(ctx, user, uint8(shield), s.unix())
}

// PushShield returns a user's nightly do-not-disturb.
func (s *Service) PushShield(ctx context.Context, user uint32) (uint32, error) {
	shields, err := s.store.Directory.PushShields(ctx, []uint32{user})
	if err != nil {
		return 0, err
	}
	shield, ok := shields[user]
	if !ok {
		return 0, Errorf(NotFound, "no user %d", user)
	}
	return shield, nil
}

// SortedSet returns ids ascending, each once, and leaves the argument as it was.
func SortedSet(ids []uint32) []uint32 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
