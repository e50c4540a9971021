package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Profile is a kind of load: requests of one kind, or of several in fixed shares.
type Profile struct {
	Name     string
	About    string // one line for people
	InFlight int    // overrides Options.InFlight; 0: does not
	Default  bool   // is run when no profile is named

	needs needs
	users int // how many it wants there to be
	mix   []part
}

// needs is what a store must have before a profile begins.
type needs struct {
	ring, circle, spread, groups bool // see Users
	people                       bool // the users are people who exist, and not mere ids
	logins                       bool // they log in
}

// and is what two profiles need.
func (n needs) and(m needs) needs {
	return needs{n.ring || m.ring, n.circle || m.circle, n.spread || m.spread,
		n.groups || m.groups, n.people || m.people, n.logins || m.logins}
}

// part is a share of a load, in percent, that is requests of one kind.
type part struct {
	share int
	make  func(*Bench) kind
}

// whole is the mix of a profile that has one kind.
func whole(of func(*Bench) kind) []part { return []part{{100, of}} }

// Profiles are all there are, in the order in which they are shown. Those that write come last.
func Profiles() []Profile {
	ring, circle := needs{ring: true}, needs{circle: true}
	groups, people := needs{groups: true}, needs{people: true}
	return []Profile{
		{"page", "the newest 20 of a talk; 50 talks with 25 texts each", 0, true, ring, ringSize,
			whole(ringPages)},
		{"page-many", "the newest 20 of a talk; 5,050 talks with 5 texts each", 0, false, circle,
			circleEnd, whole(circlePages)},
		{"recent", "the recent sessions of a user who has 2", 0, true, ring, ringSize,
			whole(ringSessions)},
		{"recent-100", "the recent sessions of a user who has 100", 0, false, circle, circleEnd,
			whole(circleSessions)},
		{"unread", "what is unread of a user, from 2 others", 0, true, ring, ringSize,
			whole(ringUnread)},
		{"unread-100", "what is unread of a user, from 100 others", 0, false, circle, circleEnd,
			whole(circleUnread)},
		{"login", "logins with the right password", 0, false,
			needs{people: true, logins: true}, 1, whole(logins)},
		{"tokens", "the push tokens of 2 users who are in 10 groups each", 0, true, groups,
			groupEnd, whole(tokens)},
		{"group-info", "a group with its 10 members", 0, true, groups, groupEnd, whole(groupInfos)},
		{"users", "a user by id", 0, false, people, 1, whole(users)},
		{"text", "texts to store, in 50 talks", 0, true, ring, ringSize, whole(ringTexts)},
		{"text-32", "the same, with 32 in flight on each connection", 32, false, ring, ringSize,
			whole(ringTexts)},
		{"text-500", "texts to store, in 500 talks of 1,000 users", 0, false,
			needs{spread: true}, spreadUsers, whole(spreadTexts)},
		{"group-text", "texts to store, in 50 groups of 10", 0, true, groups, groupEnd,
			whole(groupTexts)},
		{"mixed", "60 % text, 15 % page, 10 % unread, 7 % recent, 5 % users, 3 % login", 0, false,
			needs{ring: true, people: true, logins: true}, ringSize, []part{{60, ringTexts},
				{15, ringPages}, {10, ringUnread}, {7, ringSessions}, {5, users}, {3, logins}}},
	}
}

// Pick returns the profiles of these names, in the order of Profiles; no names stand for those that
// are run by default.
func Pick(names []string) ([]Profile, error) {
	all := Profiles()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p Profile) bool { return p.Name == name }) {
			return nil, fmt.Errorf("there is no profile %q; there are: %s", name,
				strings.Join(Names(), ", "))
		}
	}
	return slices.DeleteFunc(all, func(p Profile) bool {
		return !slices.Contains(names, p.Name) && (len(names) > 0 || !p.Default)
	}), nil
}

// Names are those of all profiles.
func Names() (names []string) {
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return names
}
