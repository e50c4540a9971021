package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/spelling"
)

// shells are those that completions exist for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a script that lets your shell complete commands and flags",
		Long: `Print a script that lets your shell complete commands, flags and arguments of
dbproxy when you press Tab. The examples are for one shell each: the first line
is for the running shell, what follows for all that you start later. The shell
must find dbproxy by its name, so put its directory into PATH.

bash needs the package bash-completion; zsh needs "compinit" to have been run.`,
		Example: `  # bash
  source <(dbproxy completion bash)
  mkdir -p ~/.local/share/bash-completion/completions
  dbproxy completion bash > ~/.local/share/bash-completion/completions/dbproxy

  # zsh
  source <(dbproxy completion zsh)
  echo 'autoload -U compinit; compinit' >> ~/.zshrc
  echo 'source <(dbproxy completion zsh)' >> ~/.zshrc

  # fish
  dbproxy completion fish | source
  mkdir -p ~/.config/fish/completions
  dbproxy completion fish > ~/.config/fish/completions/dbproxy.fish

  # powershell
  dbproxy completion powershell | Out-String | Invoke-Expression
  dbproxy completion powershell >> $PROFILE`,
		ValidArgs:             shells,
		DisableFlagsInUseLine: true,
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%q wants the name of your shell: %s", c.CommandPath(), strings.Join(shells, ", "))
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		out := c.OutOrStdout()
		switch args[0] {
		case "bash":
			return c.Root().GenBashCompletionV2(out, true)
		case "zsh":
			return c.Root().GenZshCompletion(out)
		case "fish":
			return c.Root().GenFishCompletion(out, true)
		case "powershell":
			return c.Root().GenPowerShellCompletionWithDesc(out)
		}
		hint := "choose " + strings.Join(shells, ", ")
		if meant := spelling.Nearest(args[0], shells); len(meant) > 0 {
			hint = spelling.DidYouMean(meant)
		}
		return fmt.Errorf("there is no completion for %q; %s", args[0], hint)
	}
	return c
}
