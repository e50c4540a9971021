package chatui

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

const (
	pageSize = 10
	// maxNew is how many messages are shown at most when there is much new; /older has the rest.
	maxNew = 200
	// maxText is the longest message that the proxy stores, in characters.
	maxText = 4096
	// maxEncrypted is how many bytes of text fit into that when they are encrypted.
	maxEncrypted = maxText/4*3 - 4
)

// page asks for up to count messages of the open talk, from the id begin back (0: from the newest).
// The newest stands first.
func (c *chat) page(ctx context.Context, begin, count uint32) ([]*impb.MsgInfo, error) {
	answer, err := ask[*impb.IMGetMsgListRsp](ctx, c, &impb.IMGetMsgListReq{
		UserId: c.me.UserId, SessionType: &c.open.kind, SessionId: &c.open.id,
		MsgIdBegin: &begin, MsgCnt: &count,
	})
	return answer.GetMsgList(), err
}

// openTalk opens the talk that somebody names.
func (c *chat) openTalk(ctx context.Context, name string) error {
	err := errors.Join(c.leave(ctx), c.hear(ctx, false))
	c.open = talk{} // what is typed next must not go to the talk before, whatever fails here
	if err != nil {
		return err
	}
	if name == "" {
		return errors.New("/open what? a person (/open bob) or a group (/open #engineering); " +
			"/talks lists yours")
	}
	t, err := c.find(ctx, name)
	if err != nil {
		return err
	}
	c.open, c.oldest, c.newest = t, 0, 0
	unread := c.unread[t]
	messages, err := c.page(ctx, 0, min(max(pageSize, unread), maxNew))
	if err != nil {
		c.open = talk{}
		return err
	}
	head := "--- " + c.label(t)
	if p, ok := c.people[t.id]; ok && t.kind == pair {
		head += " (" + terminal.Clean(p.GetUserNickName()) + ")"
	}
	switch {
	case len(messages) == 0:
		head += ", nothing said yet"
	case unread > 0:
		head += fmt.Sprintf(", %d unread", unread)
	}
	c.Screen.Print(c.Style.Bold(head + " ---"))
	c.print(messages)
	return c.ack(ctx, t, c.newest)
}

// print shows messages, which come newest first, in the order they were written.
func (c *chat) print(messages []*impb.MsgInfo) {
	for _, m := range slices.Backward(messages) {
		line := fmt.Sprintf("#%d ", m.GetMsgId())
		if c.Screen.Live() {
			at := time.Unix(int64(m.GetCreateTime()), 0)
			layout := "15:04 "
			if time.Since(at) > 20*time.Hour {
				layout = "Jan _2 15:04 "
			}
			line = at.Format(layout) + line
		}
		c.Screen.Print(c.Style.Dim(line) + c.Style.Name(c.nameOf(m.GetFromSessionId())+":") + " " +
			c.show(m.GetMsgType(), m.GetMsgData(), false))
		c.newest = max(c.newest, m.GetMsgId())
		if c.oldest == 0 || m.GetMsgId() < c.oldest {
			c.oldest = m.GetMsgId()
		}
	}
}

// show is the data of a message as text. With label, as in lists, a voice message is just called
// so.
func (c *chat) show(kind impb.MsgType, data []byte, label bool) string {
	switch kind {
	case impb.MsgType_MSG_TYPE_SINGLE_AUDIO, impb.MsgType_MSG_TYPE_GROUP_AUDIO:
		if label {
			return "[voice]"
		}
		if len(data) <= 4 {
			return "[voice, its sound cannot be had]"
		}
		return fmt.Sprintf("[voice, %d s, %d bytes]", binary.BigEndian.Uint32(data), len(data)-4)
	}
	text := string(data)
	if c.Readable != nil {
		text = c.Readable(text)
	}
	return terminal.Clean(text)
}

// older shows count messages before those that were shown.
func (c *chat) older(ctx context.Context, count string) error {
	n := uint64(pageSize)
	if count != "" {
		var err error
		if n, err = strconv.ParseUint(count, 10, 32); err != nil || n == 0 || n > maxNew {
			return fmt.Errorf("/older %s: give how many, from 1 to %d", count, maxNew)
		}
	}
	if c.open == (talk{}) {
		return errors.New("no talk is open; /open NAME opens one")
	}
	var messages []*impb.MsgInfo
	if c.oldest > 1 {
		var err error
		if messages, err = c.page(ctx, c.oldest-1, uint32(n)); err != nil {
			return err
		}
	}
	if len(messages) == 0 {
		c.Screen.Print("there is nothing older that you may see")
		return nil
	}
	c.print(messages)
	return nil
}

// send sends a text to the open talk, and shows it with what else is new.
func (c *chat) send(ctx context.Context, text string) error {
	if c.open == (talk{}) {
		return errors.New("nothing was sent: no talk is open; /open NAME opens one")
	}
	if utf8.RuneCountInString(text) > maxText || !utf8.ValidString(text) {
		return fmt.Errorf("nothing was sent: a message is at most %d characters of valid UTF-8",
			maxText)
	}
	if c.Encrypt != nil {
		if text = c.Encrypt(text); len(text) > maxText {
			return fmt.Errorf("nothing was sent: encrypted, a message is at most %d bytes",
				maxEncrypted)
		}
	}
	kind := impb.MsgType_MSG_TYPE_SINGLE_TEXT
	if c.open.kind == group {
		kind = impb.MsgType_MSG_TYPE_GROUP_TEXT
	}
	answer, err := ask[*impb.IMMsgData](ctx, c, &impb.IMMsgData{
		FromUserId: c.me.UserId, ToSessionId: &c.open.id, MsgId: proto.Uint32(0), MsgType: &kind,
		MsgData: []byte(text), CreateTime: proto.Uint32(uint32(time.Now().Unix())),
	})
	switch {
	case err != nil:
		return fmt.Errorf("nobody knows whether that was stored: %w", err)
	case answer.GetMsgId() == 0:
		return errors.New("that was not stored; the proxy's log tells why")
	}
	return c.news(ctx)
}

// news shows what came in the open talk since messages of it were shown, one's own included.
func (c *chat) news(ctx context.Context) error {
	var fresh []*impb.MsgInfo
	for begin := uint32(0); len(fresh) < maxNew; {
		messages, err := c.page(ctx, begin, 50)
		if err != nil {
			return err
		}
		isKnown := func(m *impb.MsgInfo) bool { return m.GetMsgId() <= c.newest }
		known := slices.IndexFunc(messages, isKnown)
		if known >= 0 {
			messages = messages[:known]
		}
		fresh = append(fresh, messages...)
		if known >= 0 || len(messages) == 0 || messages[len(messages)-1].GetMsgId() == 1 {
			break
		}
		begin = messages[len(messages)-1].GetMsgId() - 1
	}
	c.print(fresh)
	return nil
}

// ack marks a talk as read, if anything in it is unread.
func (c *chat) ack(ctx context.Context, t talk, newest uint32) error {
	if c.unread[t] == 0 {
		return nil
	}
	delete(c.unread, t)
	return c.Client.Post(ctx, &impb.IMMsgDataReadAck{
		UserId: c.me.UserId, SessionId: &t.id, MsgId: &newest, SessionType: &t.kind,
	})
}

// markRead marks the talk as read that is named, "" for the open one.
func (c *chat) markRead(ctx context.Context, name string) error {
	t := c.open
	if name != "" {
		var err error
		if t, err = c.find(ctx, name); err != nil {
			return err
		}
	}
	if t == (talk{}) {
		return errors.New("/read what? a person (/read bob) or a group (/read #engineering)")
	}
	if err := c.hear(ctx, false); err != nil {
		return err
	}
	c.Screen.Print(fmt.Sprintf("%s: %d marked as read", c.label(t), c.unread[t]))
	return c.ack(ctx, t, c.newest)
}

// refresh shows what is new.
func (c *chat) refresh(ctx context.Context) error {
	if c.open != (talk{}) {
		if err := c.news(ctx); err != nil {
			return err
		}
	}
	if err := c.hear(ctx, true); err != nil {
		return err
	}
	return c.ack(ctx, c.open, c.newest)
}

// leave marks the open talk as read, and then shows what came since it was shown last.
func (c *chat) leave(ctx context.Context) error {
	if c.open == (talk{}) || ctx.Err() != nil || c.Client.Err() != nil {
		return nil
	}
	if err := c.hear(ctx, false); err != nil {
		return err
	}
	if err := c.ack(ctx, c.open, c.newest); err != nil {
		return err
	}
	if err := c.hear(ctx, false); err != nil { // the proxy answers this after the ack
		return err
	}
	return c.news(ctx)
}

// hear asks how much is unread. With say, it tells of other talks where that is more than before.
func (c *chat) hear(ctx context.Context, say bool) error {
	req := &impb.IMUnreadMsgCntReq{UserId: c.me.UserId}
	answer, err := ask[*impb.IMUnreadMsgCntRsp](ctx, c, req)
	if err != nil {
		return err
	}
	before := c.unread
	c.unread = make(map[talk]uint32, len(answer.GetUnreadinfoList()))
	for _, u := range answer.GetUnreadinfoList() {
		t := talk{u.GetSessionType(), u.GetSessionId()}
		c.unread[t] = u.GetUnreadCnt()
		if say && t != c.open && u.GetUnreadCnt() > before[t] {
			news := fmt.Sprintf("(%d unread from %s)", u.GetUnreadCnt(), c.label(t))
			c.Screen.Print(c.Style.Dim(news))
		}
	}
	return nil
}
