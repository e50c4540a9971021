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
	// Recent returns the sessions of a user that are in the list and changed after since (Unix
	// seconds), the latest first, at most max.
	Recent(ctx context.Context, user, since uint32, max int) ([]Session, error)
	// Remove takes a talk off the user's list and clears what is unread of it. The error is of kind
	// NotFound if it is not in the list.
	Remove(ctx context.Context, user uint32, talk Talk, now uint32) error
}

// RecentSessions returns a user's recent talks that changed after since (Unix seconds), the latest
// first, each with its last message. Talks without a message that can be shown are left out.
func (s *Service) RecentSessions(ctx context.Context, user, since uint32) ([]RecentSession, error) {
	sessions, err := s.store.Sessions.Recent(ctx, user, since, maxSessions)
	if err != nil {
		return nil, err
	}
	talks := make([]Talk, len(sessions))
	for i, se := range sessions {
		talks[i] = se.Talk
	}
	last, err := s.lastShown(ctx, talks)
	if err != nil {
		return nil, err
	}
	var recent []RecentSession
	for _, se := range sessions {
		if m := last[se.Talk].Shown; m.Type != 0 {
			recent = append(recent, RecentSession{Session: se, Last: m})
		}
	}
	return recent, nil
}

// RemoveSession takes a talk off a user's list and clears what is unread of it.
func (s *Service) RemoveSession(ctx context.Context, user uint32, talk Talk) error {
	return s.store.Sessions.Remove(ctx, user, talk, s.unix())
}
