package chat

import (
	"context"
	"encoding/binary"
	"slices"
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
	// Pages returns for each query messages in paging order; none if the talk does not exist.
	// Messages that original servers stored may have times that do not rise with their ids. One
	// whose time is after that of a thousand messages with greater ids may be missing from pages
	// that begin (UpTo) after those.
	// One that is not read together with others, as it may take long, has the error ErrAlone.
	Pages(ctx context.Context, queries []PageQuery) []Result[[]Message]
	// Page is Pages for one query alone.
	Page(ctx context.Context, q PageQuery) ([]Message, error)
	// Last returns the end of each talk that has messages.
	Last(ctx context.Context, talks []Talk) (map[Talk]Newest, error)
	// Joined returns when users joined groups, in Unix seconds; who is no member is missing.
	Joined(ctx context.Context, asked []UserInGroup) (map[UserInGroup]uint32, error)
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

// UserInGroup is a user in a group.
type UserInGroup struct{ Group, User uint32 }

// PageQuery says which messages of a talk are wanted.
type PageQuery struct {
	Talk  Talk
	IDs   []uint32 // only these ids, sorted and unique; nil: any
	UpTo  uint32   // the greatest message id that is wanted; 0: any
	Since uint32   // only messages created at that time or later, Unix seconds
	Count uint32   // at most so many messages
	// At most so many bytes of messages, but at least one message. A longer page is cut if Cuts is
	// set, else refused with a *TooLongError.
	Bytes int
	Cuts  bool
}

// TooLong is the error of a page that has more bytes than the query allows; nil if it is cut.
func (q PageQuery) TooLong() error {
	if q.Cuts {
		return nil
	}
	return &TooLongError{List: "messages", Bytes: MaxAnswer, Limit: q.Bytes, Cut: true}
}

// PageAsked is a request for messages of a talk that User may see, newest first: at most Count of
// those with an id of at most UpTo (0: any), or, if IDs is not nil, of those with these ids, at
// most 100. Limit is how many bytes they may take in the answer, 0: any.
type PageAsked struct {
	User  uint32
	Talk  Talk
	UpTo  uint32
	Count uint32
	IDs   []uint32
	Limit int
	// Cuts says that a longer page is to be cut, as no more memory can be had for it. One of
	// MaxAnswer is always cut.
	Cuts bool
}

// query is the query for what was asked. None is needed if its Count is 0.
func (a PageAsked) query() PageQuery {
	q := PageQuery{Talk: a.Talk, UpTo: a.UpTo, Count: a.Count, Bytes: MaxAnswer, Cuts: true}
	if 0 < a.Limit && a.Limit < MaxAnswer {
		q.Bytes, q.Cuts = a.Limit, a.Cuts
	}
	if a.IDs != nil {
		q.IDs, q.Count = SortedSet(a.IDs), min(uint32(len(a.IDs)), maxByID)
	}
	return q
}

// ErrAlone says that a page has to be asked for alone: see Service.Page.
var ErrAlone = Errorf(Unavailable, "the page is not read together with others")

// Page returns the messages that one request asks for, as Pages does. It takes as long as it takes:
// whoever calls it holds one of the slots of reads.
func (s *Service) Page(ctx context.Context, asked PageAsked) ([]Message, error) {
	page := s.pages(ctx, []PageAsked{asked}, func(q []PageQuery) []Result[[]Message] {
		messages, err := s.store.Archive.Page(ctx, q[0])
		return []Result[[]Message]{{messages, err}}
	})[0]
	if page.Err != nil || !HasVoice(page.Value) {
		return page.Value, page.Err
	}
	return s.WithSounds(WithLimit(ctx, asked.Limit), page.Value)
}

// Pages returns the messages that each request asks for. A page that is longer than its limit is
// refused with a *TooLongError, unless it is to be cut. Of a group only its members may see
// something, and only what came after they joined. Voice messages lack their sounds: see
// WithSounds. The messages may be shared, and are not to be changed. Those that have to be asked
// for alone have the error ErrAlone.
func (s *Service) Pages(ctx context.Context, asked []PageAsked) []Result[[]Message] {
	return s.pages(ctx, asked, func(queries []PageQuery) []Result[[]Message] {
		return s.store.Archive.Pages(ctx, queries)
	})
}

// pages is Pages with what reads them.
func (s *Service) pages(
	ctx context.Context, asked []PageAsked, read func([]PageQuery) []Result[[]Message],
) []Result[[]Message] {
	results := make([]Result[[]Message], len(asked))
	var members []UserInGroup
	for _, a := range asked {
		if a.Talk.Kind == Group {
			members = append(members, UserInGroup{a.Talk.A, a.User})
		}
	}
	var joined map[UserInGroup]uint32
	if len(members) > 0 {
		var err error
		if joined, err = s.store.Archive.Joined(ctx, members); err != nil {
			return allFailed[[]Message](len(asked), err)
		}
	}
	var queries []PageQuery
	var at []int // whose query each is, an index into asked
	for i, a := range asked {
		q, member := a.query(), true
		if a.Talk.Kind == Group {
			q.Since, member = joined[UserInGroup{a.Talk.A, a.User}]
		}
		if member && q.Count > 0 {
			queries, at = append(queries, q), append(at, i)
		}
	}
	if len(queries) == 0 {
		return results
	}
	for i, page := range read(queries) {
		if page.Err == nil && HasVoice(page.Value) {
			page.Err = queries[i].TooLong() // nobody knows yet how long it is with its sounds
		}
		results[at[i]] = page
	}
	return results
}

// LatestIDs returns the id of each talk's first message in paging order; talks without a message
// are missing. Anybody may ask.
func (s *Service) LatestIDs(ctx context.Context, talks []Talk) (map[Talk]uint32, error) {
	last, err := s.store.Archive.Last(ctx, talks)
	ids := make(map[Talk]uint32, len(last))
	for talk, end := range last {
		ids[talk] = end.ID
	}
	return ids, err
}

const (
	// soundsAtOnce is how many sounds of a page are loaded at once.
	soundsAtOnce = 4
	// soundsTimeout is how long all sounds of a page may take together: a file server that is slow
	// or away must not cost the page.
	soundsTimeout = 3 * time.Second
)

// HasVoice says whether voice messages are among some, so that they need WithSounds.
func HasVoice(messages []Message) bool {
	return slices.ContainsFunc(messages, func(m Message) bool { return m.Type.Voice() })
}

// WithSounds returns messages of Pages, the voice messages among them with their bytes: four of
// duration, then the sound. One whose sound cannot be loaded in time has its duration alone, which
// is 0 if it is not known. Messages that do not fit an answer, see WithLimit, are cut off at the
// end. Whoever calls it holds one of the slots of reads.
func (s *Service) WithSounds(ctx context.Context, messages []Message) ([]Message, error) {
	messages = slices.Clone(messages) // they may be shared
	var ids []uint32
	for _, m := range messages {
		if m.Type.Voice() {
			ids = append(ids, soundID(m))
		}
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
