// Package admin has what the commands of an administrator share: how people, departments and groups
// are named on a command line, and the import of people from a CSV file. It works on the store
// directly. Proxies that run meanwhile see its changes at once, as nothing of people and
// departments outlives a request there.
package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Store is where people, departments and groups are found, and where people are imported. The
// records implement it.
type Store interface {
	// Accounts returns the users with one of the ids or exactly one of the names, of any status,
	// ascending by id, with what only administrators may know.
	Accounts(ctx context.Context, ids []uint32, names []string) ([]chat.User, error)
	// AllDepartments returns every department, of any status, ascending by id.
	AllDepartments(ctx context.Context) ([]chat.Department, error)
	// AllGroups returns every group that exists, ascending by id.
	AllGroups(ctx context.Context) ([]chat.GroupSummary, error)
	// AddUsers makes users, all of them or, with an error, none. Kind NotAllowed when a name is
	// taken, kind NotFound when a department does not exist.
	AddUsers(ctx context.Context, users []chat.User) error
	// ChangeUsers calls change for each of the users and stores what it changed, all of it or, with
	// an error, nothing. It may call change again for the same user. It returns how many users are
	// now different. Kinds as of AddUsers; also NotFound when a user does not exist.
	ChangeUsers(ctx context.Context, ids []uint32, change func(*chat.User) error) (changed int,
		err error)
}

// FindUser finds the person that arg names: by id, as a number or as id:NUMBER, or by the exact
// login name. Where several have that name, it finds the one who can log in. The error has the kind
// NotFound when there is nobody, Invalid when several may be meant.
func FindUser(ctx context.Context, s Store, arg string) (chat.User, error) {
	u, err := findUser(ctx, s, arg)
	return u, person.hint(err)
}

// FindUsers finds several people; its error names all who were not found. The ids in known are
// people even if no user has them any more.
func FindUsers(ctx context.Context, s Store, args []string, known ...uint32) ([]chat.User, error) {
	var users []chat.User
	var wrong []string
	var first error
	for _, arg := range args {
		u, err := findUser(ctx, s, arg)
		id, mayBeID := parseID(arg)
		switch {
		case err == nil:
			users = append(users, u)
		case mayBeID && slices.Contains(known, id) && chat.KindOf(err) == chat.NotFound:
			users = append(users, chat.User{ID: id})
		case chat.Refused(err):
			wrong, first = append(wrong, err.Error()), cmp.Or(first, err)
		default:
			return nil, err
		}
	}
	if len(wrong) > 0 {
		return nil, person.hint(chat.Errorf(chat.KindOf(first), "%s", strings.Join(wrong, "; ")))
	}
	return users, nil
}

func findUser(ctx context.Context, s Store, arg string) (chat.User, error) {
	var ids []uint32
	if id, ok := parseID(arg); ok {
		ids = append(ids, id)
	}
	found, err := s.Accounts(ctx, ids, []string{arg})
	if err != nil {
		return chat.User{}, err
	}
	return choose(person, arg, found, func(u chat.User) thing {
		return thing{u.ID, u.Name, u.Status == chat.InService}
	})
}

// FindDepartment finds the department that arg names, as FindUser does. Where several have that
// name, it finds the open one.
func FindDepartment(ctx context.Context, s Store, arg string) (chat.Department, error) {
	all, err := s.AllDepartments(ctx)
	if err != nil {
		return chat.Department{}, err
	}
	d, err := findDepartment(all, arg)
	return d, department.hint(err)
}

func findDepartment(all []chat.Department, arg string) (chat.Department, error) {
	return choose(department, arg, all, func(d chat.Department) thing {
		return thing{d.ID, d.Name, d.Status == 0}
	})
}

// FindGroup finds the group that arg names, as FindUser does.
func FindGroup(ctx context.Context, s Store, arg string) (chat.GroupSummary, error) {
	all, err := s.AllGroups(ctx)
	if err != nil {
		return chat.GroupSummary{}, err
	}
	g, err := choose(group, arg, all, func(g chat.GroupSummary) thing {
		return thing{g.ID, g.Name, true}
	})
	return g, group.hint(err)
}

// thing is what choose needs to know of something that can be named.
type thing struct {
	id    uint32
	name  string
	inUse bool
}

// kind is a kind of thing that can be named.
type kind struct {
	one, many string // what one and several are called
	name      string // what its name is called
}

var (
	person     = kind{"user", "people", "login name"}
	department = kind{"department", "departments", "name"}
	group      = kind{"group", "groups", "name"}
)

// hint adds to an error of the kind NotFound how to list what exists.
func (k kind) hint(err error) error {
	if chat.KindOf(err) != chat.NotFound {
		return err
	}
	return fmt.Errorf("%w; \"dbproxy %s list\" lists them all", err, k.one)
}

// choose finds what arg names among things.
func choose[T any](k kind, arg string, things []T, describe func(T) thing) (found T, err error) {
	var byID, byName, inUse []T
	wanted, mayBeID := parseID(arg)
	for _, t := range things {
		d := describe(t)
		if mayBeID && d.id == wanted {
			byID = []T{t}
		} else if d.name == arg {
			byName = append(byName, t)
			if d.inUse {
				inUse = append(inUse, t)
			}
		}
	}
	if len(inUse) > 0 {
		byName = inUse
	}
	switch {
	case len(byID)+len(byName) == 1:
		return append(byID, byName...)[0], nil
	case len(byID) > 0:
		return found, chat.Errorf(chat.Invalid,
			"%s is the id of %s %q and the %s of %s %d: say id:%d or id:%d",
			arg, k.one, describe(byID[0]).name, k.name, k.one, describe(byName[0]).id, wanted,
			describe(byName[0]).id)
	case len(byName) > 0:
		var which []string
		for _, t := range byName {
			which = append(which, fmt.Sprintf("id:%d", describe(t).id))
		}
		return found, chat.Errorf(chat.Invalid, "%d %s have the %s %q: say %s", len(byName), k.many,
			k.name, arg, strings.Join(which, " or "))
	default:
		return found, chat.Errorf(chat.NotFound, "there is no %s with the id or %s %q", k.one,
			k.name, arg)
	}
}

// parseID returns the id that arg may mean.
func parseID(arg string) (id uint32, ok bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(arg, "id:"), 10, 32)
	return uint32(n), err == nil && n > 0
}
