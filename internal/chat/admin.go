package chat

import (
	"crypto/rand"
	"math"
	"strings"
	"unicode"
)

var errNoName = Errorf(Invalid, "the name is empty")

// checkLine is checkText for a text that is shown in one line: it refuses control characters, too.
func checkLine(what, text string, max int) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Errorf(Invalid, "%s has a control character", what)
	}
	return checkText(what, text, max)
}

// checkName is checkLine for what something is called. It refuses a name with blanks around it,
// too, which looks like another one where it is shown. Clients and the back office may send such
// names; only an administrator who types one is refused.
func checkName(what, name string, max int) error {
	if strings.TrimSpace(name) != name {
		return Errorf(Invalid, "%s %q has blanks around it", what, name)
	}
	return checkLine(what, name, max)
}

// checkBytes is checkText for a text whose limit is in bytes.
func checkBytes(what, text string, max int) error {
	if len(text) > max {
		return Errorf(Invalid, "%s is longer than %d bytes", what, max)
	}
	return checkText(what, text, max)
}

// CheckGroupName refuses a group's name that nobody could tell from another, or that is too long.
func CheckGroupName(name string) error { return checkName("name", name, MaxGroupName) }

// CheckDepartment refuses a department that the tables could not hold as given.
func CheckDepartment(d Department) error {
	if d.Name == "" {
		return errNoName
	}
	if d.Priority > math.MaxInt32 {
		return Errorf(Invalid, "priority %d is above %d", d.Priority, math.MaxInt32)
	}
	return checkName("name", d.Name, 64)
}

// CheckDepartmentChange is CheckDepartment for those fields of d that differ from old.
func CheckDepartmentChange(old, d Department) error {
	if d.Name == old.Name {
		d.Name = "as before"
	}
	if d.Priority == old.Priority {
		d.Priority = 0
	}
	return CheckDepartment(d)
}

// GroupSummary is a group as an administrator sees it in a list.
type GroupSummary struct {
	GroupInfo        // without Members
	Size      uint32 // how many members it has
	Messages  uint32 // ever sent in it
	// Counted is whether Messages is known: proxies count from the first time they write to a
	// group.
	Counted  bool
	Created  uint32 // Unix seconds
	LastTalk uint32 // Unix seconds; 0 when there was none
}

// Membership says that a user is in a group, and since when.
type Membership struct {
	User   uint32
	Joined uint32 // Unix seconds
}

// NewSalt makes the salt of a stored password: four random characters, as many as the column has.
func NewSalt() string { return rand.Text()[:4] }

// ClientHash is what a client sends as the password that its user typed: its md5 in lower-case hex.
func ClientHash(typed string) string { return HashPassword(typed, "") }

// SetPassword gives the user the password that they will type, under a new salt.
func (u *User) SetPassword(typed string) {
	u.Salt = NewSalt()
	u.Password = HashPassword(ClientHash(typed), u.Salt)
}

// HasPassword reports whether typed is the user's password.
func (u *User) HasPassword(typed string) bool {
	return u.Password == HashPassword(ClientHash(typed), u.Salt)
}
