package chat

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"
)

// Voice keeps the sounds of voice messages. Its methods are called from many goroutines at once.
type Voice interface {
	// Save stores a sound durably and returns the path by which Load finds it again.
	Save(ctx context.Context, sound []byte) (path string, err error)
	// Discard removes a sound that no message refers to, if the store can remove sounds.
	Discard(ctx context.Context, path string) error
	// Load returns the sound of a path that Save returned. The error is of kind NotFound when there
	// is none.
	Load(ctx context.Context, path string) ([]byte, error)
}

// voiceTimeout is how long storing or loading one sound may take.
const voiceTimeout = 2 * time.Second

// maxSounds is how many sounds are being stored at once.
const maxSounds = 16

// voiceHeader is how many bytes stand before the sound in a voice message: its duration in seconds,
// big-endian.
const voiceHeader = 4

// NewMessage is a message as it comes from a sender.
type NewMessage struct {
	From uint32
	To   uint32 // a user, or a group
	Type MsgType
	Time uint32 // the client's, Unix seconds
	// Data is the text, or the duration and sound of a voice message. The caller must not change it
	// after Send.
	Data []byte
}

// Send has a message stored. It waits only while the queue is full. done is called once, with the
// message's id within its talk or with an error. The kind of the error says what is known: Invalid
// and Unavailable mean that nothing is stored, NotAllowed that the group does not exist or that the
// sender is no member, UnknownOutcome that the message may have been stored.
//
// The messages of one talk get their ids, and are answered, in the order in which Send was called.
func (s *Service) Send(ctx context.Context, m NewMessage, done func(id uint32, err error)) {
	talk := TalkOf(m.From, m.Type.TalkKind(), m.To)
	j := &job{
		ctx:     ctx,
		draft:   Draft{Talk: talk, From: m.From, Type: m.Type, Time: m.Time},
		refused: checkMessage(m),
	}
	j.done = func(st Stored, err error) {
		err = cmp.Or(err, st.Err)
		done(st.ID, err)
		if err != nil && j.draft.Sound != nil && KindOf(err) != UnknownOutcome {
			s.committer.tasks.Go(func() { s.discard(j.draft.Sound.Path) })
		}
	}
	if j.refused == nil {
		if j.uploading = m.Type.Voice(); !j.uploading {
			j.draft.Content = string(m.Data)
		}
	}
	j.upload = func() { s.saveVoice(ctx, j, m.Data) }
	if err := s.committer.submit(TalkLane(talk), j); err != nil {
		done(0, err)
	}
}

// checkMessage refuses a message that must not be stored, whatever the store has.
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

// saveVoice stores the sound of a queued message. The lane of the message waits for it.
func (s *Service) saveVoice(ctx context.Context, j *job, data []byte) {
	if err := s.sounds.Acquire(ctx); err != nil {
		s.committer.uploaded(j, nil,
			Errorf(Unavailable, "%w waiting to store the sound: %w", ErrDropped, err))
		return
	}
	defer s.sounds.Release()
	ctx, cancel := context.WithTimeout(ctx, voiceTimeout)
	defer cancel()
	sound := data[voiceHeader:]
	path, err := s.store.Voice.Save(ctx, sound)
	if err != nil {
		s.committer.uploaded(j, nil, Errorf(Unavailable, "storing the sound: %w", err))
		return
	}
	stored := &Sound{Path: path, Size: uint32(len(sound)), Duration: binary.BigEndian.Uint32(data)}
	if !s.committer.uploaded(j, stored, nil) {
		s.discard(path)
	}
}

// discard removes the sound of a message that was not stored.
func (s *Service) discard(path string) {
	ctx, cancel := context.WithTimeout(context.Background(), voiceTimeout)
	defer cancel()
	if err := s.store.Voice.Discard(ctx, path); err != nil {
		s.log.Warn("the sound of a message that was not stored stays behind", "path", path,
			"err", err)
	}
}

// ReadAck has what user has unread of a talk cleared, in order with the messages sent in it. It
// waits only while the queue is full, and calls done once.
func (s *Service) ReadAck(ctx context.Context, user uint32, talk Talk, done func(error)) {
	over := s.acks.begin(user)
	finish := func(err error) {
		over()
		done(err)
	}
	err := s.committer.submit(TalkLane(talk), &job{
		ctx:   ctx,
		draft: Draft{Talk: talk, From: user, Read: true},
		done:  func(st Stored, err error) { finish(cmp.Or(err, st.Err)) },
	})
	if err != nil {
		finish(err)
	}
}

// acks knows the pending read acks of each user.
type acks struct {
	mu sync.Mutex
	// users is guarded by mu. Each channel is an ack's, and is closed when the ack has taken
	// effect.
	users map[uint32]map[chan struct{}]struct{}
}

// begin notes a read ack of user. over is to be called once, when it has taken effect or was
// refused.
func (a *acks) begin(user uint32) (over func()) {
	done := make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == nil {
		a.users = make(map[uint32]map[chan struct{}]struct{})
	}
	if a.users[user] == nil {
		a.users[user] = make(map[chan struct{}]struct{})
	}
	a.users[user][done] = struct{}{}
	return func() {
		close(done)
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.users[user], done)
		if len(a.users[user]) == 0 {
			delete(a.users, user)
		}
	}
}

// AcksPending says whether AwaitAcks would wait.
func (s *Service) AcksPending(users []uint32) bool { return len(s.acks.pending(users)) > 0 }

// AwaitAcks waits until the read acks of users that are pending now have taken effect. Clients get
// no answer to an ack that they could wait for, so whatever counts unread messages calls this
// first. It must not be called where a turn is held: an ack may wait for a change that waits for
// its turn.
func (s *Service) AwaitAcks(ctx context.Context, users []uint32) error {
	for _, c := range s.acks.pending(users) {
		select {
		case <-c:
		case <-ctx.Done():
			return Errorf(Unavailable, "%w waiting for read acks: %w", ErrDropped, ctx.Err())
		}
	}
	return nil
}

func (a *acks) pending(users []uint32) (pending []chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range users {
		pending = slices.AppendSeq(pending, maps.Keys(a.users[u]))
	}
	return pending
}
