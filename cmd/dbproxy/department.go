package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func departmentCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:   "department",
		Short: "Make, list and change departments",
		Long: `Make, list and change the departments that people belong to. This works on
a data directory or, with --config, on MySQL and Redis, beside running servers,
which see the change at once.

Departments are named by id (2, or id:2) or by their exact name.`,
		Example: "  dbproxy department add Engineering\n  dbproxy department list",
	})
	c.AddCommand(departmentAddCommand(), departmentListCommand(), departmentEditCommand(),
		departmentCloseCommand(), departmentReopenCommand())
	return c
}

func departmentAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a department",
		Long: `Make a department. A second open one of that name under the same parent is
refused without --same-name.`,
		Example: `  dbproxy department add Engineering
  dbproxy department add 后端 --parent Engineering --priority 2`,
		Args: oneArg("the department's name"),
	}
	data := targetFlags(c)
	var d chat.Department
	parent := c.Flags().String("parent", "",
		"the department above it, by id or `name` (default: none)")
	c.Flags().Uint32Var(&d.Priority, "priority", 0,
		"the `place` among its neighbours in clients' lists")
	sameName := sameNameFlag(c)
	c.RunE = data.changes("department not added",
		func(store *records.Store, args []string) (_ string, err error) {
			d.Name = args[0]
			if d.Parent, err = departmentID(c.Context(), store, *parent); err != nil {
				return "", err
			}
			n, err := store.AddDepartment(c.Context(), d, *sameName)
			return fmt.Sprintf("department %d added: %s", n, printable(d.Name)), sameNameHint(err)
		})
	return c
}

// sameNameFlag gives a command the flag that allows a name which is taken.
func sameNameFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("same-name", false, "even if there is one of that name already")
}

// sameNameHint adds that flag to an error about a name which is taken.
func sameNameHint(err error) error {
	if chat.KindOf(err) != chat.NotAllowed {
		return err
	}
	return fmt.Errorf("%w; --same-name allows it", err)
}

// departmentJSON is a department as programs get it. The names of the fields stay as they are.
type departmentJSON struct {
	ID       uint32 `json:"id"`
	Name     string `json:"name"`
	Parent   uint32 `json:"parent"`
	Priority uint32 `json:"priority"`
	Status   string `json:"status"`
	People   int    `json:"people"`
	Updated  uint32 `json:"updated"`
}

func departmentListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List all departments",
		Long: `List all departments, with the number of people who belong to each and have not
left. Long cells are cut to the width of the terminal; --json has everything.

The JSON is an array of objects with the fields
id, name, parent (an id, 0: none), priority, status (open, closed), people and
updated (Unix seconds).`,
		Example: "  dbproxy department list\n  dbproxy department list --json",
		Args:    cobra.NoArgs,
	}
	data, asJSON := targetFlags(c), jsonFlag(c)
	c.RunE = data.onRecords(func(store *records.Store, _ []string) error {
		list, err := listDepartments(c, store)
		if err != nil {
			return err
		}
		if *asJSON {
			return showJSON(c.OutOrStdout(), list)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(c.OutOrStdout(),
				`There are no departments yet; "dbproxy department add NAME" makes one.`)
			return err
		}
		t := terminal.Table{{"ID", "NAME", "PARENT", "PRIORITY", "PEOPLE", "STATUS"}}
		for _, d := range list {
			t = append(t, []string{id(d.ID), d.Name, names{}.name(d.Parent), id(d.Priority),
				fmt.Sprint(d.People), d.Status})
		}
		return t.WriteWithin(c.OutOrStdout(), terminal.Columns(c.OutOrStdout()), 1)
	})
	return c
}

func listDepartments(c *cobra.Command, store *records.Store) ([]departmentJSON, error) {
	all, err := store.AllDepartments(c.Context())
	if err != nil {
		return nil, err
	}
	people, err := store.Headcounts(c.Context())
	list := make([]departmentJSON, len(all))
	for i, d := range all {
		list[i] = departmentJSON{d.ID, d.Name, d.Parent, d.Priority, departmentStatus(d.Status),
			people[d.ID], d.Updated}
	}
	return list, err
}

// departmentStatus is the word for a value of IMDepart.status.
func departmentStatus(status uint32) string { return admin.WordFor(status, "open", "closed") }
