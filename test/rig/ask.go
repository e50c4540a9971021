package rig

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Within is the test's context with a deadline, for one thing that must happen.
func Within(t *testing.T) context.Context {
	t.Helper()
	NoteSources()
	ctx, cancel := context.WithTimeoutCause(t.Context(), Patience,
		fmt.Errorf("nothing came for %v", Patience))
	t.Cleanup(cancel)
	return ctx
}

// RequestLimit is a request's time. After that it is refused, or has no answer.
const RequestLimit = 5 * time.Second

// Ask asks for something that may be asked again when the machine was too slow to answer in time.
func Ask[A proto.Message](
	ctx context.Context, c *client.Client, req proto.Message,
) (answer A, err error) {
	for {
		once, cancel := context.WithTimeout(ctx, RequestLimit+2*time.Second)
		answer, err = client.Call[A](once, c, req)
		inTime := once.Err() == nil
		cancel()
		if inTime || ctx.Err() != nil {
			return answer, err
		}
	}
}

// MustAsk is Ask for what must be answered in the end.
func MustAsk[A proto.Message](t *testing.T, c *client.Client, req proto.Message) A {
	t.Helper()
	answer, err := Ask[A](Within(t), c, req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// Submit sends a message until it is stored: the machine may be too slow to do that in time.
func Submit(t *testing.T, c *client.Client, req *impb.IMMsgData) *impb.IMMsgData {
	t.Helper()
	for begun := time.Now(); ; {
		answer := Call[*impb.IMMsgData](t, c, req)
		if answer.GetMsgId() != 0 || time.Since(begun) > Patience {
			return answer
		}
	}
}

// Call sends a request and returns its answer, which must come.
func Call[A proto.Message](t *testing.T, c *client.Client, req proto.Message) A {
	t.Helper()
	answer, err := client.Call[A](Within(t), c, req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// CheckServed proves that the proxy serves on that connection: it has user 1 of seed.sql looked up.
func CheckServed(t *testing.T, c *client.Client) {
	t.Helper()
	users := Call[*impb.IMUsersInfoRsp](t, c, UsersInfo(1, 1))
	if list := users.GetUserInfoList(); len(list) != 1 || list[0].GetUserRealName() != "alice" {
		t.Fatalf("user 1 is %v", list)
	}
}

// SendText sends a message, which must be stored.
func SendText(t *testing.T, c *client.Client, text string) {
	t.Helper()
	if Submit(t, c, PairText(1, 2, text)).GetMsgId() == 0 {
		t.Error("a message is not stored")
	}
}
