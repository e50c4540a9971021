package client

import (
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// serve runs script as the server's side of one connection and returns a client of it. The script's
// error, and any left over when the client closes its side, fails the test.
func serve(t *testing.T, script func(r *pdu.Reader, w io.Writer) error) *Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			served <- err
			return
		}
		defer conn.Close()
		served <- script(pdu.NewReader(conn, 1<<20), conn)
	}()
	c, err := Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		// before the listener goes: a dialed connection may not have been accepted yet
		if err := <-served; err != nil {
			t.Errorf("server's side: %v", err)
		}
		ln.Close()
	})
	return c
}

// untilClosed reads and drops frames until the client closes.
func untilClosed(r *pdu.Reader) error {
	for {
		if _, err := r.Next(); err != nil {
			return nil
		}
	}
}

func write(w io.Writer, f pdu.Frame) error {
	_, err := w.Write(f.Append(nil))
	return err
}

// answerShield answers a query for user U with shield status U.
func answerShield(f pdu.Frame) (pdu.Frame, error) {
	var req impb.IMQueryPushShieldReq
	if f.Command != 0x010e || f.Service != 1 {
		return f, fmt.Errorf("command %#x service %d", f.Command, f.Service)
	}
	if err := proto.Unmarshal(f.Body, &req); err != nil {
		return f, err
	}
	body, err := proto.Marshal(&impb.IMQueryPushShieldRsp{
		UserId: req.UserId, ResultCode: proto.Uint32(0), ShieldStatus: req.UserId,
		AttachData: []byte{},
	})
	return pdu.Frame{Service: 1, Command: 0x010f, Seq: f.Seq, Body: body}, err
}

func query(user uint32) *impb.IMQueryPushShieldReq {
	return &impb.IMQueryPushShieldReq{UserId: proto.Uint32(user)}
}

func readAck() *impb.IMMsgDataReadAck {
	return &impb.IMMsgDataReadAck{
		UserId: proto.Uint32(1), SessionId: proto.Uint32(2), MsgId: proto.Uint32(0),
		SessionType: impb.SessionType_SESSION_TYPE_SINGLE.Enum(),
	}
}

func second[T any](_ T, err error) error { return err }
