package chat_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// What a test has users do. Times are the world's unless a test says otherwise.

// answer is what became of a message.
type answer struct {
	id  uint32
	err error
}

// submit sends a message and does not wait for the answer.
func (w *world) submit(m chat.NewMessage) <-chan answer { return w.submitIn(w.ctx, m) }

func (w *world) submitIn(ctx context.Context, m chat.NewMessage) <-chan answer {
	c := make(chan answer, 2) // one more, for an answer too many
	w.svc.Send(ctx, m, func(id uint32, err error) { c <- answer{id, err} })
	return c
}

// send sends a message and waits for the answer.
func (w *world) send(m chat.NewMessage) (uint32, error) {
	w.Helper()
	a := await(w, w.submit(m))
	return a.id, a.err
}

// stored sends a message that must be stored and returns its id.
func (w *world) stored(m chat.NewMessage) uint32 {
	w.Helper()
	id, err := w.send(m)
	if err != nil || id == 0 {
		w.Fatalf("%d to %d: id %d, error %v", m.From, m.To, id, err)
	}
	return id
}

func (w *world) message(from, to uint32, typ chat.MsgType, data string) chat.NewMessage {
	return chat.NewMessage{From: from, To: to, Type: typ, Time: w.now(), Data: []byte(data)}
}

func (w *world) pairText(from, to uint32, text string) chat.NewMessage {
	return w.message(from, to, chat.PairText, text)
}

func (w *world) groupText(from, group uint32, text string) chat.NewMessage {
	return w.message(from, group, chat.GroupText, text)
}

func (w *world) pairVoice(from, to, duration uint32, sound string) chat.NewMessage {
	return w.message(from, to, chat.PairVoice, voiceData(duration, sound))
}

func (w *world) groupVoice(from, group, duration uint32, sound string) chat.NewMessage {
	return w.message(from, group, chat.GroupVoice, voiceData(duration, sound))
}

// voiceData is a voice message as it comes over the wire and goes back.
func voiceData(duration uint32, sound string) string {
	return string(binary.BigEndian.AppendUint32(nil, duration)) + sound
}

// says sends texts from one user to another, each after the answer to the one before.
func (w *world) says(from, to uint32, texts ...string) {
	w.Helper()
	for _, text := range texts {
		w.stored(w.pairText(from, to, text))
	}
}

// saysIn sends texts in a group.
func (w *world) saysIn(group, from uint32, texts ...string) {
	w.Helper()
	for _, text := range texts {
		w.stored(w.groupText(from, group, text))
	}
}

// reads has user read all of a talk.
func (w *world) reads(user uint32, talk chat.Talk) {
	w.Helper()
	c := make(chan error, 1)
	w.svc.ReadAck(w.ctx, user, talk, func(err error) { c <- err })
	w.must(await(w, c))
}

// group makes a normal group of user 1 and returns its id.
func (w *world) group(members ...uint32) uint32 {
	w.Helper()
	return w.made(chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "group",
		Members: members})
}

// made makes a group and returns its id.
func (w *world) made(g chat.NewGroup) uint32 {
	w.Helper()
	id, _, err := w.svc.CreateGroup(w.ctx, g)
	w.must(err)
	return id
}

// joins and leaves change members in the server's name.
func (w *world) joins(group uint32, users ...uint32) {
	w.Helper()
	_, _, err := w.svc.ChangeMembers(w.ctx, chat.MemberChange{Group: group, Users: users})
	w.must(err)
}

func (w *world) leaves(group uint32, users ...uint32) {
	w.Helper()
	_, _, err := w.svc.ChangeMembers(w.ctx,
		chat.MemberChange{Group: group, Remove: true, Users: users})
	w.must(err)
}

// askPage asks for a page, with its sounds.
func (w *world) askPage(
	ctx context.Context, user uint32, talk chat.Talk, upTo, count uint32,
) ([]chat.Message, error) {
	return w.messages(ctx, chat.PageAsked{User: user, Talk: talk, UpTo: upTo, Count: count})
}

// byID asks for messages by their ids, with their sounds.
func (w *world) byID(
	ctx context.Context, user uint32, talk chat.Talk, ids []uint32,
) ([]chat.Message, error) {
	ids = append([]uint32{}, ids...)
	return w.messages(ctx, chat.PageAsked{User: user, Talk: talk, IDs: ids})
}

func (w *world) messages(ctx context.Context, asked chat.PageAsked) ([]chat.Message, error) {
	if limit := chat.LimitOf(ctx); limit != chat.NoBound {
		asked.Limit = limit
	}
	messages, err := only(w.svc.Pages(ctx, []chat.PageAsked{asked}))
	if errors.Is(err, chat.ErrAlone) {
		return w.svc.Page(ctx, asked)
	}
	if err != nil || !chat.HasVoice(messages) {
		return messages, err
	}
	return w.svc.WithSounds(ctx, messages)
}

// latestID asks for the id of a talk's newest message.
func (w *world) latestID(ctx context.Context, talk chat.Talk) (uint32, error) {
	ids, err := w.svc.LatestIDs(ctx, []chat.Talk{talk})
	return ids[talk], err
}

// page returns a talk as user sees it: the newest count messages of at most id upTo.
func (w *world) page(user uint32, talk chat.Talk, upTo, count uint32) []chat.Message {
	w.Helper()
	messages, err := w.askPage(w.ctx, user, talk, upTo, count)
	w.must(err)
	return messages
}

// all is what user sees of a talk.
func (w *world) all(user uint32, talk chat.Talk) []chat.Message {
	w.Helper()
	return w.page(user, talk, 0, 1_000_000)
}

// brief says "id:data" of each message.
func brief(messages []chat.Message) string {
	var texts []string
	for _, m := range messages {
		texts = append(texts, fmt.Sprintf("%d:%s", m.ID, m.Data))
	}
	return strings.Join(texts, " ")
}

// unreadOf asks what user has not read, with the limit of ctx.
func (w *world) unreadOf(ctx context.Context, user uint32) (chat.Unread, error) {
	return only(w.svc.Unread(w.ctx, []chat.UnreadAsked{{User: user, Limit: chat.LimitOf(ctx)}}))
}

// sessions asks for the recent sessions of user.
func (w *world) sessions(user, since uint32) ([]chat.RecentSession, error) {
	return only(w.svc.RecentSessions(w.ctx, []chat.SessionsAsked{{User: user, Since: since}}))
}

// unread says what user has not read: "peer=count", groups as "g1=count".
func (w *world) unread(user uint32) string {
	w.Helper()
	u, err := w.unreadOf(w.ctx, user)
	w.must(err)
	var texts []string
	for _, u := range u.Talks {
		texts = append(texts, fmt.Sprintf("%s=%d", shortTalk(user, u.Talk), u.Unread))
	}
	return strings.Join(texts, " ")
}

// recent says which sessions user has: "peer" or "g1", the latest first.
func (w *world) recent(user, since uint32) string {
	w.Helper()
	sessions, err := w.sessions(user, since)
	w.must(err)
	var texts []string
	for _, s := range sessions {
		texts = append(texts, shortTalk(user, s.Talk))
	}
	return strings.Join(texts, " ")
}

func shortTalk(user uint32, talk chat.Talk) string {
	if talk.Kind == chat.Group {
		return fmt.Sprint("g", talk.A)
	}
	return fmt.Sprint(talk.Peer(user))
}

// sounds are the files of voice messages, in no order.
func (w *world) sounds() (files []string) {
	w.Helper()
	w.must(filepath.WalkDir(filepath.Join(w.dir, "voice"),
		func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		}))
	return files
}

// loseSounds removes all files of voice messages.
func (w *world) loseSounds() {
	w.Helper()
	for _, f := range w.sounds() {
		w.must(os.Remove(f))
	}
}

// unreadTotal is how many messages user has not read in all.
func (w *world) unreadTotal(user uint32) (total uint32) {
	w.Helper()
	u, err := w.unreadOf(w.ctx, user)
	w.must(err)
	for _, t := range u.Talks {
		total += t.Unread
	}
	return total
}
