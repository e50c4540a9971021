// Command dbproxy is the storage server of the TeamTalk suite, with the commands of those who run
// it: see README.md.
//
// Files are named after commands: user_edit.go has "dbproxy user edit". A command is a function
// that makes a cobra.Command with its flags; the work is done by functions that it calls. Most
// commands begin with a target, which finds the data: a directory, or the servers that a
// configuration names. polish gives all commands the same form of help, suggestions and completion.
//
// The parts of a server meet in "dbproxy serve" alone. serve.go reads the flags, backend.go opens
// the stores, serve_run.go starts the server and all that runs beside it, serve_ops.go shows
// operators how they do, and serve_stop.go sees to it that all of it ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/descriptors"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once. Servers handle signals themselves: see ending.
	context.AfterFunc(ctx, stop)
	root := rootCommand()
	if args, ok := asOriginal(os.Args); ok {
		root.SetArgs(args)
	}
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, terminal.NewStyle(os.Stderr).Red("dbproxy:"),
			descriptors.Explain(err))
		os.Exit(exitCode(err))
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dbproxy",
		Short: "The storage server of the TeamTalk instant-messaging suite",
		Long: `dbproxy is the storage server of the TeamTalk instant-messaging suite. Message
servers connect to it and ask it to check logins, store and page messages, keep
unread counters, groups, sessions, push tokens and offline files.`,
		Example: `  dbproxy serve                      # serve on 127.0.0.1:10600, data in ./data
  echo secret | dbproxy user add ann # a person who can log in
  dbproxy user list`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("dbproxy {{.Version}}\n")
	root.Flags().BoolP("version", "v", false, "print the version")
	root.AddCommand(serveCommand(), migrateCommand(), doctorCommand(), userCommand(),
		departmentCommand(), groupCommand(), callCommand(), versionCommand())
	root.AddCommand(configCommand())
	root.AddCommand(demoCommand(), chatCommand(), tailCommand(), benchCommand())
	addCompletion(root)
	polish(root)
	return root
}

// group is a command that only holds others. Called alone it explains itself; called with a word it
// does not know, it fails and suggests one.
func group(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(c, args[0])
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// exitError is an error that ends the command with a code of its own instead of 1.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitCode returns the code with which the process exits after err.
func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return 1
}
