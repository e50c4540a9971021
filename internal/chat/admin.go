package chat

import (
	"cmp"
	"crypto/rand"
	"math"
	"strings"
	"unicode"
)

// CheckUser refuses a user that the tables could not hold as given. The commands of an
// administrator, which make and change users, call it.
func CheckUser(u User) error {
	if u.Name == "" {
		return Errorf(Invalid, "the name is empty")
	}
	err := cmp.Or(checkBlanks("name", u.Name), checkBlanks("nick", u.Nick),
		checkBlanks("domain", u.Domain))
	if err != nil {
		return err
	}
	for _, f := range []struct {
		what, text string
		max        int
	}{
		{"name", u.Name, MaxUserName},
		{"nick", u.Nick, 32},
		{"domain", u.Domain, 32},
		{"phone", u.Phone, 11},
		{"email", u.Email, 64},
		{"avatar", u.Avatar, MaxAvatar},
	} {
		if err := checkLine(f.what, f.text, f.max); err != nil {
			return err
		}
	}
	if len(u.Signature) > MaxSignature {
		return Errorf(Invalid, "signature is longer than %d bytes", MaxSignature)
	}
	return checkText("signature", u.Signature, MaxSignature)
}

// CheckUserChange is CheckUser for those fields of u that differ from old: a change is not refused
// because of another field that somebody else has written before.
func CheckUserChange(old, u User) error {
	for _, f := range []struct{ old, now *string }{
		{&old.Nick, &u.Nick}, {&old.Domain, &u.Domain}, {&old.Phone, &u.Phone},
		{&old.Email, &u.Email}, {&old.Avatar, &u.Avatar}, {&old.Signature, &u.Signature},
	} {
		if *f.now == *f.old {
			*f.now = ""
		}
	}
	if u.Name == old.Name {
		u.Name = "as before"
	}
	return CheckUser(u)
}

// checkLine is checkText for a text that is shown in one line: it refuses control characters, too.
func checkLine(what, text string, max int) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Errorf(Invalid, "%s has a control character", what)
	}
	return checkText(what, text, max)
}

// checkBlanks refuses a name with blanks around it, which looks like another one where it is shown.
// Clients and the back office may send such names; only an administrator who types one is refused.
func checkBlanks(what, name string) error {
	if strings.TrimSpace(name) != name {
		return Errorf(Invalid, "%s %q has blanks around it", what, name)
	}
	return nil
}

// CheckGroupName refuses a group's name that nobody could tell from another, or that is too long.
func CheckGroupName(name string) error {
	return cmp.Or(checkBlanks("name", name), checkLine("name", name, MaxGroupName))
}

// CheckDepartment refuses a department that the tables could not hold as given.
func CheckDepartment(d Department) error {
	if d.Name == "" {
		return Errorf(Invalid, "the name is empty")
	}
	if d.Priority > math.MaxInt32 {
		return Errorf(Invalid, "priority %d is above %d", d.Priority, math.MaxInt32)
	}
	return cmp.Or(checkBlanks("name", d.Name), checkLine("name", d.Name, 64))
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
