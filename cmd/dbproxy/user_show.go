package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// userJSON is a person as programs get it. The names of the fields stay as they are.
type userJSON struct {
	ID         uint32 `json:"id"`
	Name       string `json:"name"`
	Nick       string `json:"nick"`
	Domain     string `json:"domain"`
	Sex        string `json:"sex"`
	Phone      string `json:"phone"`
	Email      string `json:"email"`
	Department uint32 `json:"department"`
	Avatar     string `json:"avatar"`
	Signature  string `json:"signature"`
	Status     string `json:"status"`
	CanLogIn   bool   `json:"can_log_in"`
	Created    uint32 `json:"created"`
	Updated    uint32 `json:"updated"`
}

// userFields describes userJSON in help texts.
const userFields = `id, name, nick, domain, sex (unknown, male, female), phone, email,
department (its id, 0: none), avatar, signature, status (in service, trial,
regular, left, intern), can_log_in, created and updated (Unix seconds)`

func newUserJSON(u chat.User) userJSON {
	return userJSON{
		ID: u.ID, Name: u.Name, Nick: u.Nick, Domain: u.Domain, Sex: admin.SexName(u.Sex),
		Phone: u.Phone, Email: u.Email,
		Department: u.Department, Avatar: u.Avatar, Signature: u.Signature,
		Status:   userStatus(u.Status),
		CanLogIn: u.Status == chat.InService, Created: u.Created, Updated: u.Updated,
	}
}

// userStatus is the word for a value of IMUser.status.
func userStatus(status uint32) string {
	return wordFor(status, "in service", "trial", "regular", "left", "intern")
}

func userListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List all people",
		Long: `List all people, those who left included. Long cells are cut to the width of the
terminal; --json has everything.

The JSON is an array of objects with the fields
` + userFields + `.`,
		Example: `  dbproxy user list
  dbproxy user list --department Engineering
  dbproxy user list --json`,
		Args: cobra.NoArgs,
	}
	data, asJSON := targetFlags(c), jsonFlag(c)
	department := c.Flags().String("department", "",
		"only those of this department (id or `name`; 0: none)")
	c.RunE = data.onRecords(func(store *records.Store, _ []string) error {
		wanted, err := departmentID(c.Context(), store, *department)
		if err != nil {
			return err
		}
		var users []chat.User
		err = store.AllUsers(c.Context(), func(u chat.User) error {
			if *department == "" || u.Department == wanted {
				users = append(users, u)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if *asJSON {
			list := make([]userJSON, len(users))
			for i, u := range users {
				list[i] = newUserJSON(u)
			}
			return showJSON(c.OutOrStdout(), list)
		}
		return listUsers(c, store, users, *department)
	})
	return c
}

func listUsers(c *cobra.Command, store *records.Store, users []chat.User, department string) error {
	out := c.OutOrStdout()
	if len(users) == 0 {
		text := `There are no people yet; "dbproxy user add NAME" makes one.`
		if department != "" {
			text = "There is nobody in that department."
		}
		_, err := fmt.Fprintln(out, text)
		return err
	}
	departments, err := departmentNames(c.Context(), store)
	if err != nil {
		return err
	}
	t := terminal.Table{{"ID", "NAME", "NICK", "DEPARTMENT", "STATUS"}}
	for _, u := range users {
		t = append(t, []string{id(u.ID), u.Name, u.Nick, departments.name(u.Department),
			userStatus(u.Status)})
	}
	return t.WriteWithin(out, terminal.Columns(out), 1, 2, 3)
}

func userShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show USER",
		Short: "Show all about a person",
		Long: `Show all about a person, named by id or login name, but never the password.
LOCKED OUT says whether too many logins failed, and until when no further one is
looked at; "dbproxy user unlock" ends that.

The JSON is an object with the fields
` + userFields + `,
locked_until (Unix seconds, 0: not locked out, null: not known, as Redis is
away) and groups, an array of objects with the fields
` + groupFields + `.`,
		Example: `  dbproxy user show ann
  dbproxy user show 2 --json`,
		Args: oneArg("the id or login name of a person"),
	}
	data, asJSON := targetFlags(c), jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return data.withLocks(func(store *records.Store, locks locks) error {
			u, err := admin.FindUser(c.Context(), store, args[0])
			if err != nil {
				return err
			}
			groups, err := store.GroupsOf(c.Context(), u.ID)
			if err != nil {
				return err
			}
			lock, err := lockOf(c.Context(), locks, u.Name)
			if err != nil {
				return err
			}
			if *asJSON {
				shown := struct {
					userJSON
					LockedUntil *int64      `json:"locked_until"`
					Groups      []groupJSON `json:"groups"`
				}{newUserJSON(u), lock.json(), groupsJSON(groups)}
				return showJSON(c.OutOrStdout(), shown)
			}
			return showUser(c, store, u, lock, groups)
		})
	}
	return c
}

func showUser(
	c *cobra.Command, store *records.Store, u chat.User, lock lockState, groups []chat.GroupSummary,
) error {
	departments, err := departmentNames(c.Context(), store)
	if err != nil {
		return err
	}
	status := userStatus(u.Status)
	if u.Status != chat.InService {
		status += " (cannot log in)"
	}
	t := terminal.Table{{"ID", id(u.ID)}}
	for _, f := range chat.UserFields() {
		if t = append(t, []string{strings.ToUpper(f.Name),
			showField(f, &u, departments)}); f.Name == theDepartment {
			t = append(t, []string{"STATUS", status}, []string{"LOCKED OUT", lock.String()})
		}
	}
	t = append(t, []string{"CREATED", clock(u.Created)}, []string{"UPDATED", clock(u.Updated)})
	for i, g := range groups {
		head := ""
		if i == 0 {
			head = "GROUPS"
		}
		t = append(t, []string{head, g.Name + " (" + id(g.ID) + ")"})
	}
	return t.Write(c.OutOrStdout())
}

// names are what departments are called, by id.
type names map[uint32]string

func departmentNames(ctx context.Context, store *records.Store) (names, error) {
	all, err := store.AllDepartments(ctx)
	found := make(names, len(all))
	for _, d := range all {
		found[d.ID] = d.Name
	}
	return found, err
}

// name is what a department is called: a dash for none, its id when there is none with it.
func (n names) name(department uint32) string {
	switch name, known := n[department]; {
	case known:
		return name
	case department == 0:
		return "-"
	default:
		return id(department)
	}
}

// said is name for a sentence: printable, and "none" for none.
func (n names) said(department uint32) string {
	if department == 0 {
		return "none"
	}
	return printable(n.name(department))
}
