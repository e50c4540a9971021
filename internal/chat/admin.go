package chat

import (
	"cmp"
	"crypto/rand"
	"math"
	"strings"
	"unicode"
)

// CheckUser refuses a user that the tables could not hold as given. It is for those who make and change users: the
// commands of an administrator.
func CheckUser(u User) error {
	if u.Name == "" {
		return Errorf(Invalid, "the name is empty")
	}
	err := cmp.Or(checkBlanks("name", u.Name), checkBlanks("nick", u.Nick), checkBlanks("domain", u.Domain))
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

// CheckUserChange is CheckUser for what is new: what somebody else has written before is no reason to refuse a change of
// something else.
func CheckUserChange(old, u User) error {
	for _, f := range []struct{ old, now *string }{
		{&old.Nick, &u.Nick}, {&old.Domain, &u.Domain}, {&old.Phone, &u.Phone}, {&old.Email, &u.Email},
		{&old.Avatar, &u.Avatar}, {&old.Signature, &u.Signature},
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

// checkLine is checkText for what stands in tables and lists.
func checkLine(what, text string, max int) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Errorf(Invalid, "%s has a control character", what)
	}
	return checkText(what, text, max)
}

// checkBlanks refuses a name that nobody could tell from another where it is shown. What clients
// and the back office send may have such names: only those who type one are asked again.
func checkBlanks(what, name string) error {
	if strings.TrimSpace(name) != name {
		return Errorf(Invalid, "%s %q has blanks around it", what, name)
	}
	return nil
}

// CheckGroupName refuses a group's name for which CheckUser would refuse a person's.
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
