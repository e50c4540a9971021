package chat

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"
)

// Voice keeps the sound of voice messages.
type Voice interface {
	// Save stores sound durably and returns the path by which Load finds it again.
	Save(ctx context.Context, sound []byte) (path string, err error)
	// Discard removes a sound that no message refers to, as far as that is possible.
	Discard(ctx context.Context, path string) error
	// Load returns the sound of a path that Save returned; kind NotFound when it is not there.
	Load(ctx context.Context, path string) ([]byte, error)
}

// voiceTimeout bounds storing or loading one sound.
const voiceTimeout = 2 * time.Second

// maxSounds is how many sounds are being stored at once.
const maxSounds = 16

// voiceHeader is how many bytes of duration stand before the sound in a voice message.
const voiceHeader = 4

// NewMessage is a message as it comes from a sender.
type NewMessage struct {
	From uint32
	To   uint32 // a user, or a group
	Type MsgType
	Time uint32 // the client's, Unix seconds
	Data []byte // not kept after Send returns, but for voice
}

// Send stores a message. It waits for nothing but room in the queue, and calls done once: with the message's id within
// its talk, or with an error whose kind says what is known: Invalid and Unavailable mean that nothing is stored,
// NotAllowed that the group does not exist or the sender is no member, UnknownOutcome that it may have been stored.
//
// Messages of one talk get their ids, and are answered, in the order in which Send was called.
func (s *Service) Send(ctx context.Context, m NewMessage, done func(id uint32, err error)) {
	talk := TalkOf(m.From, m.Type.TalkKind(), m.To)
	j := &job{
		ctx:     ctx,
		draft:   Draft{Talk: talk, From: m.From, Type: m.Type, Time: m.Time},
		refused: checkMessage(m),
	}
	j.done = func(st Stored, err error) {
		if err == nil {
			err = st.Err
		}
		done(st.ID, err)
		if err != nil && j.draft.Sound != nil && KindOf(err) != UnknownOutcome {
			s.committer.tasks.Go(func() { s.discard(j.draft.Sound.Path) })
		}
	}
	if j.refused == nil {
		if j.pending = m.Type.Voice(); !j.pending {
			j.draft.Content = string(m.Data)
		}
	}
	j.upload = func() { s.saveVoice(ctx, j, m.Data) }
	if err := s.committer.submit(TalkLane(talk), j); err != nil {
		done(0, err)
	}
}

// checkMessage refuses what must not be stored.
func checkMessage(m NewMessage) error {
	switch {
	case m.From == 0 || m.To == 0:
		return Errorf(Invalid, "message from or to 0")
	case m.Type.TalkKind() == Pair && m.From == m.To:
		return Errorf(Invalid, "message to oneself")
	case m.Type.Voice() && len(m.Data) <= voiceHeader:
		return Errorf(Invalid, "voice message of %d bytes has no sound", len(m.Data))
	case m.Type.Voice():
		return nil
	}
	return checkText("message", string(m.Data), MaxContent)
}

// saveVoice stores the sound of a queued message; its lane waits for that, no other does.
func (s *Service) saveVoice(ctx context.Context, j *job, data []byte) {
	if err := s.sounds.acquire(ctx); err != nil {
		s.committer.settled(j, nil, Errorf(Unavailable, "%w waiting to store the sound: %w", ErrDropped, err))
		return
	}
	defer s.sounds.release()
	ctx, cancel := context.WithTimeout(ctx, voiceTimeout)
	defer cancel()
	sound := data[voiceHeader:]
	path, err := s.store.Voice.Save(ctx, sound)
	if err != nil {
		s.committer.settled(j, nil, Errorf(Unavailable, "storing the sound: %w", err))
		return
	}
	stored := &Sound{Path: path, Size: uint32(len(sound)), Duration: binary.BigEndian.Uint32(data)}
	if !s.committer.settled(j, stored, nil) {
		s.discard(path)
	}
}

// discard removes the sound of a message that was not stored.
func (s *Service) discard(path string) {
	ctx, cancel := context.WithTimeout(context.Background(), voiceTimeout)
	defer cancel()
	if err := s.store.Voice.Discard(ctx, path); err != nil {
		s.log.Warn("the sound of a message that was not stored stays behind", "path", path, "err", err)
	}
}

// ReadAck clears what user has unread of a talk, in order with the messages sent in it. It waits for nothing but room
// in the queue and calls done once.
func (s *Service) ReadAck(ctx context.Context, user uint32, talk Talk, done func(error)) {
	over := s.reading.begin(user)
	finish := func(err error) {
		over()
		done(err)
	}
	err := s.committer.submit(TalkLane(talk), &job{
		ctx:   ctx,
		draft: Draft{Talk: talk, From: user, Read: true},
		done: func(st Stored, err error) {
			if err == nil {
				err = st.Err
			}
			finish(err)
		},
	})
	if err != nil {
		finish(err)
	}
}

// reading knows which read acks are under way, by user. They have no answer that a client could wait for, so what
// counts unread messages waits for those that came before it.
type reading struct {
	mu    sync.Mutex
	users map[uint32]map[chan struct{}]struct{} // each is closed when its ack has taken effect
}

// begin notes a read ack of user; over is to be called when it has taken effect.
func (r *reading) begin(user uint32) (over func()) {
	done := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == nil {
		r.users = make(map[uint32]map[chan struct{}]struct{})
	}
	if r.users[user] == nil {
		r.users[user] = make(map[chan struct{}]struct{})
	}
	r.users[user][done] = struct{}{}
	return func() {
		close(done)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.users[user], done)
		if len(r.users[user]) == 0 {
			delete(r.users, user)
		}
	}
}

// AwaitAcks waits until the read acks of users that are under way now have taken effect. To be called outside of Limited:
// an ack may wait for a change that waits for its turn.
func (s *Service) AwaitAcks(ctx context.Context, users []uint32) error {
	for _, c := range s.reading.pending(users) {
		select {
		case <-c:
		case <-ctx.Done():
			return Errorf(Unavailable, "%w waiting for read acks: %w", ErrDropped, ctx.Err())
		}
	}
	return nil
}

func (r *reading) pending(users []uint32) (acks []chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range users {
		acks = slices.AppendSeq(acks, maps.Keys(r.users[u]))
	}
	return acks
}
