package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// What "dbproxy call" exits with, besides 0 and 1.
const (
	exitRefused    = 2
	exitUnanswered = 3
)

// calling is what "dbproxy call" is asked for.
type calling struct {
	addr        string
	timeout     time.Duration
	raw, decode bool
	texts       func() (chat.TextCipher, error) // for decode
	data        callData
	in          io.Reader
	out, notes  io.Writer // notes is standard error
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
	var call calling
	f := c.Flags()
	f.SortFlags = false
	list := f.Bool("list", false, "list all requests")
	describe := f.Bool("describe", false, "explain MESSAGE, its fields and its answer")
	example := f.Bool("example", false, "print JSON for MESSAGE, filled, to be edited")
	f.StringVar(&call.data.text, "text", "", "fill the message's data (msg_data) with `text`")
	f.StringVar(&call.data.file, "file", "", "fill it with what is in a file of that `name`")
	f.Uint32Var(&call.data.seconds, "voice", 0, "with --file: a voice message of so many `seconds`")
	f.BoolVar(&call.decode, "decode", false,
		"show bytes as text, decrypted; as \"base64:...\" if they are none")
	f.BoolVar(&call.raw, "raw", false, "show the frames, explained, on standard error")
	call.texts = textsFlag(c)
	f.StringVar(&call.addr, "addr", "127.0.0.1:10600", "the proxy's `address`")
	f.DurationVar(&call.timeout, "timeout", 10*time.Second, "how long to wait for the answer")
	c.MarkFlagsMutuallyExclusive("list", "describe", "example")
	c.Args = func(c *cobra.Command, args []string) error { return checkCallArgs(args, *list, *describe || *example) }
	c.ValidArgsFunction = completeRequests
	c.RunE = func(c *cobra.Command, args []string) error {
		if call.timeout <= 0 {
			return fmt.Errorf("--timeout %v: must be above 0, such as 5s or 300ms", call.timeout)
		}
		call.in, call.out, call.notes = c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()
		call.data.isText, call.data.isVoice = f.Changed("text"), f.Changed("voice")
		if *list {
			return call.list()
		}
		e, err := catalog.Lookup(args[0])
		if answered, ok := catalog.LookupAnswer(args[0]); *describe && ok {
			e, err = answered, nil
		}
		if err != nil {
			return fmt.Errorf("%w (\"dbproxy call --list\" lists them all)", err)
		}
		switch {
		case *describe:
			return call.describe(e)
		case *example:
			return call.example(e)
		}
		return call.run(c.Context(), e, args[1:])
	}
	return c
}

// checkCallArgs wants nothing with --list, a request's name with --describe and --example, and else perhaps JSON, too.
func checkCallArgs(args []string, list, about bool) error {
	switch {
	case list && len(args) > 0:
		return fmt.Errorf("--list lists all requests and takes no %q; to explain one: dbproxy call --describe %s", args[0], args[0])
	case list:
		return nil
	case len(args) == 0:
		return errors.New(`which request? "dbproxy call --list" lists them, "dbproxy call --help" has examples`)
	case about && len(args) > 1:
		return fmt.Errorf("%q is one argument too many: --describe and --example want the name of a request", args[1])
	case len(args) > 2:
		return fmt.Errorf("%q is one argument too many; put the JSON into quotes: '{\"user_id\": 1}'", args[2])
	}
	return nil
}

// completeRequests completes the name of a request in the shell.
func completeRequests(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, e := range catalog.Entries() {
		names = append(names, e.Name()+"\t"+e.About)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
