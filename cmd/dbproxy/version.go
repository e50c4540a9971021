package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// release and commit are set by the linker; see the Makefile. "go build" alone sets neither.
var release, commit = "dev", ""

func version() string {
	built := release
	if r := revision(); r != unknown &&
		!strings.HasPrefix(r, strings.TrimSuffix(release, "-dirty")) {
		built += " " + r
	}
	return fmt.Sprintf("%s (%s %s/%s)", built, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// unknown is a revision that nobody knows, as of sources that are in no repository.
const unknown = "unknown"

// revision is the commit the program was built from, shortened, or unknown.
func revision() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return unknown
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
