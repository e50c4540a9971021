package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/client"
	"github.com/teamtalk-go/dbproxy/internal/impb"
)

// Ann logs in, writes to Bob, and reads what she has written.
func Example() {
	addr, stop := serveCompany()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	login, err := client.Call[*impb.IMValidateRsp](ctx, c, &impb.IMValidateReq{
		UserName: proto.String("ann"),
		Password: proto.String(client.WirePassword("demo")),
	})
	if err != nil {
		log.Fatal(err)
	}
	ann := login.GetUserInfo()
	fmt.Println("logged in:", ann.GetUserNickName())

	const bob = 2
	sent, err := client.Call[*impb.IMMsgData](ctx, c, &impb.IMMsgData{
		FromUserId:  ann.UserId,
		ToSessionId: proto.Uint32(bob),
		MsgId:       proto.Uint32(0), // the answer has the one that it got
		CreateTime:  proto.Uint32(uint32(time.Now().Unix())),
		MsgType:     impb.MsgType_MSG_TYPE_SINGLE_TEXT.Enum(),
		MsgData:     []byte("Lunch?"),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored:", sent.GetMsgId() > 0)

	page, err := client.Call[*impb.IMGetMsgListRsp](ctx, c, &impb.IMGetMsgListReq{
		UserId:      ann.UserId,
		SessionType: impb.SessionType_SESSION_TYPE_SINGLE.Enum(),
		SessionId:   proto.Uint32(bob),
		MsgIdBegin:  proto.Uint32(0), // from the newest on
		MsgCnt:      proto.Uint32(1),
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range page.GetMsgList() {
		fmt.Printf("read: %s\n", m.GetMsgData())
	}

	// Output:
	// logged in: Ann Miller
	// stored: true
	// read: Lunch?
}
