// Package chatui is a small chat in lines, over the proxy's protocol, for trying things. It logs
// in, lists people and talks, opens a talk, sends, and pages back.
//
// One goroutine does it all (chat.loop). It takes what is typed, line by line, and has an answer to
// each request before it goes on. A proxy sends nothing by itself, so every second the loop asks
// for the counts of unread messages, and for the newest page of the open talk.
//
// A read ack clears all of a talk, also messages that came after the last page was shown. So when a
// talk is left, the ack goes first, and what is shown after it has everything that the ack cleared
// (chat.leave).
package chatui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/spelling"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// Screen is what a person sits at, or a script writes to.
type Screen interface {
	// Lines has what is typed. It is closed when there is no more.
	Lines() <-chan string
	// Print prints lines.
	Print(lines string)
	// Complain prints a line about something that went wrong.
	Complain(line string)
	// Prompt sets what stands before the line that is being typed, if a person sees it.
	Prompt(prompt string)
	// Live reports whether a person sits there. Then a greeting is shown, and the times of
	// messages.
	Live() bool
}

// Options are what a chat needs.
type Options struct {
	Client         *client.Client
	Screen         Screen
	Style          terminal.Style
	Name, Password string        // the password as typed
	Before         int           // how many lines of the input were read before Screen got it
	Every          time.Duration // how often it asks what is new; 0 means every second

	// Readable decrypts a text, if a client has encrypted it; nil: texts are shown as they are.
	Readable func(text string) string
	// Encrypt encrypts a text that is sent; nil: texts are sent as they were typed.
	Encrypt func(text string) string
}

// answerWithin is how long the chat waits for an answer. A proxy gives up on a request after 5
// seconds.
const answerWithin = 6 * time.Second

// chat is one chat at work. The goroutine of Run owns it.
type chat struct {
	Options
	me     *impb.UserInfo
	people map[uint32]*impb.UserInfo  // by id; with groups, this is the book
	groups map[uint32]*impb.GroupInfo // by id: those that one is in
	unread map[talk]uint32            // how many messages, as the proxy said last

	open           talk   // zero when none is
	oldest, newest uint32 // ids of the messages of it that were shown; 0: none
}

// The kinds of talks.
const pair, group = impb.SessionType_SESSION_TYPE_SINGLE, impb.SessionType_SESSION_TYPE_GROUP

// talk is a conversation as the protocol names it: with a user, or in a group.
type talk struct {
	kind impb.SessionType
	id   uint32
}

// errQuit is returned by the command that ends the chat.
var errQuit = errors.New("quit")

// Run chats until the lines end, the person quits, or ctx ends. Where no person sits, it returns an
// error when a line could not be done. The connection stays open.
func Run(ctx context.Context, opt Options) error {
	if opt.Every == 0 {
		opt.Every = time.Second
	}
	c := &chat{Options: opt, unread: make(map[talk]uint32)}
	if err := c.login(ctx); err != nil {
		return err
	}
	if err := c.loadBook(ctx); err != nil {
		return err
	}
	if c.Screen.Live() {
		nick := c.Style.Bold(terminal.Clean(c.me.GetUserNickName()))
		c.Screen.Print("You are " + nick +
			". Open a talk with /open NAME, then type; /help tells more.\n")
		if err := c.talks(ctx, ""); err != nil {
			return err
		}
	} else if err := c.hear(ctx, false); err != nil {
		return err
	}
	return c.loop(ctx)
}

// login has the proxy check the password. A login is no more than that to a proxy.
func (c *chat) login(ctx context.Context) error {
	answer, err := ask[*impb.IMValidateRsp](ctx, c, &impb.IMValidateReq{
		UserName: &c.Name, Password: proto.String(client.WirePassword(c.Password)),
	})
	if err != nil {
		return err
	}
	switch answer.GetResultCode() {
	case 0:
		c.me = answer.GetUserInfo()
		return nil
	case 1:
		return fmt.Errorf("%s cannot log in: wrong name or password, or disabled; "+
			"\"dbproxy user show %[1]s\" tells", c.Name)
	case 6:
		return fmt.Errorf("%s cannot log in: too many failed logins; try again in half an hour, "+
			"or let an administrator run \"dbproxy user unlock %[1]s\"", c.Name)
	default:
		return fmt.Errorf("%s cannot log in: the proxy could not check it (code %d); "+
			"its log tells why", c.Name, answer.GetResultCode())
	}
}

// loop does what lines say, and asks what is new, until one of them ends the chat.
func (c *chat) loop(ctx context.Context) error {
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	stopping := c.Client.Stopping()
	lines, failed := 0, 0
	for {
		prompt := c.Name + "> "
		if c.open != (talk{}) {
			prompt = c.Name + " → " + c.label(c.open) + "> "
		}
		c.Screen.Prompt(prompt)
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-c.Client.Done():
			return c.lost()
		case <-stopping:
			stopping = nil
			c.Screen.Complain("the proxy is stopping")
		case <-tick.C:
			err = c.refresh(ctx)
		case line, ok := <-c.Screen.Lines():
			if ok {
				lines++
				err = c.do(ctx, line)
			}
			if !ok || errors.Is(err, errQuit) {
				return errors.Join(c.leave(ctx), c.lost(), c.undone(failed))
			}
			if err != nil {
				failed++
				if !c.Screen.Live() {
					err = fmt.Errorf("line %d: %w", c.Before+lines, err)
				}
			}
		}
		if err != nil && ctx.Err() == nil && c.Client.Err() == nil {
			c.Screen.Complain(err.Error())
		}
	}
}

// lost is the error that a lost connection ends the chat with; nil while it holds.
func (c *chat) lost() error {
	err := c.Client.Err()
	if err != nil && c.Client.IsStopping() {
		return errors.New("the proxy has stopped; chat again when it is back")
	}
	return err
}

// undone is the error that a script with lines that could not be done ends with.
func (c *chat) undone(failed int) error {
	if c.Screen.Live() || failed == 0 {
		return nil
	}
	if failed == 1 {
		return errors.New("1 line could not be done")
	}
	return fmt.Errorf("%d lines could not be done", failed)
}

// do does what one line says.
func (c *chat) do(ctx context.Context, line string) error {
	line = strings.TrimSpace(line)
	if text, ok := strings.CutPrefix(line, "//"); ok {
		return c.send(ctx, "/"+text)
	}
	if !strings.HasPrefix(line, "/") {
		if line == "" {
			return nil
		}
		return c.send(ctx, line)
	}
	if c.Screen.Live() {
		c.Screen.Print(c.Style.Dim(terminal.Clean(line)))
	}
	word, rest, _ := strings.Cut(line, " ")
	var words []string
	for _, k := range commands() {
		if k.word == word {
			return k.do(c, ctx, strings.TrimSpace(rest))
		}
		words = append(words, k.word)
	}
	hint := "/help lists what there is"
	if meant := spelling.Nearest(word, words); len(meant) > 0 {
		hint = spelling.DidYouMean(meant) + " " + hint
	}
	return fmt.Errorf("there is no %s; %s (to send a text that begins with /, type //)",
		terminal.Clean(word), hint)
}

// ask sends a request and returns its answer.
func ask[A proto.Message](ctx context.Context, c *chat, req proto.Message) (A, error) {
	late := fmt.Errorf("no answer within %v", answerWithin)
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, late)
	defer cancel()
	return client.Call[A](ctx, c.Client, req)
}
