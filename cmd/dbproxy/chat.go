package main

import (
	"bufio"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/tryout/chatui"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// chatting is what "dbproxy chat" is asked for.
type chatting struct {
	addr           *string
	name           string
	encrypt, stdin bool
	texts          func() (chat.TextCipher, error)
}

func chatCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "chat --as NAME",
		Short: "Chat as somebody, through a running proxy",
		Long: `Chat as somebody, through a running proxy: list people and talks, open one,
type, page back. /help tells how. What is new is asked for every second.

Texts of TeamTalk's own clients are encrypted, and shown as what was written.
What you write goes as it is, which those clients cannot read: with --encrypt it
goes encrypted as theirs.

The password is asked for; with "serve --demo" it is demo. Scripts give it as
the first line of standard input; then every line is a message or a command,
as if typed, and the exit code is 1 when one of them could not be done.`,
		Example: `  dbproxy chat --as ann
  dbproxy chat --as ann --encrypt --config dbproxyserver.conf
  printf 'demo\n/open bob\nhello\n' | dbproxy chat --as ann --password-stdin`,
		Args: cobra.NoArgs,
	}
	a := chatting{addr: proxyFlag(c)}
	f := c.Flags()
	f.StringVar(&a.name, "as", "", "the `name` to log in with")
	f.BoolVar(&a.encrypt, "encrypt", false,
		"send texts encrypted, so that TeamTalk's own clients can read them")
	a.texts = textsFlag(c)
	f.BoolVar(&a.stdin, "password-stdin", false,
		"read the password from the first line of standard input")
	c.RunE = func(c *cobra.Command, _ []string) error { return a.run(c) }
	return c
}

// run chats until the person leaves.
func (a *chatting) run(c *cobra.Command) error {
	if a.name == "" {
		return errors.New("say who you are with --as, for example: dbproxy chat --as ann")
	}
	texts, err := a.texts()
	if err != nil {
		return err
	}
	conn, err := reach(c.Context(), *a.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	opt := chatui.Options{
		Client: conn, Name: a.name,
		Style: terminal.NewStyle(c.OutOrStdout()), Readable: texts.Readable,
	}
	if a.encrypt {
		opt.Encrypt = texts.Encrypt
	}
	in := bufio.NewReader(c.InOrStdin())
	if opt.Password, err = chatPassword(c, in, a.name, a.stdin); err != nil {
		return err
	}
	if a.stdin {
		opt.Before = 1
	}
	sits := terminal.Is(c.InOrStdin()) && terminal.Is(c.OutOrStdout())
	if !sits || os.Getenv("TERM") == "dumb" {
		opt.Screen = terminal.NewPipe(in, c.OutOrStdout(), c.ErrOrStderr())
		return chatui.Run(c.Context(), opt)
	}
	editor, err := terminal.NewEditor(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	opt.Screen = editor
	return errors.Join(chatui.Run(c.Context(), opt), editor.Close())
}

// chatPassword asks for a password on a terminal, or reads it from the first line of in.
func chatPassword(c *cobra.Command, in *bufio.Reader, name string, stdin bool) (string, error) {
	if stdin {
		password, err := terminal.PipedPassword(c.Context(), in)
		if err == nil && password == "" {
			err = errors.New("no password on standard input: it must be the first line")
		}
		return password, err
	}
	if !terminal.Is(c.InOrStdin()) {
		return "", errors.New("no terminal to ask for the password on: " +
			"give it as the first line of standard input, with --password-stdin")
	}
	return terminal.Password(c.Context(), os.Stdin, c.ErrOrStderr(), "Password of "+name+": ")
}
