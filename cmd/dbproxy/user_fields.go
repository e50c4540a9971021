package main

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// theDepartment and theSex are the fields of a person that are numbers and that people know by
// words.
const (
	theDepartment = "department"
	theSex        = "sex"
)

// fieldFlags gives a command a flag for each field of a person that keep wants; about is what its
// help says. Texts go to u. The words that stand for numbers are returned by the names of their
// fields.
func fieldFlags(
	c *cobra.Command, u *chat.User, keep func(chat.UserField) bool,
	about func(chat.UserField) string,
) (words map[string]*string) {
	words = make(map[string]*string)
	for _, f := range chat.UserFields() {
		if !keep(f) {
			continue
		}
		text, isText := f.At(u).(*string)
		if !isText {
			text = new(string)
			words[f.Name] = text
		}
		c.Flags().StringVar(text, f.Name, "", about(f))
		if f.Name == theSex {
			completes(c, theSex, admin.Sexes()...)
		}
	}
	return words
}

// completes has shells offer these values for a flag of a command.
func completes(c *cobra.Command, flag string, values ...string) {
	// It fails only without the flag.
	_ = c.RegisterFlagCompletionFunc(flag,
		cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// changeField gives u a field of to, and says what it was and is; "" when it is so already.
func changeField(f chat.UserField, u, to *chat.User, departments names) string {
	old := *u
	switch at := f.At(u).(type) {
	case *string:
		*at = *f.At(to).(*string)
	case *uint32:
		*at = *f.At(to).(*uint32)
	}
	if *u == old {
		return ""
	}
	say := func(u *chat.User) string {
		switch at := f.At(u).(type) {
		case *string:
			return fmt.Sprintf("%q", *at)
		case *uint32:
			if f.Name == theDepartment {
				return departments.said(*at)
			}
		}
		return admin.SexName(u.Sex)
	}
	return fmt.Sprintf("%s %s -> %s", f.Name, say(&old), say(u))
}

// showField is a field of u in a list of all that is known of them.
func showField(f chat.UserField, u *chat.User, departments names) string {
	if text, isText := f.At(u).(*string); isText {
		return cmp.Or(*text, "-")
	}
	switch {
	case f.Name == theSex:
		return admin.SexName(u.Sex)
	case u.Department == 0:
		return "-"
	default:
		return departments.name(u.Department) + " (" + id(u.Department) + ")"
	}
}
