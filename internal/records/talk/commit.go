package talk

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// The stored form of a commit: JSON in IMProxyCommit.changes. Proxies of two neighbouring versions
// read each other's, so a version of it may only gain fields that the one before can pass over. The
// types are those of chat field for field, which is how they are converted; what a field means is
// said there.

// commitVersion is the version written. Records without one are of the time before there were
// versions, and have the form of version 1.
const commitVersion = 1

type storedCommit struct {
	Version int            `json:",omitempty"`
	Changes []storedChange `json:",omitempty"`
	Devices []storedDevice `json:",omitempty"`
}

type storedChange struct {
	Talk     storedTalk
	Relation uint32         `json:",omitempty"`
	Rev      uint32         `json:",omitempty"`
	LastID   uint32         `json:",omitempty"`
	New      bool           `json:",omitempty"`
	Before   uint32         `json:",omitempty"`
	Count    uint32         `json:",omitempty"`
	Users    []storedMoved  `json:",omitempty"`
	Members  []storedMember `json:",omitempty"`
	Mutes    []storedMute   `json:",omitempty"`
}

type storedTalk struct {
	Kind chat.TalkKind
	A, B uint32
}

type storedMoved struct {
	User   uint32
	Clear  bool   `json:",omitempty"`
	Before uint32 `json:",omitempty"`
	Unread uint32 `json:",omitempty"`
}

type storedMember struct {
	User   uint32
	Joined uint32 `json:",omitempty"`
}

type storedMute struct{ User, Value uint32 }

type storedDevice struct {
	User   uint32
	Rev    uint32
	Device string `json:",omitempty"`
	Token  string `json:",omitempty"`
}

// Readable is the condition that a commit record is none of a later version. Those are left to the
// proxies that know them. It goes by what encoding/json writes first.
const Readable = "(changes IS NULL OR changes NOT LIKE '{\"Version\":%'" +
	" OR changes LIKE '{\"Version\":1,%')"

// Swept is the stored form of a commit whose changes have been applied: none.
const Swept = "{}"

// Record writes the record of a commit. now is Unix seconds.
func (w Work) Record(ctx context.Context, c chat.Commit, now uint32) error {
	changes, err := encodeCommit(c)
	if err != nil {
		return err
	}
	_, err = sqldb.Exec(ctx, w, "INSERT INTO IMProxyCommit (id,created,changes) VALUES (?,?,?)",
		c.ID.String(), now, changes)
	return err
}

// encodeCommit returns the stored form of a commit. One that moved nothing is swept from the
// beginning.
func encodeCommit(c chat.Commit) (string, error) {
	if len(c.Changes)+len(c.Devices) == 0 {
		return Swept, nil
	}
	stored := storedCommit{
		Version: commitVersion,
		Devices: convert(c.Devices, func(d chat.Device) storedDevice { return storedDevice(d) }),
		Changes: convert(c.Changes, func(c chat.Change) storedChange {
			return storedChange{
				Talk: storedTalk(c.Talk), Relation: c.Relation, Rev: c.Rev, LastID: c.LastID,
				New: c.New, Before: c.Before, Count: c.Count,
				Users: convert(c.Users, func(m chat.Moved) storedMoved { return storedMoved(m) }),
				Members: convert(c.Members,
					func(m chat.Member) storedMember { return storedMember(m) }),
				Mutes: convert(c.Mutes, func(m chat.Mute) storedMute { return storedMute(m) }),
			}
		}),
	}
	text, err := json.Marshal(stored)
	return string(text), err
}

// DecodeCommit reads the stored form into a commit, which has its id already. A form of a later
// version is an error: see Readable.
func DecodeCommit(text string, c *chat.Commit) error {
	var stored storedCommit
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return err
	}
	if stored.Version > commitVersion {
		return fmt.Errorf("it has the form of version %d, and this proxy reads none above %d",
			stored.Version, commitVersion)
	}
	c.Devices = convert(stored.Devices, func(d storedDevice) chat.Device { return chat.Device(d) })
	c.Changes = convert(stored.Changes, func(s storedChange) chat.Change {
		return chat.Change{
			Talk: chat.Talk(s.Talk), Relation: s.Relation, Rev: s.Rev, LastID: s.LastID,
			New: s.New, Before: s.Before, Count: s.Count,
			Users:   convert(s.Users, func(m storedMoved) chat.Moved { return chat.Moved(m) }),
			Members: convert(s.Members, func(m storedMember) chat.Member { return chat.Member(m) }),
			Mutes:   convert(s.Mutes, func(m storedMute) chat.Mute { return chat.Mute(m) }),
		}
	})
	return nil
}

// convert returns what f makes of each of a list; nil of an empty one.
func convert[A, B any](list []A, f func(A) B) (all []B) {
	if len(list) > 0 {
		all = make([]B, 0, len(list))
	}
	for _, a := range list {
		all = append(all, f(a))
	}
	return all
}
