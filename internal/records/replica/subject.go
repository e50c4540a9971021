package replica

import "github.com/teamtalk-go/dbproxy/internal/chat"

// Subject is what reads and writes are about. Two are equal when they are about the same.
type Subject struct {
	kind kind
	a, b uint32
}

type kind uint8

const (
	pair kind = iota
	group
	user
	sound
	everyUser
	allDepartments
)

// EveryUser is the list of all users, AllDepartments that of all departments.
var (
	EveryUser      = Subject{kind: everyUser}
	AllDepartments = Subject{kind: allDepartments}
)

// AboutTalk is a pair or a group, with its messages.
func AboutTalk(t chat.Talk) Subject {
	if t.Kind == chat.Group {
		return AboutGroup(t.A)
	}
	return Subject{pair, t.A, t.B}
}

// AboutGroup is a group, with its members and mutes.
func AboutGroup(id uint32) Subject { return Subject{kind: group, a: id} }

// AboutUser is a user with all that belongs to it: profile, sessions, groups, files, device.
func AboutUser(id uint32) Subject { return Subject{kind: user, a: id} }

// AboutSound is the sound of a voice message.
func AboutSound(id uint32) Subject { return Subject{kind: sound, a: id} }

// AboutEach is what a list is about.
func AboutEach[K any](keys []K, about func(K) Subject) []Subject {
	subjects := make([]Subject, len(keys))
	for i, k := range keys {
		subjects[i] = about(k)
	}
	return subjects
}
