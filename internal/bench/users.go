package bench

import "fmt"

// Users are the ids from First to Last, the only users between whom a load writes. Who talks with
// whom goes by their position among them:
//
//	0–49     a ring of 50 talks: each talks with the one before and the one after
//	50–150   a circle of 5,050 talks: each talks with all others
//	152–201  50 groups of ten: each is in ten
//	0–999    500 talks; those of the ring and of the circle have the same talks in them, no others
//
// The dimensions of growth have users of their own:
//
//	1,000–1,999   they wrote to hubs
//	2,000–2,099   hubs: ten for each point of sessions, who talk with as many of those
//	2,100–2,999   talks of two, one for each point of rows, and anew when it has grown too much
//	3,000–7,999   members of groups
//	8,000–27,999  talks: each user is in two, and when there are 100,000 in ten
type Users struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
}

const (
	ringSize    = 50
	circleFirst = ringSize
	circleEnd   = 151 // an odd number: nobody below talks with somebody above
	circleSize  = circleEnd - circleFirst
	groupFirst  = 152
	groupCount  = 50
	groupSize   = 10
	groupEnd    = groupFirst + groupCount
	spreadUsers = 1000
	mostUsers   = 100_000

	otherFirst  = 1000
	hubFirst    = 2000
	hubCount    = 10
	rowsFirst   = 2100
	rowsEnd     = 3000
	memberFirst = 3000
	memberCount = 5000
	chainFirst  = 8000
	chainSize   = 20_000
	growthUsers = chainFirst + chainSize
)

// Count is how many users there are.
func (u Users) Count() int { return int(u.Last) - int(u.First) + 1 }

// at is the id of the user at a position.
func (u Users) at(position int) uint32 { return u.First + uint32(position) }

// pair is a talk of two users, the smaller id first.
type pair struct{ low, high uint32 }

// sides are the two users.
func (p pair) sides() [2]uint32 { return [2]uint32{p.low, p.high} }

// ring is the talks of the ring.
func (u Users) ring() (talks []pair) {
	for i := range ringSize - 1 {
		talks = append(talks, pair{u.at(i), u.at(i + 1)})
	}
	return append(talks, pair{u.at(0), u.at(ringSize - 1)})
}

// circle is the talks of the circle.
func (u Users) circle() (talks []pair) {
	for i := circleFirst; i < circleEnd; i++ {
		for k := i + 1; k < circleEnd; k++ {
			talks = append(talks, pair{u.at(i), u.at(k)})
		}
	}
	return talks
}

// spread is 500 talks of all users.
func (u Users) spread() (talks []pair) {
	for i := 0; i+1 < circleEnd; i += 2 {
		talks = append(talks, pair{u.at(i), u.at(i + 1)})
	}
	for i := circleEnd; i+1 < spreadUsers; i += 2 {
		talks = append(talks, pair{u.at(i), u.at(i + 1)})
	}
	return append(talks, pair{u.at(1), u.at(2)})
}

// group is a group and its members, the first of whom has made it.
type group struct {
	id      uint32
	members []uint32
}

// groups are the 50 groups of ten, without their ids.
func (u Users) groups() []group {
	groups := make([]group, groupCount)
	for g := range groups {
		for i := range groupSize {
			groups[g].members = append(groups[g].members, u.at(groupFirst+(g+i)%groupCount))
		}
	}
	return groups
}

// sized are ten groups of some size, at most memberCount, without their ids.
func (u Users) sized(size int) []group {
	groups := make([]group, 10)
	for g := range groups {
		for i := range size {
			groups[g].members = append(groups[g].members, u.at(memberFirst+(g*size+i)%memberCount))
		}
	}
	return groups
}

// chain is so many talks. Those of a smaller number are among those of a larger one.
func (u Users) chain(talks int) (all []pair) {
	for i := range talks {
		a, b := i%chainSize, (i+1+i/chainSize)%chainSize
		all = append(all, pair{u.at(chainFirst + min(a, b)), u.at(chainFirst + max(a, b))})
	}
	return all
}

// hubs is the talks of the ten users from a position on, of whom each talks with so many others.
func (u Users) hubs(first, others int) (talks []pair) {
	for other := range others {
		for hub := range hubCount {
			talks = append(talks, pair{u.at(otherFirst + other), u.at(first + hub)})
		}
	}
	return talks
}

// check returns an error if there are not as many users as a profile wants.
func (u Users) check(p *Profile) error {
	switch n := u.Count(); {
	case u.First == 0 || u.Last < u.First:
		return fmt.Errorf("users %d to %d: ids begin with 1, and the last is not below the first",
			u.First, u.Last)
	case n > mostUsers:
		return fmt.Errorf("users %d to %d are %s, and %s are the most", u.First, u.Last,
			Digits(float64(n)), Digits(mostUsers))
	case n < p.needs.users():
		return fmt.Errorf("%s wants %s users, and %d to %d are %s", p.Name,
			Digits(float64(p.needs.users())), u.First, u.Last, Digits(float64(n)))
	}
	return nil
}
