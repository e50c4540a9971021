package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker; see the Makefile.
var release = "dev"

func version() string {
	built := release
	if r := revision(); r != "" {
		built += " " + r
	}
	return fmt.Sprintf("%s (%s %s/%s)", built, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// revision is the commit the program was built from, shortened; empty when it is not known.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return ""
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  dbproxy version",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "dbproxy", version())
			return err
		},
	}
}
