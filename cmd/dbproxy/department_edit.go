package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

func departmentEditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "edit DEPARTMENT",
		Short: "Change a department",
		Long: `Change a department, named by id or name. Only what a flag is given for changes.
People stay in it; it keeps its id. The name of another open one under the same
parent is refused without --same-name.`,
		Example: `  dbproxy department edit Engineering --priority 3
  dbproxy department edit 2 --parent 0
  dbproxy department edit 3 --name 产品部`,
		Args: oneArg("the id or name of a department"),
	}
	data := targetFlags(c)
	f := c.Flags()
	name := f.String("name", "", "the new `name`")
	parent := f.String("parent", "", "the department above it, by id or `name` (0: none)")
	priority := f.Uint32("priority", 0, "the `place` among its neighbours in clients' lists")
	sameName := sameNameFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if !f.Changed("name") && !f.Changed("parent") && !f.Changed("priority") {
			return fmt.Errorf("say what to change; for example:\n%s", c.Example)
		}
		var above uint32
		var departments names
		find := func(store *records.Store) (err error) {
			if above, err = departmentID(c.Context(), store, *parent); err == nil {
				departments, err = departmentNames(c.Context(), store)
			}
			return err
		}
		return changesDepartment(data, sameName, find, func(d *chat.Department) string {
			var said []string
			if f.Changed("name") && d.Name != *name {
				said = append(said, fmt.Sprintf("name %q -> %q", d.Name, *name))
				d.Name = *name
			}
			if f.Changed("parent") && d.Parent != above {
				said = append(said, fmt.Sprintf("parent %s -> %s", departments.said(d.Parent),
					departments.said(above)))
				d.Parent = above
			}
			if f.Changed("priority") && d.Priority != *priority {
				said = append(said, fmt.Sprintf("priority %d -> %d", d.Priority, *priority))
				d.Priority = *priority
			}
			return strings.Join(said, ", ")
		})(c, args)
	}
	return c
}

func departmentCloseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "close DEPARTMENT",
		Short: "Close a department",
		Long: `Note that a department, named by id or name, is closed; clients are told so.
Nothing is deleted, and the people and departments in it stay there: move them
with "dbproxy user edit" and "dbproxy department edit". "dbproxy department
reopen" takes it back.`,
		Example: "  dbproxy department close Engineering",
		Args:    oneArg("the id or name of a department"),
	}
	var list []departmentJSON
	find := func(store *records.Store) (err error) {
		list, err = listDepartments(c, store)
		return err
	}
	c.RunE = changesDepartment(targetFlags(c), new(bool), find, func(d *chat.Department) string {
		d.Status = 1
		return "closed" + leftIn(d.ID, list)
	})
	return c
}

// leftIn says who and what still belongs to a department.
func leftIn(department uint32, list []departmentJSON) string {
	people, below := 0, 0
	for _, d := range list {
		if d.ID == department {
			people = d.People
		}
		if d.Parent == department && d.Status == "open" {
			below++
		}
	}
	var left []string
	if people > 0 {
		left = append(left, admin.Count(people, "person"))
	}
	if below > 0 {
		left = append(left, admin.Count(below, "open department"))
	}
	if left == nil {
		return ""
	}
	return "; still in it: " + strings.Join(left, " and ")
}

func departmentReopenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reopen DEPARTMENT",
		Short: "Open a closed department again",
		Long: `Open a closed department, named by id or name, again; clients are told so. Where
there is an open one of its name under its parent it is refused without
--same-name.`,
		Example: "  dbproxy department reopen Engineering",
		Args:    oneArg("the id or name of a department"),
	}
	sameName := sameNameFlag(c)
	none := func(*records.Store) error { return nil }
	c.RunE = changesDepartment(targetFlags(c), sameName, none, func(d *chat.Department) string {
		d.Status = 0
		return "open again"
	})
	return c
}

// changesDepartment has a command change the department that its argument names, and print what
// change says about it. find runs before, for what change needs to know.
func changesDepartment(
	t *target, sameName *bool, find func(*records.Store) error,
	change func(*chat.Department) string,
) runs {
	return t.changes("department not changed",
		func(store *records.Store, args []string) (string, error) {
			if err := find(store); err != nil {
				return "", err
			}
			found, err := admin.FindDepartment(t.cmd.Context(), store, args[0])
			if err != nil {
				return "", err
			}
			said := ""
			changed, err := store.ChangeDepartment(t.cmd.Context(), found.ID, *sameName,
				func(d *chat.Department) error {
					said = change(d)
					return nil
				})
			if !changed {
				said = "nothing changed, it is so already"
			}
			return fmt.Sprintf("department %d (%s): %s", found.ID, printable(found.Name),
				said), sameNameHint(err)
		})
}
