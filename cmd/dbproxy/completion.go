package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// addCompletion gives root cobra's own command that prints scripts for completion, with a help like
// all others. The shells are not shown as commands of their own: that help is about all of them.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	commands := root.Commands()
	c := commands[slices.IndexFunc(commands, func(c *cobra.Command) bool {
		return c.Name() == "completion"
	})]
	c.Use = "completion bash|zsh|fish|powershell"
	c.Short = "Print a script that lets your shell complete commands and flags"
	c.Long = `Print a script that lets your shell complete commands, flags and arguments of
dbproxy when you press Tab. The examples are for one shell each: the first line
is for the running shell, what follows for all that you start later. The shell
must find dbproxy by its name, so put its directory into PATH.

bash needs the package bash-completion; zsh needs "compinit" to have been run.`
	c.Example = `  # bash
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
  dbproxy completion powershell >> $PROFILE`
	c.DisableFlagsInUseLine = true
	for _, shell := range c.Commands() {
		shell.Hidden, shell.Long, shell.Example = true, c.Long, c.Example
		c.ValidArgs = append(c.ValidArgs, shell.Name())
	}
}
