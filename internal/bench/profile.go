package bench

import (
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/spelling"
)

// Profile is a kind of load: requests of one kind, or of several in fixed shares.
type Profile struct {
	Name  string `json:"name"`
	About string `json:"about"` // a line for people
	// Default says that it is run when no profile is named: it wants no people to exist, and no
	// store that takes long to fill.
	Default bool `json:"default"`
	// Yardstick is what its rate is told in shares of: R, S or P, see Yardsticks.
	Yardstick string `json:"yardstick"`

	inFlight int // overrides Options.InFlight; 0: does not
	needs    needs
	mix      []part
}

// Logins says that it logs users in, and so wants their password.
func (p Profile) Logins() bool { return p.needs.logins }

// needs is what a store must have before a profile begins.
type needs struct {
	ring, circle, spread, groups bool // what is laid out so: see Users
	people                       bool // users who exist, and are not mere ids
	logins                       bool // users who can log in
	growth                       bool // the users of dimensions
}

// and is what is needed by either of two profiles.
func (n needs) and(m needs) needs {
	return needs{n.ring || m.ring, n.circle || m.circle, n.spread || m.spread,
		n.groups || m.groups, n.people || m.people, n.logins || m.logins, n.growth || m.growth}
}

// users is how many users there must be.
func (n needs) users() (least int) {
	for _, of := range []struct {
		wanted bool
		users  int
	}{{true, 1}, {n.ring, ringSize}, {n.circle, circleEnd}, {n.groups, groupEnd},
		{n.spread, spreadUsers}, {n.growth, growthUsers}} {
		if of.wanted {
			least = max(least, of.users)
		}
	}
	return least
}

// part is a share of a load, in percent, that is requests of one kind.
type part struct {
	share int
	make  func(*Bench) kind
}

// Profiles are all there are, in the order in which they are run: those that write come last.
func Profiles() []Profile {
	return []Profile{
		{Name: "page", About: "the newest 20 of a talk, of 50 talks with 25 texts each",
			Default: true, Yardstick: "P", needs: needs{ring: true}, mix: one(ringPages)},
		{Name: "page-many", About: "the newest 20 of a talk, of 5,050 talks with 5 texts each",
			Yardstick: "P", needs: needs{circle: true}, mix: one(circlePages)},
		{Name: "recent", About: "the recent sessions of a user who has 2",
			Default: true, Yardstick: "S", needs: needs{ring: true}, mix: one(ringSessions)},
		{Name: "recent-100", About: "the recent sessions of a user who has 100",
			Yardstick: "S", needs: needs{circle: true}, mix: one(circleSessions)},
		{Name: "unread", About: "what a user has not read, of 2 others",
			Default: true, Yardstick: "S", needs: needs{ring: true}, mix: one(ringUnread)},
		{Name: "unread-100", About: "what a user has not read, of 100 others",
			Yardstick: "S", needs: needs{circle: true}, mix: one(circleUnread)},
		{Name: "login", About: "logins with the right password",
			Yardstick: "S", needs: needs{people: true, logins: true}, mix: one(logins)},
		{Name: "tokens", About: "the push tokens of 2 users, each of whom is in 10 groups",
			Default: true, Yardstick: "S", needs: needs{groups: true}, mix: one(tokens)},
		{Name: "group-info", About: "a group of 10 members",
			Default: true, Yardstick: "S", needs: needs{groups: true}, mix: one(groupInfos)},
		{Name: "users", About: "a user by id",
			Yardstick: "S", needs: needs{people: true}, mix: one(users)},
		{Name: "text", About: "store texts, in 50 talks",
			Default: true, Yardstick: "R", needs: needs{ring: true}, mix: one(ringTexts)},
		{Name: "text-32", About: "the same with 32 in flight on each connection", inFlight: 32,
			Yardstick: "R", needs: needs{ring: true}, mix: one(ringTexts)},
		{Name: "text-500", About: "store texts, in 500 talks of 1,000 users",
			Yardstick: "R", needs: needs{spread: true}, mix: one(spreadTexts)},
		{Name: "group-text", About: "store texts, in 50 groups of 10",
			Default: true, Yardstick: "R", needs: needs{groups: true}, mix: one(groupTexts)},
		{Name: "mixed",
			About:     "of 100: 60 text, 15 page, 10 unread, 7 recent, 5 users, 3 login",
			Yardstick: "S", needs: needs{ring: true, people: true, logins: true},
			mix: []part{{60, ringTexts}, {15, ringPages}, {10, ringUnread}, {7, ringSessions},
				{5, users}, {3, logins}}},
	}
}

// one is the mix of a profile that has one kind of request.
func one(of func(*Bench) kind) []part { return []part{{100, of}} }

// Names are those of all profiles.
func Names() (names []string) {
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// Pick returns the profiles of these names, in the order of Profiles; no names stand for those that
// are run by default, and "all" for all.
func Pick(names []string) ([]Profile, error) {
	for _, name := range names {
		if name != "all" && !slices.Contains(Names(), name) {
			if near := spelling.Nearest(name, Names()); len(near) > 0 {
				return nil, fmt.Errorf("there is no profile %q; %s", name,
					spelling.DidYouMean(near))
			}
			return nil, fmt.Errorf("there is no profile %q; there are %s, and all", name,
				strings.Join(Names(), ", "))
		}
	}
	return slices.DeleteFunc(Profiles(), func(p Profile) bool {
		if len(names) == 0 {
			return !p.Default
		}
		return !slices.Contains(names, p.Name) && !slices.Contains(names, "all")
	}), nil
}
