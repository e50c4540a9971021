package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/teamtalk-go/dbproxy/internal/catalog"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// ask is the script command "ask MESSAGE JSON": it sends a request to the proxy at $ADDR and prints
// the answer as JSON in one line. "! ask" expects no answer within half a second.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: ask MESSAGE JSON")
	}
	timeout := 5 * time.Second
	if neg {
		timeout = 500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for _, e := range catalog.Entries() {
		if e.Name() != args[0] {
			continue
		}
		req := catalog.New(e.Request)
		ts.Check(protojson.Unmarshal([]byte(args[1]), req))
		c, err := client.Dial(ctx, ts.Getenv("ADDR"))
		ts.Check(err)
		defer c.Close()
		answer, err := c.Call(ctx, req)
		if neg {
			if err == nil {
				ts.Fatalf("answered: %v", answer)
			}
			return
		}
		ts.Check(err)
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(answer)
		ts.Check(err)
		var compact json.RawMessage = text
		text, err = json.Marshal(compact) // without the spaces that protojson adds at random
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s\n", text)
		return
	}
	ts.Fatalf("no request %s", args[0])
}

// login is "login NAME PASSWORD [CODE]": it must be answered with the code (0), or, with a !
// before, with 1.
func login(ts *testscript.TestScript, neg bool, args []string) {
	want := map[bool]string{false: "0", true: "1"}[neg]
	if len(args) == 3 && !neg {
		want = args[2]
	} else if len(args) != 2 {
		ts.Fatalf("usage: [!] login NAME PASSWORD or login NAME PASSWORD CODE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, ts.Getenv("ADDR"))
	ts.Check(err)
	defer c.Close()
	hash := chat.ClientHash(args[1])
	answer, err := client.Call[*impb.IMValidateRsp](ctx, c,
		&impb.IMValidateReq{UserName: &args[0], Password: &hash})
	ts.Check(err)
	if code := fmt.Sprint(answer.GetResultCode()); code != want {
		ts.Fatalf("login of %s is answered with code %s, not %s", args[0], code, want)
	}
}

// failed is "failed NAME": so many logins of it fail that it is locked out.
func failed(ts *testscript.TestScript, _ bool, args []string) {
	for range chat.LockoutFailures {
		login(ts, true, []string{args[0], "a guess"})
	}
}
