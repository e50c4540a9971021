package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/teamtalk-go/dbproxy/internal/config"
)

// addLimits gives a command the limits as flags.
func addLimits(c *cobra.Command, limits *config.Flags) {
	for _, l := range limits.Each {
		c.Flags().AddFlag(&pflag.Flag{
			Name: l.Name, Usage: l.Usage, Value: l, DefValue: l.String(),
			Annotations: map[string][]string{section: {limitFlags}},
		})
	}
}

// named says what to set to change a limit: its key and its flag, or the flag alone where there is
// no configuration.
func (s serving) named(key string) string {
	if s.conf == nil {
		return config.FlagOf(key)
	}
	return key + " (" + config.FlagOf(key) + ")"
}
