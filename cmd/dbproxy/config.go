package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Look at the configuration for MySQL and Redis",
		Long: `Look at the configuration for MySQL and Redis, the original's
dbproxyserver.conf: docs/configuration.md explains it.`,
		Example: `  dbproxy config example > dbproxyserver.conf
  dbproxy config show
  dbproxy config check`,
	}
	c.AddCommand(configExampleCommand(), configShowCommand(), configCheckCommand())
	return c
}

func configExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a configuration with every key, explained",
		Long: `Print a configuration to begin with. It has every key, what it is for, and its
default.`,
		Example: "  dbproxy config example > dbproxyserver.conf",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(c.OutOrStdout(), config.Example())
			return err
		},
	}
}

func configShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Print what holds for every key, and where it comes from",
		Long: `Print what holds for every key that is used, and whether it comes from the file
(default dbproxyserver.conf), from an environment variable or is the default.
Secrets are not shown. Mistakes are listed, all at once.`,
		Example: `  dbproxy config show
  dbproxy config show /etc/dbproxy/dbproxyserver.conf --json`,
		Args: oneFile,
	}
	asJSON := jsonFlag(c)
	file := fileArgument(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		path, err := file(args)
		if err != nil {
			return err
		}
		cfg, err := loadConfig(c, path)
		if err != nil {
			return err
		}
		if *asJSON {
			return showJSON(c.OutOrStdout(), settingsJSON(cfg))
		}
		t := terminal.Table{{"KEY", "VALUE", "FROM"}}
		for _, s := range cfg.Settings() {
			t = append(t, []string{s.Key, cmp.Or(s.Value, "-"), fromOf(s)})
		}
		return t.WriteFolded(c.OutOrStdout(), terminal.Columns(c.OutOrStdout()), 1, 2)
	}
	return c
}

// loadConfig loads a configuration, with the environment above it, and prints the warnings to
// standard error.
func loadConfig(c *cobra.Command, path string) (*config.Config, error) {
	cfg, warnings, err := config.Load(path, os.Environ(), nil)
	warn(c, warnings)
	return cfg, err
}

// warn prints warnings to standard error.
func warn(c *cobra.Command, warnings []config.Warning) {
	style := terminal.NewStyle(c.ErrOrStderr())
	for _, w := range warnings {
		fmt.Fprintln(c.ErrOrStderr(), style.Bold("warning:"), printable(w.String()))
	}
}

// fileArgument gives a command with an argument FILE the flag --config for it, too, as all others
// have it.
func fileArgument(c *cobra.Command) (path func(args []string) (string, error)) {
	flag := c.Flags().String("config", "", "the same as FILE, a configuration `file`")
	_ = c.MarkFlagFilename("config", "conf") // fails only without the flag
	return func(args []string) (string, error) {
		switch named := c.Flags().Changed("config"); {
		case named && len(args) > 0:
			return "", errors.New("FILE and --config are the same: give one of the two")
		case named:
			return *flag, nil
		case len(args) > 0:
			return args[0], nil
		default:
			return config.File, nil
		}
	}
}

// fromOf is where a setting comes from, for people.
func fromOf(s config.Setting) string { return cmp.Or(s.From, "default") }

// settingJSON is a setting for programs.
type settingJSON struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default bool   `json:"default"`
	From    string `json:"from"`
}

func settingsJSON(cfg *config.Config) (list []settingJSON) {
	for _, s := range cfg.Settings() {
		list = append(list, settingJSON{Key: s.Key, Value: s.Value, Default: s.From == "",
			From: fromOf(s)})
	}
	return list
}
