package client

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// Call sends a request and waits for its answer, whose type must be A:
//
//	users, err := client.Call[*impb.IMUsersInfoRsp](ctx, c, &impb.IMUsersInfoReq{…})
//
// Errors are those of Client.Call.
func Call[A proto.Message](ctx context.Context, c *Client, req proto.Message) (A, error) {
	var none A
	m, err := c.Call(ctx, req)
	if err != nil {
		return none, err
	}
	answer, ok := m.(A)
	if !ok {
		return none, fmt.Errorf("client: %s is answered by %s, not %T", catalog.Name(req),
			catalog.Name(m), none)
	}
	return answer, nil
}

// Call sends a request and waits for its answer. The server does not answer everything: it is
// silent about requests it cannot parse or execute, so ctx should have a deadline. The request's
// sequence number stays taken until the answer comes, even after ctx ended.
func (c *Client) Call(ctx context.Context, req proto.Message) (proto.Message, error) {
	return await(ctx, c, catalog.Name(req), func(answered func(proto.Message, error)) error {
		return c.Start(ctx, req, answered)
	})
}

// await starts a request, which errors name, and waits for its answer.
func await[A any](
	ctx context.Context, c *Client, name string, start func(answered func(A, error)) error,
) (answer A, err error) {
	type outcome struct {
		answer A
		err    error
	}
	came := make(chan outcome, 1)
	if err := start(func(a A, err error) { came <- outcome{a, err} }); err != nil {
		return answer, err
	}
	select {
	case o := <-came:
		return o.answer, o.err
	case <-ctx.Done():
		return answer, fmt.Errorf("client: waiting for %s to answer %s: %w", c.addr, name,
			context.Cause(ctx))
	}
}

// Start sends a request and does not wait for its answer. Requests leave in the order of the calls
// of Start. Either Start returns an error, or answered is called, once, with the answer or with
// what went wrong. One goroutine calls these functions for all requests of a client, in the order
// in which answers come, so they must not block. ctx bounds the sending alone.
func (c *Client) Start(
	ctx context.Context, req proto.Message, answered func(proto.Message, error),
) error {
	e, ok := c.requests[catalog.Name(req)]
	if !ok || e.Answer == nil {
		return fmt.Errorf("client: %s is no request that has an answer", catalog.Name(req))
	}
	f, err := frameOf(e, req)
	if err != nil {
		return err
	}
	return c.startFrame(ctx, f, func(f pdu.Frame, err error) {
		if err != nil {
			answered(nil, fmt.Errorf("%w; %s was not answered", err, catalog.Name(req)))
			return
		}
		answered(decode(e, f))
	})
}

// decode reads the answer to a request of kind e.
func decode(e catalog.Entry, f pdu.Frame) (proto.Message, error) {
	if f.Command != e.AnswerCommand {
		return nil, fmt.Errorf("client: %s was answered by command 0x%04x, not 0x%04x", e.Name(),
			f.Command, e.AnswerCommand)
	}
	answer := catalog.New(e.Answer)
	if err := proto.Unmarshal(f.Body, answer); err != nil {
		return nil, fmt.Errorf("client: decoding %s: %w", catalog.Name(answer), err)
	}
	return answer, nil
}

// Post sends a request that has no answer, and returns when its bytes have left.
func (c *Client) Post(ctx context.Context, req proto.Message) error {
	e, ok := c.requests[catalog.Name(req)]
	if !ok || e.Answer != nil {
		return fmt.Errorf("client: %s is no request without an answer", catalog.Name(req))
	}
	f, err := frameOf(e, req)
	if err != nil {
		return err
	}
	c.mu.Lock()
	f.Seq, err = c.freeSeq()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.Write(ctx, f.Append(nil))
}

// frameOf is a request of kind e, to be sent.
func frameOf(e catalog.Entry, req proto.Message) (pdu.Frame, error) {
	body, err := proto.Marshal(req)
	if err != nil {
		return pdu.Frame{}, fmt.Errorf("client: encoding %s: %w", catalog.Name(req), err)
	}
	return pdu.Frame{Service: e.Service, Command: e.Command, Body: body}, nil
}

// Exchange sends a frame, under a sequence number of the client's choosing, and waits for the one
// that answers it. It is for frames that are no proper requests.
func (c *Client) Exchange(ctx context.Context, f pdu.Frame) (pdu.Frame, error) {
	name := fmt.Sprintf("command 0x%04x", f.Command)
	return await(ctx, c, name, func(answered func(pdu.Frame, error)) error {
		return c.startFrame(ctx, f, answered)
	})
}

// Write sends bytes as they are, between two frames, and returns when they have left. An answer to
// them would end the connection, as no request expects it.
func (c *Client) Write(ctx context.Context, b []byte) error {
	written := make(chan error, 1)
	if err := c.send(ctx, outgoing{bytes: b, written: written}); err != nil {
		return err
	}
	select {
	case err := <-written:
		return err
	case <-c.done:
		return c.lost()
	case <-ctx.Done():
		return fmt.Errorf("client: writing to %s: %w", c.addr, context.Cause(ctx))
	}
}

// startFrame sends a frame under a sequence number of its own. Either it returns an error, or
// answered is called once.
func (c *Client) startFrame(
	ctx context.Context, f pdu.Frame, answered func(pdu.Frame, error),
) error {
	seq, err := c.register(answered)
	if err != nil {
		return err
	}
	f.Seq = seq
	if err := c.send(ctx, outgoing{bytes: f.Append(nil)}); err != nil && c.forget(seq) {
		return err
	}
	return nil
}

// send passes bytes to writeLoop.
func (c *Client) send(ctx context.Context, o outgoing) error {
	select {
	case c.out <- o:
		return nil
	case <-c.done:
		return c.lost()
	case <-ctx.Done():
		return fmt.Errorf("client: sending to %s: %w", c.addr, context.Cause(ctx))
	}
}
