package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

// notChanged is what fails in commands that change a person.
const notChanged = "user not changed"

func userEditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "edit USER",
		Short: "Change what is known of a person",
		Long: `Change what is known of a person, named by id or login name. Only what a flag is
given for changes; an empty value clears it. With --name they log in with the
new name from now on.`,
		Example: `  dbproxy user edit ann --nick Annie --department Engineering
  dbproxy user edit bob --phone '' --department 0
  dbproxy user edit 3 --name caroline`,
		Args: oneArg("the id or login name of a person"),
	}
	data := targetFlags(c)
	var u chat.User
	f := c.Flags()
	words := fieldFlags(c, &u, func(chat.UserField) bool {
		return true
	}, func(f chat.UserField) string {
		switch f.Name {
		case "name":
			return "the new `name` to log in with"
		case theDepartment:
			return f.About + " (0: none)"
		default:
			return f.About
		}
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		fields := slices.DeleteFunc(chat.UserFields(), func(field chat.UserField) bool {
			return !f.Changed(field.Name)
		})
		if len(fields) == 0 {
			return fmt.Errorf("say what to change; for example:\n%s", c.Example)
		}
		if f.Changed("nick") && u.Nick == "" {
			return errors.New(notChanged + ": the nick is what others see, and cannot be empty")
		}
		var err error
		if f.Changed(theSex) {
			if u.Sex, err = admin.ParseSex(*words[theSex]); err != nil {
				return fmt.Errorf("--sex %w", err)
			}
		}
		return data.changes(notChanged, func(store *records.Store, _ []string) (string, error) {
			old, err := admin.FindUser(c.Context(), store, args[0])
			if err != nil {
				return "", err
			}
			if u.Department, err = departmentID(c.Context(), store,
				*words[theDepartment]); err != nil {
				return "", err
			}
			return editUser(c.Context(), store, old.ID, fields, &u)
		})(c, args)
	}
	return c
}

// editUser gives a person these fields of to, and says what changed.
func editUser(
	ctx context.Context, store *records.Store, user uint32, fields []chat.UserField, to *chat.User,
) (string, error) {
	departments, err := departmentNames(ctx, store)
	if err != nil {
		return "", err
	}
	var said []string
	var name string
	_, err = store.ChangeUsers(ctx, []uint32{user}, func(u *chat.User) error {
		said, name = nil, u.Name
		for _, f := range fields {
			if text := changeField(f, u, to, departments); text != "" {
				said = append(said, text)
			}
		}
		return nil
	})
	if len(said) == 0 {
		said = []string{"nothing changed, it is so already"}
	}
	return fmt.Sprintf("user %d (%s): %s", user, printable(name), strings.Join(said, ", ")), err
}

func userPasswdCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "passwd USER",
		Short: "Set a person's password",
		Long: `Set the password of a person, named by id or login name. It is asked for, or
read from standard input (its first line); it is never an argument, where others
could see it. Who is logged in stays so. A name that is locked out by too many
failed logins stays so: "dbproxy user unlock" ends that.`,
		Example: `  dbproxy user passwd ann
  echo secret | dbproxy user passwd 2`,
		Args: oneArg("the id or login name of a person"),
	}
	c.RunE = targetFlags(c).changes("password not set",
		func(store *records.Store, args []string) (string, error) {
			u, err := admin.FindUser(c.Context(), store, args[0])
			if err != nil {
				return "", err
			}
			typed, err := readPassword(c.Context(), c.InOrStdin(), c.ErrOrStderr())
			if err != nil {
				return "", err
			}
			_, err = store.ChangeUsers(c.Context(), []uint32{u.ID}, func(u *chat.User) error {
				u.SetPassword(typed)
				return nil
			})
			return saying(u, "password set"+stillOut(u)), err
		})
	return c
}

// saying is a sentence about a person who was found: what was done.
func saying(u chat.User, done string) string {
	return fmt.Sprintf("user %d (%s): %s", u.ID, printable(u.Name), done)
}

// stillOut says of a person who may not log in whatever was done that they may not.
func stillOut(u chat.User) string {
	if u.Status == chat.InService {
		return ""
	}
	return fmt.Sprintf("; they cannot log in all the same, their status is %q",
		userStatus(u.Status))
}

func userDisableCommand() *cobra.Command {
	return userStatusCommand(&cobra.Command{
		Use:   "disable USER",
		Short: "Note that a person has left, and let them log in no more",
		Long: `Give a person, named by id or login name, the status "left": they cannot log in
any more, and clients list them no more. Nothing is deleted: messages stay, and
so do their places in groups. Who is logged in stays so until their client logs
in again. "dbproxy user enable" takes it back.`,
		Example: `  dbproxy user disable bob
  dbproxy user disable 2`,
	}, chat.Left, "disabled, cannot log in any more", "has left already, nothing changed")
}

func userEnableCommand() *cobra.Command {
	return userStatusCommand(&cobra.Command{
		Use:   "enable USER",
		Short: "Let a person log in again",
		Long: `Give a person, named by id or login name, the status "in service", the only one
with which one can log in, whatever it was before. The password is the old one.`,
		Example: `  dbproxy user enable bob
  dbproxy user enable 2`,
	}, chat.InService, "enabled, can log in", "is in service already, nothing changed")
}

// userStatusCommand makes a command that gives a person a status; done and already are what it says
// then.
func userStatusCommand(c *cobra.Command, status uint32, done, already string) *cobra.Command {
	c.Args = oneArg("the id or login name of a person")
	c.RunE = targetFlags(c).changes(notChanged,
		func(store *records.Store, args []string) (string, error) {
			return setStatus(c.Context(), store, args[0], status, done, already)
		})
	return c
}

func setStatus(
	ctx context.Context, store *records.Store, arg string, status uint32, done, already string,
) (string, error) {
	u, err := admin.FindUser(ctx, store, arg)
	if err != nil {
		return "", err
	}
	changed, err := store.ChangeUsers(ctx, []uint32{u.ID}, func(u *chat.User) error {
		u.Status = status
		return nil
	})
	if err != nil {
		return "", err
	}
	text := done
	if changed == 0 {
		text = already
	}
	groups, err := store.GroupsOf(ctx, u.ID)
	if err == nil && changed > 0 && status == chat.Left && len(groups) > 0 {
		text += "; still in " + admin.Count(len(groups), "group")
	}
	return saying(u, text), err
}
