package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

func userCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:     "user",
		Short:   "Make and list people",
		Long:    "Make and list the people who can log in. This works on the data directory,\nbeside a running \"dbproxy serve\", which sees the change at once.",
		Example: "  dbproxy user list",
	})
	c.AddCommand(userAddCommand(), userListCommand())
	return c
}

func userAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a person who can log in",
		Long: `Make a person who can log in. The password is asked for, or read from standard
input (its first line); it is never an argument, where others could see it.`,
		Example: `  dbproxy user add ann --nick Ann --department 2
  echo secret | dbproxy user add 王小明 --nick 小明`,
		Args: oneArg("the name to log in with"),
	}
	data := dataFlag(c)
	var u chat.User
	f := c.Flags()
	f.StringVar(&u.Nick, "nick", "", "the `name` that others see (default: the same)")
	f.StringVar(&u.Domain, "domain", "", "the `name` in Latin letters (default: the same)")
	f.Uint32Var(&u.Department, "department", 0, "the `id` of a department (default: none)")
	sex := f.String("sex", "unknown", "the `sex`: male, female or unknown")
	f.StringVar(&u.Phone, "phone", "", "the phone `number`, at most 11 characters")
	f.StringVar(&u.Email, "email", "", "the e-mail `address`")
	c.RunE = func(c *cobra.Command, args []string) error {
		u.Name = args[0]
		if u.Nick == "" {
			u.Nick = u.Name
		}
		if u.Domain == "" {
			u.Domain = u.Name
		}
		var err error
		if u.Sex, err = parseSex(*sex); err != nil {
			return err
		}
		if err := chat.CheckUser(u); err != nil {
			return fmt.Errorf("user not added: %w", err)
		}
		typed, err := readPassword(c.InOrStdin(), c.ErrOrStderr())
		if err != nil {
			return err
		}
		u.Salt = chat.NewSalt()
		u.Password = chat.HashPassword(chat.ClientHash(typed), u.Salt)
		return withRecords(c.Context(), *data, func(store *records.Store) error {
			id, err := store.AddUser(c.Context(), u)
			if err != nil {
				return fmt.Errorf("user not added: %w", err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "user %d added: %s\n", id, u.Name)
			return err
		})
	}
	return c
}

// The sexes, as IMUser.sex has them.
var sexes = []string{"unknown", "male", "female"}

func parseSex(name string) (uint32, error) {
	for i, s := range sexes {
		if s == name {
			return uint32(i), nil
		}
	}
	return 0, fmt.Errorf("--sex %s: choose %s", name, strings.Join(sexes, ", "))
}

// statuses are the values of IMUser.status.
var statuses = []string{"in service", "trial", "regular", "left", "intern"}

// readPassword asks for a password twice on a terminal; elsewhere it is the first line of in.
func readPassword(in io.Reader, ask io.Writer) (string, error) {
	password := ""
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		var typed [2]string
		for i, prompt := range []string{"Password: ", "Once more: "} {
			fmt.Fprint(ask, prompt)
			line, err := term.ReadPassword(int(f.Fd()))
			fmt.Fprintln(ask)
			if err != nil {
				return "", fmt.Errorf("reading the password: %w", err)
			}
			typed[i] = string(line)
		}
		if typed[0] != typed[1] {
			return "", errors.New("the two passwords differ; try again")
		}
		password = typed[0]
	} else {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		password = strings.TrimRight(line, "\r\n")
	}
	if password == "" {
		return "", errors.New("the password is empty; type one, or give it on standard input: echo secret | dbproxy user add NAME")
	}
	return password, nil
}

func userListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List all people",
		Example: "  dbproxy user list --data ./data",
		Args:    cobra.NoArgs,
	}
	data := dataFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withRecords(c.Context(), *data, func(store *records.Store) error {
			t := table{{"ID", "NAME", "NICK", "DEPARTMENT", "STATUS"}}
			err := store.AllUsers(c.Context(), func(u chat.User) error {
				status := strconv.Itoa(int(u.Status))
				if int(u.Status) < len(statuses) {
					status = statuses[u.Status]
				}
				t = append(t, []string{id(u.ID), u.Name, u.Nick, id(u.Department), status})
				return nil
			})
			return errors.Join(err, t.write(c.OutOrStdout()))
		})
	}
	return c
}

func id(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// oneArg wants exactly one argument and says what it is for.
func oneArg(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%q wants one argument, %s; for example:\n%s", c.CommandPath(), what, c.Example)
	}
}
