package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func userCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "user",
		Short: "Make, list, show and change people",
		Long: `Make, list, show and change the people who can log in. This works on
a data directory or, with --config, on MySQL and Redis, beside running servers,
which see the change at once.

People are named by id (7, or id:7) or by their exact login name.`,
		Example: "  dbproxy user list\n  dbproxy user show ann\n  dbproxy user edit ann " +
			"--department Engineering",
	})
	c.AddCommand(userAddCommand(), userListCommand(), userShowCommand(), userEditCommand(),
		userPasswdCommand(),
		userDisableCommand(), userEnableCommand(), userUnlockCommand(), userImportCommand())
	return c
}

func userAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a person who can log in",
		Long: `Make a person who can log in. The password is asked for, or read from standard
input (its first line); it is never an argument, where others could see it.`,
		Example: `  dbproxy user add zoe --nick Zoe --department Engineering
  echo secret | dbproxy user add 赵敏 --nick 敏敏 --sex female`,
		Args: oneArg("the name to log in with"),
	}
	data := targetFlags(c)
	var u chat.User
	words := fieldFlags(c, &u, func(f chat.UserField) bool { return f.Name != "name" && !f.Own },
		func(f chat.UserField) string {
			if f.Default == "" {
				return f.About
			}
			return f.About + " (default: " + f.Default + ")"
		})
	sex, department := words[theSex], words[theDepartment]
	*sex, c.Flag(theSex).DefValue = admin.SexName(0), admin.SexName(0)
	c.RunE = func(c *cobra.Command, args []string) error {
		u.Name = args[0]
		u.Nick, u.Domain = cmp.Or(u.Nick, u.Name), cmp.Or(u.Domain, u.Name)
		var err error
		if u.Sex, err = admin.ParseSex(*sex); err != nil {
			return fmt.Errorf("--sex %w", err)
		}
		if err := chat.CheckUser(u); err != nil {
			return fmt.Errorf("user not added: %w", err)
		}
		return data.changes("user not added",
			func(store *records.Store, _ []string) (string, error) {
				if err := store.NameIsFree(c.Context(), u.Name); err != nil {
					return "", err
				}
				if u.Department, err = departmentID(c.Context(), store, *department); err != nil {
					return "", err
				}
				typed, err := readPassword(c.Context(), c.InOrStdin(), c.ErrOrStderr())
				if err != nil {
					return "", err
				}
				u.SetPassword(typed)
				id, err := store.AddUser(c.Context(), u)
				return fmt.Sprintf("user %d added: %s", id, printable(u.Name)), err
			})(c, args)
	}
	return c
}

// departmentID finds a department that a flag names; "" and 0 mean none.
func departmentID(ctx context.Context, store *records.Store, arg string) (uint32, error) {
	if arg == "" || arg == "0" {
		return 0, nil
	}
	d, err := admin.FindDepartment(ctx, store, arg)
	return d.ID, err
}

// readPassword asks for a password twice on a terminal; elsewhere it is the first line of in. It
// ends with ctx, and leaves the terminal as it was.
func readPassword(ctx context.Context, in io.Reader, ask io.Writer) (string, error) {
	password, err := typedPassword(ctx, in, ask)
	if err == nil && password == "" {
		err = errors.New("the password is empty; type one, " +
			"or give it as the first line of standard input, by a pipe")
	}
	return password, err
}

func typedPassword(ctx context.Context, in io.Reader, ask io.Writer) (string, error) {
	if !terminal.Is(in) {
		return terminal.PipedPassword(ctx, bufio.NewReader(in))
	}
	typed, err := terminal.Password(ctx, in.(*os.File), ask, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := terminal.Password(ctx, in.(*os.File), ask, "Once more: ")
	if err == nil && again != typed {
		err = errors.New("the two passwords differ; try again")
	}
	return typed, err
}

func id(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// oneArg wants exactly one argument and says what it is for.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%q wants one argument, %s; for example:\n%s", c.CommandPath(), what,
			c.Example)
	}
}
