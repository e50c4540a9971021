// Package call serves "dbproxy call": it makes one request of JSON, sends it to a proxy, and prints
// the answer as JSON. What requests there are, what their fields mean and which of them have a
// natural value, package catalog knows; what is said about them here is the comments of proto/.
//
// A request goes through a tap, a connection that keeps the bytes, so that the frames can be
// explained one by one (frame.go). The answer is decoded without its required fields being insisted
// on, as a server leaves some out when it fails. An answer that says no, and none at all, is an
// *Error, which explains what that may mean.
package call

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// Call sends requests to a proxy.
type Call struct {
	Addr       string           // of the proxy, HOST:PORT
	Timeout    time.Duration    // for connecting and the answer together
	Raw        bool             // explain the frames, on Notes
	Texts      *chat.TextCipher // shows bytes as text, decrypted; nil: they are shown in base64
	Out, Notes io.Writer        // for the answer, and for people
}

// Error says that a request was sent, and that it was refused or not answered.
type Error struct {
	Answered bool
	text     string
}

func (e *Error) Error() string { return e.text }

// failure makes an Error of what happened, and of sentences about why.
func failure(answered bool, what, why string) *Error {
	return &Error{answered, what + "\n" + terminal.Indent(why, "", lineWidth)}
}

// Do sends a request of kind e and prints its answer. Its error is an *Error when the request was
// refused or not answered in time.
func (c *Call) Do(ctx context.Context, e catalog.Entry, req proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	tap := &tap{Conn: conn, on: c.Raw}
	cl := client.New(tap, c.Addr)
	var answer proto.Message
	if e.Answer == nil {
		err = c.post(ctx, cl, tap, req)
	} else {
		answer, err = c.exchange(ctx, cl, e, req)
	}
	cl.Close() // its error is always nil; from here on nothing else uses tap
	if c.Raw {
		err = errors.Join(err, tap.explain(c.Notes))
	}
	if err != nil || answer == nil {
		return err
	}
	var decoded decoder
	if c.Texts != nil {
		decoded = decoding(*c.Texts)
	}
	text, err := formatJSON(answer, decoded)
	if err != nil {
		return err
	}
	if _, err := c.Out.Write(text); err != nil {
		return err
	}
	return checkRefused(req, answer)
}

// dial connects to the proxy.
func (c *Call) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.Addr)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nothing listens on %s; "+
			"start a proxy there (dbproxy serve), or say where it is with --addr", c.Addr)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no connection to %s within %v; is that the right address (--addr)?",
			c.Addr, c.Timeout)
	default:
		return nil, fmt.Errorf("cannot connect to %s (--addr wants HOST:PORT): %w", c.Addr, err)
	}
}

// post sends a request that has no answer, and closes its side of the connection. The server closes
// its side when it is done with what came before, and post waits for that. A server that never does
// has the request as well.
func (c *Call) post(ctx context.Context, cl *client.Client, tap *tap, req proto.Message) error {
	if err := cl.Post(ctx, req); err != nil {
		return c.explain(cl, req, err)
	}
	note := "it has no answer, even when it is refused"
	if half, ok := tap.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		select {
		case <-cl.Done():
			// A pipe breaks when a heartbeat meets a connection that was closed for writing: no bad
			// sign.
			if err := cl.Err(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
				return c.explain(cl, req, err)
			}
		case <-ctx.Done():
			note += fmt.Sprintf(",\nand the proxy did not say within %v that it is done with it",
				c.Timeout)
		}
	}
	_, err := fmt.Fprintf(c.Notes, "%s sent; %s\n", catalog.Name(req), note)
	return err
}

// exchange sends a request and reads its answer, which may lack required fields: a server leaves
// some out when it fails.
func (c *Call) exchange(
	ctx context.Context, cl *client.Client, e catalog.Entry, req proto.Message,
) (proto.Message, error) {
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	f, err := cl.Exchange(ctx, pdu.Frame{Service: e.Service, Command: e.Command, Body: body})
	if err != nil {
		return nil, c.explain(cl, req, err)
	}
	if f.Command != e.AnswerCommand {
		return nil, fmt.Errorf("%s answered %s with command 0x%04x instead of 0x%04x",
			c.Addr, e.Name(), f.Command, e.AnswerCommand)
	}
	answer := catalog.New(e.Answer)
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(f.Body, answer); err != nil {
		return nil, fmt.Errorf("the answer of %s is no %s: %w", c.Addr, catalog.Name(answer), err)
	}
	return answer, nil
}

// explain says what it may mean that a request failed.
func (c *Call) explain(cl *client.Client, req proto.Message, err error) error {
	var length *pdu.LengthError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return c.unanswered(req)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted while waiting for %s", c.Addr)
	case errors.As(err, &length):
		return fmt.Errorf("what listens on %s does not speak this protocol (%w); "+
			"is it a proxy (--addr)?", c.Addr, length)
	}
	if cl.IsStopping() {
		return fmt.Errorf("the proxy on %s is stopping and did not answer %s",
			c.Addr, catalog.Name(req))
	}
	const suspicious = 1 << 20 // bytes
	if n := proto.Size(req); n > suspicious {
		return fmt.Errorf("%w; a proxy closes the connection on frames that are too long, "+
			"and this one has %d bytes", err, n+pdu.HeaderLen)
	}
	return err
}

// unanswered says what it may mean that no answer came.
func (c *Call) unanswered(req proto.Message) error {
	what := fmt.Sprintf("no answer to %s from %s within %v.", catalog.Name(req), c.Addr, c.Timeout)
	if wrong := outOfList(req.ProtoReflect()); len(wrong) > 0 {
		why := "There is no value " + strings.Join(wrong, ", nor ") +
			": a proxy takes the field for missing then, and the request for none."
		return failure(false, what, why)
	}
	docs, err := catalog.ReadDocs()
	if err != nil {
		return err
	}
	why := docs.Of(req.ProtoReflect().Descriptor()) + "\n" +
		"The proxy's log says why it was silent. It may also be busy (wait longer with " +
		"--timeout), or its storage may fail."
	return failure(false, what, why)
}

// checkRefused returns an *Error if an answer says that nothing was done.
func checkRefused(req, answer proto.Message) error {
	if m, ok := answer.(*impb.IMMsgData); ok {
		if m.GetMsgId() != 0 {
			return nil
		}
		return failure(true, "IMMsgData was not stored: the answer has msg_id 0.",
			"That is what becomes of messages to oneself, from or to user 0, of text that has "+
				"more than 4096 characters, is not UTF-8 or has a NUL, and of voice without "+
				"sound. Or storage failed: the server's log says why.")
	}
	m := answer.ProtoReflect()
	field := m.Descriptor().Fields().ByName("result_code")
	if field == nil || m.Get(field).Uint() == 0 {
		return nil
	}
	docs, err := catalog.ReadDocs()
	if err != nil {
		return err
	}
	why := "result_code: " + docs.Of(field)
	if login, ok := req.(*impb.IMValidateReq); ok && !isMD5(login.GetPassword()) {
		why += "\nThe password in the request is no MD5 in hex, which TeamTalk's clients send: " +
			"printf %s PASSWORD | md5sum"
	}
	name, code := catalog.Name(req), m.Get(field).Uint()
	return failure(true, fmt.Sprintf("%s was refused with result_code %d.", name, code), why)
}

// isMD5 reports whether a password is as clients send it.
func isMD5(password string) bool {
	b, err := hex.DecodeString(password)
	return err == nil && len(b) == md5.Size
}
