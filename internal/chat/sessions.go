package chat

import "context"

// maxSessions is how many recent sessions an answer has at most.
const maxSessions = 100

// Session is one user's entry in the list of recent talks (table IMRecentSession).
type Session struct {
	Talk    Talk
	Updated uint32 // Unix seconds
}

// RecentSession is a session with the last message of its talk.
type RecentSession struct {
	Session
	Last Message
}

// Sessions keeps the recent talks of users. A session appears when a message is sent: see Ledger.
type Sessions interface {
	// Recent returns the sessions that each request asks for, in the order of the requests: those
	// that are in the user's list and changed after Since, the latest first, at most max.
	Recent(ctx context.Context, asked []SessionsAsked, max int) ([][]Session, error)
	// Remove takes a talk off the user's list and clears what is unread of it. The error is of kind
	// NotFound if it is not in the list.
	Remove(ctx context.Context, user uint32, talk Talk, now uint32) error
}

// SessionsAsked is a request for a user's recent sessions.
type SessionsAsked struct {
	User  uint32
	Since uint32 // only those that changed after that, Unix seconds
	Limit int    // how many bytes the list may take in the answer, 0: any
}

// RecentSessions returns the sessions that each request asks for, the latest first, each with the
// last message of its talk. Talks without a message that can be shown are left out. A *TooLongError
// if a list exceeds its limit.
func (s *Service) RecentSessions(
	ctx context.Context, asked []SessionsAsked,
) []Result[[]RecentSession] {
	sessions, err := s.store.Sessions.Recent(ctx, asked, maxSessions)
	if err != nil {
		return allFailed[[]RecentSession](len(asked), err)
	}
	results := make([]Result[[]RecentSession], len(asked))
	sizes := make([]*Measure, len(asked))
	for i, a := range asked {
		sizes[i] = NewMeasure(WithLimit(ctx, a.Limit), "sessions")
	}
	err = eachEnd(ctx, s, sessions, func(se Session) Talk { return se.Talk },
		func(list int, se Session, end Newest) {
			r := &results[list]
			if end.Shown.Type != 0 && sizes[list].Add(len(end.Shown.Data)+sessionFields) {
				r.Value = append(r.Value, RecentSession{Session: se, Last: end.Shown})
			}
		})
	if err != nil {
		return allFailed[[]RecentSession](len(asked), err)
	}
	for i := range results {
		if results[i].Err = sizes[i].Err(); results[i].Err != nil {
			results[i].Value = nil
		}
	}
	return results
}

// sessionFields is how many bytes a session takes in an answer beside its last message.
const sessionFields = 64

// RemoveSession takes a talk off a user's list and clears what is unread of it.
func (s *Service) RemoveSession(ctx context.Context, user uint32, talk Talk) error {
	return s.store.Sessions.Remove(ctx, user, talk, s.unix())
}
