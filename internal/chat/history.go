package chat

import (
	"context"
	"encoding/binary"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Archive reads stored messages. It never returns messages that were removed (status 1), nor any of
// a pair whose relation was removed. Messages of types that are not shown, see Newest, only Last
// returns. "In paging order" means that the message with the greatest created time comes first, and
// of equals the one with the greatest row id.
type Archive interface {
	// Page returns messages of a talk in paging order; none if the talk does not exist. Messages
	// that original servers stored may have times that do not rise with their ids. One whose time
	// is after that of a thousand messages with greater ids may be missing from pages that begin
	// (UpTo) after those.
	Page(ctx context.Context, talk Talk, q PageQuery) ([]Message, error)
	// Last returns the end of each talk that has messages.
	Last(ctx context.Context, talks []Talk) (map[Talk]Newest, error)
	// Joined returns when a user joined a group, in Unix seconds; ok is false if the user is no
	// member.
	Joined(ctx context.Context, group, user uint32) (at uint32, ok bool, err error)
	// Sounds returns the sounds of voice messages, by the ids that stand in the messages; unknown
	// ids are missing.
	Sounds(ctx context.Context, ids []uint32) (map[uint32]Sound, error)
}

// Newest is the end of a talk. The tables may have messages of types that the protocol does not
// have and that peers cannot read: these are counted, but not shown.
type Newest struct {
	ID    uint32  // of the first message in paging order, of whatever type
	Shown Message // the first one that is shown; its Type is 0 if there is none
}

// PageQuery says which messages of a talk are wanted.
type PageQuery struct {
	IDs   []uint32 // only these ids, sorted and unique; nil: any
	UpTo  uint32   // the greatest message id that is wanted; 0: any
	Since uint32   // only messages created at that time or later, Unix seconds
	// at most so many messages, and at most PageLimit bytes, but at least one message
	Count uint32
}

// Page returns what user may see of a talk, newest first: at most count messages, with ids of at
// most upTo (0: any).
func (s *Service) Page(
	ctx context.Context, user uint32, talk Talk, upTo, count uint32,
) ([]Message, error) {
	if count == 0 {
		return nil, nil
	}
	return s.page(ctx, user, talk, PageQuery{UpTo: upTo, Count: count})
}

// MessagesByID returns those of the named messages that user may see, newest first, at most 100.
func (s *Service) MessagesByID(
	ctx context.Context, user uint32, talk Talk, ids []uint32,
) ([]Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.page(ctx, user, talk, PageQuery{IDs: SortedSet(ids), Count: maxByID})
}

// LatestID returns the id of a talk's first message in paging order, 0 if there is none. Anybody
// may ask.
func (s *Service) LatestID(ctx context.Context, talk Talk) (uint32, error) {
	last, err := s.store.Archive.Last(ctx, []Talk{talk})
	return last[talk].ID, err
}

// page reads what user may see: of a group only its members may see something, and only what came
// after they joined.
func (s *Service) page(
	ctx context.Context, user uint32, talk Talk, q PageQuery,
) ([]Message, error) {
	if talk.Kind == Group {
		joined, member, err := s.store.Archive.Joined(ctx, talk.A, user)
		if err != nil || !member {
			return nil, err
		}
		q.Since = joined
	}
	messages, err := s.store.Archive.Page(ctx, talk, q)
	if err != nil {
		return nil, err
	}
	return s.withSound(ctx, messages)
}

const (
	// soundsAtOnce is how many sounds of a page are loaded at once.
	soundsAtOnce = 4
	// soundsTimeout is how long all sounds of a page may take together: a file server that is slow
	// or away must not cost the page.
	soundsTimeout = 3 * time.Second
)

// withSound gives voice messages their bytes: four of duration, then the sound. A message whose
// sound cannot be loaded in time stays in the page with its duration alone, which is 0 if it is not
// known. Messages that do not fit an answer are cut off at the end.
func (s *Service) withSound(ctx context.Context, messages []Message) ([]Message, error) {
	var ids []uint32
	for _, m := range messages {
		if m.Type.Voice() {
			ids = append(ids, soundID(m))
		}
	}
	if len(ids) == 0 {
		return messages, nil
	}
	sounds, err := s.store.Archive.Sounds(ctx, SortedSet(ids))
	if err != nil {
		return nil, err
	}
	asked := len(messages)
	messages = fitting(ctx, messages, func(m Message) int { return expected(m, sounds) })
	s.loadSounds(ctx, messages, sounds)
	messages = fitting(ctx, messages, func(m Message) int { return len(m.Data) })
	if len(messages) < asked {
		s.log.Info("a page of voice messages is cut; its reader asks on", "messages", len(messages),
			"asked", asked, "max_bytes", PageLimit(ctx))
	}
	return messages, nil
}

// fitting returns as many messages as fit an answer, but at least one. bytes is how long one is.
func fitting(ctx context.Context, messages []Message, bytes func(Message) int) []Message {
	size := 0
	for i, m := range messages {
		if size += bytes(m) + 32; size > PageLimit(ctx) && i > 0 {
			return messages[:i]
		}
	}
	return messages
}

// expected is how many bytes a message should have with its sound.
func expected(m Message, sounds map[uint32]Sound) int {
	if m.Type.Voice() {
		return voiceHeader + int(sounds[soundID(m)].Size)
	}
	return len(m.Data)
}

// loadSounds puts the sounds into messages, as far as they can be loaded.
func (s *Service) loadSounds(ctx context.Context, messages []Message, sounds map[uint32]Sound) {
	ctx, cancel := context.WithTimeout(ctx, soundsTimeout)
	defer cancel()
	var loads errgroup.Group
	loads.SetLimit(soundsAtOnce)
	var loaded, left atomic.Int64 // bytes that were loaded; messages whose sounds were not tried
	for i := range messages {
		m := &messages[i]
		if !m.Type.Voice() {
			continue
		}
		id := soundID(*m)
		sound, known := sounds[id]
		m.Data = string(binary.BigEndian.AppendUint32(nil, sound.Duration))
		loads.Go(func() error {
			if ctx.Err() != nil || loaded.Load() > int64(PageLimit(ctx)) {
				left.Add(1)
				return nil
			}
			data, err := s.loadVoice(ctx, sound, known)
			if err != nil {
				s.log.Warn("the sound of a voice message cannot be had; it is listed without",
					"audio", id, "path", sound.Path, "err", err)
				return nil
			}
			loaded.Add(int64(len(data)))
			m.Data += string(data)
			return nil
		})
	}
	_ = loads.Wait()
	if n := left.Load(); n > 0 && ctx.Err() != nil {
		s.log.Warn("the sounds of a page take too long; voice messages are listed without",
			"messages", n, "of", len(messages))
	}
}

func (s *Service) loadVoice(ctx context.Context, sound Sound, known bool) ([]byte, error) {
	if !known {
		return nil, Errorf(NotFound, "no row in IMAudio")
	}
	ctx, cancel := context.WithTimeout(ctx, voiceTimeout)
	defer cancel()
	return s.store.Voice.Load(ctx, sound.Path)
}

// soundID is the id that stands in a voice message instead of its sound; 0, which no sound has, if
// it has no id.
func soundID(m Message) uint32 {
	id, err := strconv.ParseUint(m.Data, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// lastShown returns the ends of talks as lists show them: with the label instead of a sound.
func (s *Service) lastShown(ctx context.Context, talks []Talk) (map[Talk]Newest, error) {
	if len(talks) == 0 {
		return nil, nil
	}
	last, err := s.store.Archive.Last(ctx, talks)
	for talk, end := range last {
		if end.Shown.Type.Voice() {
			end.Shown.Data = s.label
			last[talk] = end
		}
	}
	return last, err
}
