package chat

import "time"

// Administration is the part of the rules that an administrator's commands need beside running
// proxies: who may make and change groups. It has no sequencer and no committer, so it cannot send
// messages: their numbers are the business of the proxies alone.
type Administration struct {
	groups Groups
	now    func() time.Time
}

// NewAdministration returns the rules for these groups, by the clock now.
func NewAdministration(groups Groups, now func() time.Time) Administration {
	return Administration{groups: groups, now: now}
}

func (a Administration) unix() uint32 { return unix(a.now()) }
