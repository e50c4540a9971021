package chat

import (
	"crypto/rand"
	"math"
	"strings"
	"unicode"
)

// CheckUser refuses a user that the tables could not hold as given. It is for those who make users: the commands of an
// administrator.
func CheckUser(u User) error {
	if u.Name == "" {
		return Errorf(Invalid, "the name is empty")
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
	return nil
}

// checkLine is checkText for what stands in tables and lists.
func checkLine(what, text string, max int) error {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Errorf(Invalid, "%s has a control character", what)
	}
	return checkText(what, text, max)
}

// CheckDepartment refuses a department that the tables could not hold as given.
func CheckDepartment(d Department) error {
	if d.Name == "" {
		return Errorf(Invalid, "the name is empty")
	}
	if d.Priority > math.MaxInt32 {
		return Errorf(Invalid, "priority %d is above %d", d.Priority, math.MaxInt32)
	}
	return checkLine("name", d.Name, 64)
}

// NewSalt makes the salt of a stored password: four random characters, as many as the column has.
func NewSalt() string { return rand.Text()[:4] }

// ClientHash is what a client sends for a password that its user typed: its md5 in lower-case hex.
func ClientHash(typed string) string { return HashPassword(typed, "") }
