package main

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

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// run sends a request of kind e and prints its answer.
func (c *calling) run(ctx context.Context, e catalog.Entry, args []string) error {
	req, err := c.request(ctx, e, args)
	if err != nil {
		return err
	}
	var decoded func(field string, value []byte) string
	if c.decode {
		texts, err := c.texts()
		if err != nil {
			return err
		}
		decoded = decoding(texts)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	tap := &tap{Conn: conn, on: c.raw}
	cl := client.New(tap, c.addr)
	var answer proto.Message
	if e.Answer == nil {
		err = c.post(ctx, cl, tap, req)
	} else {
		answer, err = c.exchange(ctx, cl, e, req)
	}
	cl.Close() // its error is always nil; from here on nothing else uses tap
	if c.raw {
		err = errors.Join(err, tap.explain(c.notes))
	}
	if err != nil || answer == nil {
		return err
	}
	text, err := formatJSON(answer, decoded)
	if err != nil {
		return err
	}
	if _, err := c.out.Write(text); err != nil {
		return err
	}
	return checkRefused(req, answer)
}

func (c *calling) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nothing listens on %s; start a proxy there (dbproxy serve), or say where it is with --addr", c.addr)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no connection to %s within %v; is that the right address (--addr)?", c.addr, c.timeout)
	default:
		return nil, fmt.Errorf("cannot connect to %s (--addr wants HOST:PORT): %w", c.addr, err)
	}
}

// post sends a request that has no answer, and then waits until the server has closed its side, too: it does so when it
// is done with what came before. A server that never does has the request as well.
func (c *calling) post(ctx context.Context, cl *client.Client, tap *tap, req proto.Message) error {
	if err := cl.Post(ctx, req); err != nil {
		return c.explain(cl, req, err)
	}
	note := "it has no answer, even when it is refused"
	if half, ok := tap.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		select {
		case <-cl.Done():
			// A pipe breaks when a heartbeat meets a connection that was closed for writing: no bad sign.
			if err := cl.Err(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) {
				return c.explain(cl, req, err)
			}
		case <-ctx.Done():
			note += fmt.Sprintf(",\nand the proxy did not say within %v that it is done with it", c.timeout)
		}
	}
	_, err := fmt.Fprintf(c.notes, "%s sent; %s\n", catalog.Name(req), note)
	return err
}

// exchange sends a request and reads its answer, which may lack required fields: the server leaves some out when it fails.
func (c *calling) exchange(ctx context.Context, cl *client.Client, e catalog.Entry, req proto.Message) (proto.Message, error) {
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	f, err := cl.Exchange(ctx, pdu.Frame{Service: e.Service, Command: e.Command, Body: body})
	if err != nil {
		return nil, c.explain(cl, req, err)
	}
	if f.Command != e.AnswerCommand {
		return nil, fmt.Errorf("%s answered %s with command 0x%04x instead of 0x%04x", c.addr, e.Name(), f.Command, e.AnswerCommand)
	}
	answer := catalog.New(e.Answer)
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(f.Body, answer); err != nil {
		return nil, fmt.Errorf("the answer of %s is no %s: %w", c.addr, catalog.Name(answer), err)
	}
	return answer, nil
}

// explain says what it may mean that a request failed.
func (c *calling) explain(cl *client.Client, req proto.Message, err error) error {
	var length *pdu.LengthError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return c.unanswered(req)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted while waiting for %s", c.addr)
	case errors.As(err, &length):
		return fmt.Errorf("what listens on %s does not speak this protocol (%w); is it a proxy (--addr)?", c.addr, length)
	}
	select {
	case <-cl.Stopping():
		return fmt.Errorf("the proxy on %s is stopping and did not answer %s", c.addr, catalog.Name(req))
	default:
	}
	const suspicious = 1 << 20 // bytes
	if n := proto.Size(req); n > suspicious {
		return fmt.Errorf("%w; a proxy closes the connection on frames that are too long, and this one has %d bytes", err, n+pdu.HeaderLen)
	}
	return err
}

// unanswered says what it may mean that no answer came.
func (c *calling) unanswered(req proto.Message) error {
	what := fmt.Sprintf("no answer to %s from %s within %v.", catalog.Name(req), c.addr, c.timeout)
	if wrong := outOfList(req.ProtoReflect()); len(wrong) > 0 {
		why := fmt.Sprintf("There is no value %s: a proxy takes the field for missing then, and the request for none.",
			strings.Join(wrong, ", nor "))
		return &exitError{exitUnanswered, errors.New(what + "\n" + terminal.Indent(why, "", lineWidth))}
	}
	docs, err := catalog.ReadDocs()
	if err != nil {
		return err
	}
	why := docs.Of(req.ProtoReflect().Descriptor()) + "\n" +
		"The proxy's log says why it was silent. It may also be busy (wait longer with --timeout), or its storage may fail."
	return &exitError{exitUnanswered, errors.New(what + "\n" + terminal.Indent(why, "", lineWidth))}
}

// checkRefused returns an error if that answer says that nothing was done.
func checkRefused(req, answer proto.Message) error {
	if m, ok := answer.(*impb.IMMsgData); ok {
		if m.GetMsgId() != 0 {
			return nil
		}
		return refused("IMMsgData was not stored: the answer has msg_id 0.",
			"That is what becomes of messages to oneself, from or to user 0, of text that has more than 4096 characters, "+
				"is not UTF-8 or has a NUL, and of voice without sound. Or storage failed: the server's log says why.")
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
		why += "\nThe password in the request is no MD5 in hex, which TeamTalk's clients send: printf %s PASSWORD | md5sum"
	}
	return refused(fmt.Sprintf("%s was refused with result_code %d.", catalog.Name(req), m.Get(field).Uint()), why)
}

// refused is the error for an answer that says no.
func refused(what, why string) error {
	return &exitError{exitRefused, errors.New(what + "\n" + terminal.Indent(why, "", lineWidth))}
}

func isMD5(password string) bool {
	b, err := hex.DecodeString(password)
	return err == nil && len(b) == md5.Size
}
