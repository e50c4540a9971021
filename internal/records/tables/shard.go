package tables

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Shards is over how many tables the messages of pairs, and those of groups, are spread.
const Shards = 8

// Owner is what a message is stored under: a pair's relation, or a group.
type Owner struct {
	Kind chat.TalkKind
	ID   uint32
}

// Shard is where the messages of an owner are: its id modulo Shards says which.
func (o Owner) Shard() Shard { return Shard{o.Kind, o.ID % Shards} }

// CompareOwners orders owners by their shards, and then by their ids.
func CompareOwners(a, b Owner) int {
	return cmp.Or(CompareShards(a.Shard(), b.Shard()), cmp.Compare(a.ID, b.ID))
}

// Shard is one of the tables of messages.
type Shard struct {
	Kind   chat.TalkKind
	Number uint32 // from 0
}

// AllShards are all of them: those of pairs, then those of groups.
func AllShards() (all []Shard) {
	for _, kind := range []chat.TalkKind{chat.Pair, chat.Group} {
		for n := range uint32(Shards) {
			all = append(all, Shard{kind, n})
		}
	}
	return all
}

// CompareShards orders shards as AllShards does.
func CompareShards(a, b Shard) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Number, b.Number))
}

// Table is the name of the table.
func (s Shard) Table() string {
	if s.Kind == chat.Group {
		return fmt.Sprintf("IMGroupMessage_%d", s.Number)
	}
	return fmt.Sprintf("IMMessage_%d", s.Number)
}

// OwnerColumn is the column with the owner's id.
func (s Shard) OwnerColumn() string {
	if s.Kind == chat.Group {
		return "groupId"
	}
	return "relateId"
}

// OwnerTable is the table that has the owners.
func (s Shard) OwnerTable() string {
	if s.Kind == chat.Group {
		return "IMGroup"
	}
	return "IMRelationShip"
}

// keyByTime and keyByID are the columns of the keys by which an owner's messages are in the order
// of their times, and of their ids.
func (s Shard) keyByTime() string { return s.OwnerColumn() + ",status,created" }

func (s Shard) keyByID() string {
	if s.Kind == chat.Group {
		return s.OwnerColumn() + ",msgId,status,created"
	}
	return s.OwnerColumn() + ",status,msgId,created"
}

// KeyByTime is the name of the key by which an owner's messages are in the order of their times.
// MySQL guesses from samples which key is the best, and may take another one and read all messages
// of an owner, or even the whole table: name the key with sqldb.Dialect.ForceIndex.
func (s Shard) KeyByTime() string { return KeyName(s.keyByTime()) }

// KeyByID is the name of the key by which an owner's messages are in the order of their ids, as
// KeyByTime is of their times.
func (s Shard) KeyByID() string { return KeyName(s.keyByID()) }

// Sender is the column with the user who sent a message.
func (s Shard) Sender() string {
	if s.Kind == chat.Group {
		return "userId"
	}
	return "fromId"
}

// TokenColumns are those of IMProxyToken.
const TokenColumns = "digest,token,userId"

// TokenDigest is the SHA-256 of a push token in hexadecimal digits, by which IMProxyToken knows it.
func TokenDigest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
