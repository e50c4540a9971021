package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records"
)

func departmentCommand() *cobra.Command {
	c := group(&cobra.Command{
		Use:     "department",
		Short:   "Make and list departments",
		Long:    "Make and list the departments that people belong to. This works on the data\ndirectory, beside a running \"dbproxy serve\", which sees the change at once.",
		Example: "  dbproxy department list",
	})
	c.AddCommand(departmentAddCommand(), departmentListCommand())
	return c
}

func departmentAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a department",
		Example: `  dbproxy department add Engineering
  dbproxy department add 后端 --parent 1 --priority 2`,
		Args: oneArg("the department's name"),
	}
	data := dataFlag(c)
	var d chat.Department
	c.Flags().Uint32Var(&d.Parent, "parent", 0, "the `id` of the department above it (default: none)")
	c.Flags().Uint32Var(&d.Priority, "priority", 0, "the `place` among its neighbours in clients' lists")
	c.RunE = func(c *cobra.Command, args []string) error {
		d.Name = args[0]
		return withRecords(c.Context(), *data, func(store *records.Store) error {
			n, err := store.AddDepartment(c.Context(), d)
			if err != nil {
				return fmt.Errorf("department not added: %w", err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "department %d added: %s\n", n, d.Name)
			return err
		})
	}
	return c
}

func departmentListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List all departments",
		Example: "  dbproxy department list --data ./data",
		Args:    cobra.NoArgs,
	}
	data := dataFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withRecords(c.Context(), *data, func(store *records.Store) error {
			t := table{{"ID", "NAME", "PARENT", "PRIORITY", "STATUS"}}
			departments, err := store.DepartmentsChanged(c.Context(), 0)
			for _, d := range departments {
				status := id(d.Status)
				if d.Status < 2 {
					status = []string{"open", "closed"}[d.Status]
				}
				t = append(t, []string{id(d.ID), d.Name, id(d.Parent), id(d.Priority), status})
			}
			return errors.Join(err, t.write(c.OutOrStdout()))
		})
	}
	return c
}
