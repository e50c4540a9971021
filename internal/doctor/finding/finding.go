// Package finding has the list of all that the doctor can find: one constant for each kind, and
// beside it what people are told about the kind. Whoever finds something names it by a constant,
// so there is no kind that the report does not know. docs/doctor.md explains each.
package finding

// Kind is a kind of finding. Its number is its position in the report, the worst first, and is
// stored nowhere; programs and people know a kind by its String.
type Kind uint8

// The kinds of finding.
const (
	RedisAway Kind = iota + 1
	SplitTalk
	DuplicateID
	ImpossibleID
	LostMessage
	MissingSound
	IDBehind
	MemberMissing
	MemberExtra
	IDsRunOut
	DuplicateSession
	StraySession
	DuplicateMember
	WrongUserCount
	LevelAhead
	StrayTalk
	OldCommit
	UnreadStray
	UnreadBehind
	CountBehind
	MuteMissing
	TokenMissing
	StrayGroup
	UnreadNobody
	OtherMessageType
	OtherGroupType
	OrphanSound

	end // of the list; no kind
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Wrong    Severity = "wrong"    // somebody misses something, or will
	Doubtful Severity = "doubtful" // a number is off, or things are there twice
	Note     Severity = "note"     // it does no harm
)

// kinds says of each kind what holds for all findings of it.
var kinds = [end]struct {
	name     string
	severity Severity
	what     string
	mend     string
}{
	RedisAway: {"redis-away", Wrong, "Redis cannot be reached", ""},
	SplitTalk: {"split-talk", Wrong, "talks split over several relations",
		"append the messages of the other relations to the talk, which keeps its relation and ids"},
	DuplicateID: {"duplicate-id", Wrong, "messages with an id that another one of the talk has",
		"give the later one a new id, at the end of the talk"},
	ImpossibleID: {"impossible-id", Wrong, "messages with an id above 2147483647",
		"give each a new id, at the end of its talk"},
	LostMessage: {"lost-message", Wrong,
		"messages that nobody finds: of no relation or group, in a wrong table, or between others",
		""},
	MissingSound: {"missing-sound", Wrong, "voice messages without their sound in IMAudio", ""},
	IDBehind: {"id-behind", Wrong,
		"talks whose id counter in Redis is missing, below the last message, or impossible",
		"raise it to the last message's id"},
	MemberMissing: {"member-missing", Wrong, "members in MySQL that Redis does not have",
		"add them to Redis"},
	MemberExtra: {"member-extra", Wrong, "members in Redis that MySQL does not have",
		"remove them from Redis"},
	IDsRunOut: {"ids-run-out", Wrong, "tables that have used half of their ids", ""},
	DuplicateSession: {"duplicate-session", Doubtful, "sessions that a user has several of",
		"keep the one in use, at the latest place in the list; remove the others from it"},
	StraySession: {"stray-session", Doubtful, "sessions of groups that the user is not in",
		"remove them from the list"},
	DuplicateMember: {"duplicate-member", Doubtful, "members that are in a group several times",
		"keep the row of the first join; the others count as left"},
	WrongUserCount: {"user-count", Doubtful,
		"groups whose userCnt is not the number of members", "count the members"},
	LevelAhead: {"level-ahead", Doubtful, "members who have seen more of a group than there is",
		"set the level to the count"},
	StrayTalk: {"stray-talk", Doubtful, "talks of ours without their relation",
		"point them to the pair's relation, which is made if there is none"},
	OldCommit: {"old-commit", Doubtful,
		"commits whose counts were not applied within three minutes", "apply them"},
	UnreadStray: {"unread-stray", Doubtful,
		"unread counters in Redis of talks that do not exist", "remove them"},
	UnreadBehind: {"unread-behind", Doubtful, "unread counters that Redis has lost",
		"bring them back from MySQL"},
	CountBehind: {"count-behind", Doubtful, "counts of groups that Redis has lost",
		"bring them back from MySQL"},
	MuteMissing: {"mute-missing", Doubtful, "mute values that Redis has lost",
		"bring them back from MySQL"},
	TokenMissing: {"token-missing", Doubtful, "push tokens that Redis has lost",
		"bring them back from MySQL"},
	StrayGroup:   {"stray-group", Note, "groups of ours that are not in IMGroup", ""},
	UnreadNobody: {"unread-nobody", Note, "users with unread counters who do not exist", ""},
	OtherMessageType: {"message-type", Note,
		"messages of a type that is not told to peers: counted, not shown", ""},
	OtherGroupType: {"group-type", Note, "groups of a type that is not told to peers", ""},
	OrphanSound:    {"orphan-sound", Note, "sounds in IMAudio that no message refers to", ""},
}

// All returns all kinds, in the order of the report.
func All() (all []Kind) {
	for k := Kind(1); k < end; k++ {
		all = append(all, k)
	}
	return all
}

// String is the kind's name, by which people and programs know it, such as "split-talk".
func (k Kind) String() string { return kinds[k].name }

// Severity says how bad findings of the kind are.
func (k Kind) Severity() Severity { return kinds[k].severity }

// What says what there is of the kind, as a noun in the plural.
func (k Kind) What() string { return kinds[k].what }

// Mend says what a repair does about the kind; "" means that it is only reported.
func (k Kind) Mend() string { return kinds[k].mend }
