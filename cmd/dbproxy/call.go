package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/tryout/call"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// What "dbproxy call" exits with, besides 0 and 1.
const (
	exitRefused    = 2
	exitUnanswered = 3
)

// calling is what "dbproxy call" is asked for.
type calling struct {
	call.Call
	list, describe, example, decode bool
	data                            call.Data
	texts                           func() (chat.TextCipher, error) // for decode
}

func callCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "call MESSAGE [JSON]",
		Short: "Send one request and print its answer as JSON",
		Long: `Send one request of the protocol to a running proxy and print its answer.

MESSAGE is the request's name: IMUsersInfoReq, or usersinfo for short. JSON has
its fields, in protobuf's JSON form: enums by name or number, bytes in base64;
"-" reads it from standard input. Fields with a natural value can be left out:
--describe shows which. --text and --file fill msg_data without base64.

--decode shows texts that TeamTalk's clients have encrypted as what they wrote,
and all others as they are.

The exit code says what became of it:
  0  answered; or sent, when the request has no answer
  1  not sent, or the connection failed: see the error
  2  refused: answered with a result_code other than 0, or with msg_id 0
  3  not answered in time: the server is silent about some refusals`,
		Example: `  dbproxy call --list
  dbproxy call --describe IMUsersInfoReq
  dbproxy call IMUsersInfoReq '{"user_id_list": [1, 2]}'
  dbproxy call IMMsgData '{"from_user_id": 1, "to_session_id": 2}' --text hi
  dbproxy call IMGetMsgListReq '{"user_id": 2, "session_id": 1}' --decode
  dbproxy call --example IMUnreadMsgCntReq | dbproxy call IMUnreadMsgCntReq -`,
	}
	var a calling
	a.flags(c)
	c.Args = func(c *cobra.Command, args []string) error {
		return errors.Join(onlyOne(c, "list", "describe", "example"), a.checkArgs(args))
	}
	c.ValidArgsFunction = completeRequests
	c.RunE = func(c *cobra.Command, args []string) error { return a.run(c, args) }
	return c
}

// flags gives the command its flags.
func (a *calling) flags(c *cobra.Command) {
	f := c.Flags()
	f.SortFlags = false
	f.BoolVar(&a.list, "list", false, "list all requests")
	f.BoolVar(&a.describe, "describe", false, "explain MESSAGE, its fields and its answer")
	f.BoolVar(&a.example, "example", false, "print JSON for MESSAGE, filled, to be edited")
	f.StringVar(&a.data.Text, "text", "", "fill the message's data (msg_data) with `text`")
	f.StringVar(&a.data.File, "file", "", "fill it with what is in a file of that `name`")
	f.Uint32Var(&a.data.Seconds, "voice", 0, "with --file: a voice message of so many `seconds`")
	f.BoolVar(&a.decode, "decode", false,
		"show bytes as text, decrypted; as \"base64:...\" if they are none")
	f.BoolVar(&a.Raw, "raw", false, "show the frames, explained, on standard error")
	a.texts = textsFlag(c)
	f.StringVar(&a.Addr, "addr", defaultAddr, "the proxy's `address`")
	f.DurationVar(&a.Timeout, "timeout", 10*time.Second, "how long to wait for the answer")
	c.MarkFlagsMutuallyExclusive("list", "describe", "example")
}

// onlyOne refuses two of these flags at once.
func onlyOne(c *cobra.Command, flags ...string) error {
	flags = slices.DeleteFunc(flags, func(name string) bool { return !c.Flags().Changed(name) })
	if len(flags) > 1 {
		return fmt.Errorf("--%s and --%s ask for different things: give one of the two", flags[0],
			flags[1])
	}
	return nil
}

// run does what the flags ask for.
func (a *calling) run(c *cobra.Command, args []string) error {
	if a.Timeout <= 0 {
		return fmt.Errorf("--timeout %v: must be above 0, such as 5s or 300ms", a.Timeout)
	}
	if a.list {
		return call.List(c.OutOrStdout())
	}
	e, err := catalog.Lookup(args[0])
	if answered, ok := catalog.LookupAnswer(args[0]); a.describe && ok {
		e, err = answered, nil
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w (\"dbproxy call --list\" lists them all)", err)
	case a.describe:
		return call.Describe(c.OutOrStdout(), e)
	case a.example:
		return call.Example(c.OutOrStdout(), e)
	default:
		return a.send(c, e, args[1:])
	}
}

// send sends a request of kind e, with the JSON that args has or points to.
func (a *calling) send(c *cobra.Command, e catalog.Entry, args []string) error {
	text, err := requestJSON(c, args)
	if err != nil {
		return err
	}
	a.data.IsText, a.data.IsVoice = c.Flags().Changed("text"), c.Flags().Changed("voice")
	req, err := call.Request(e, text, a.data)
	if err != nil {
		return err
	}
	if a.decode {
		texts, err := a.texts()
		if err != nil {
			return err
		}
		a.Texts = &texts
	}
	a.Out, a.Notes = c.OutOrStdout(), c.ErrOrStderr()
	err = a.Do(c.Context(), e, req)
	if failed, ok := errors.AsType[*call.Error](err); ok {
		code := exitUnanswered
		if failed.Answered {
			code = exitRefused
		}
		return &exitError{code, err}
	}
	return err
}

// requestJSON is the JSON that args has, or that standard input has where args say "-".
func requestJSON(c *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) == 0:
		return "{}", nil
	case args[0] != "-":
		return args[0], nil
	}
	if terminal.Is(c.InOrStdin()) {
		fmt.Fprintln(c.ErrOrStderr(), "Type the JSON of the request; Ctrl-D ends it.")
	}
	read := func() ([]byte, error) { return io.ReadAll(c.InOrStdin()) }
	b, err := terminal.Interruptible(c.Context(), read)
	if err != nil {
		return "", fmt.Errorf("reading JSON from standard input: %w", err)
	}
	if strings.TrimSpace(string(b)) == "" {
		return "", errors.New("standard input is empty; \"-\" reads JSON from it")
	}
	return string(b), nil
}

// checkArgs wants nothing with --list, the name of a request with --describe and --example, and
// else perhaps JSON, too.
func (a *calling) checkArgs(args []string) error {
	switch {
	case a.list && len(args) > 0:
		return fmt.Errorf("--list lists all requests and takes no %q; "+
			"to explain one: dbproxy call --describe %s", args[0], args[0])
	case a.list:
		return nil
	case len(args) == 0:
		return errors.New(`which request? "dbproxy call --list" lists them, ` +
			`"dbproxy call --help" has examples`)
	case (a.describe || a.example) && len(args) > 1:
		return fmt.Errorf("%q is one argument too many: "+
			"--describe and --example want the name of a request", args[1])
	case len(args) > 2:
		return fmt.Errorf("%q is one argument too many; "+
			"put the JSON into quotes: '{\"user_id\": 1}'", args[2])
	}
	return nil
}

// completeRequests completes the name of a request in a shell.
func completeRequests(
	_ *cobra.Command, args []string, _ string,
) (names []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		for _, e := range catalog.Entries() {
			names = append(names, cobra.CompletionWithDesc(e.Name(), e.About))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
