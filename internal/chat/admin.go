package chat

import (
	"crypto/rand"
	"math"
	"strings"
	"unicode"
)

var errNoName = Errorf(Invalid, "the name is empty")

// checkLine is checkText for what stands in tables and lists.
func checkLine(what, text string, max int) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Errorf(Invalid, "%s has a control character", what)
	}
	return checkText(what, text, max)
}

// checkName is checkLine for what something is called. It refuses a name that nobody could tell
// from another where it is shown. What clients and the back office send may have such names: only
// those who type one are asked again.
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

// CheckGroupName refuses a group's name for which CheckUser would refuse a person's.
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

// CheckDepartmentChange is CheckDepartment for what is new.
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
	Counted   bool   // whether Messages is known: proxies count from the first time that they write to a group
	Created   uint32 // Unix seconds
	LastTalk  uint32 // Unix seconds; 0 when there was none
}

// Membership is a user's part in a group.
type Membership struct {
	User   uint32
	Joined uint32 // Unix seconds
}

// NewSalt makes the salt of a stored password: four random characters, as many as the column has.
func NewSalt() string { return rand.Text()[:4] }

// ClientHash is what a client sends for a password that its user typed: its md5 in lower-case hex.
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
