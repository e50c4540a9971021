package doctor

import (
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/records"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Wrong    Severity = "wrong"    // somebody misses something, or will
	Doubtful Severity = "doubtful" // a number is off, or things are there twice
	Note     Severity = "note"     // it does no harm
)

// Finding is all that was found of one kind.
type Finding struct {
	Kind     string
	Severity Severity
	What     string // what there is so many of
	Mend     string // what a repair does about it; empty: it is only reported
	Count    int
	Examples []string
	Mended   int
	Left     []string // why some were not mended
}

// Open reports whether something of it is still there that should not be.
func (f Finding) Open() bool { return f.Severity != Note && f.Mended < f.Count }

// Report is what was found, the worst first.
type Report struct {
	Findings []Finding
	Ranges   []records.Range // the fullest first
}

// Open is how many findings are open.
func (r *Report) Open() (n int) {
	for _, f := range r.Findings {
		if f.Open() {
			n++
		}
	}
	return n
}

// maxExamples is how many examples of a kind are kept.
const maxExamples = 5

// kind is what is said of all findings of a kind.
type kind struct {
	name     string
	severity Severity
	what     string
	mend     string
}

// kinds are all, in the order in which they are reported.
var kinds = [...]kind{
	{"redis-away", Wrong, "Redis cannot be reached", ""},
	{"split-talk", Wrong, "talks split over several relations",
		"append the messages of the other relations to the talk, which keeps its relation and ids"},
	{"duplicate-id", Wrong, "messages with an id that another one of the talk has", "give the later one a new id, at the end of the talk"},
	{"impossible-id", Wrong, "messages with an id above 2147483647", "give each a new id, at the end of its talk"},
	{"lost-message", Wrong, "messages that nobody finds: of no relation or group, in a wrong table, or between others", ""},
	{"missing-sound", Wrong, "voice messages without their sound in IMAudio", ""},
	{"id-behind", Wrong, "talks whose id counter in Redis is missing, below the last message, or impossible", "raise it to the last message's id"},
	{"member-missing", Wrong, "members in MySQL that Redis does not have", "add them to Redis"},
	{"member-extra", Wrong, "members in Redis that MySQL does not have", "remove them from Redis"},
	{"ids-run-out", Wrong, "tables that have used half of their ids", ""},
	{"duplicate-session", Doubtful, "sessions that a user has several of", "keep the one in use, at the latest place in the list; remove the others from it"},
	{"stray-session", Doubtful, "sessions of groups that the user is not in", "remove them from the list"},
	{"duplicate-member", Doubtful, "members that are in a group several times", "keep the row of the first join; the others count as left"},
	{"user-count", Doubtful, "groups whose userCnt is not the number of members", "count the members"},
	{"level-ahead", Doubtful, "members who have seen more of a group than there is", "set the level to the count"},
	{"stray-talk", Doubtful, "talks of ours without their relation", "point them to the pair's relation, which is made if there is none"},
	{"old-commit", Doubtful, "commits whose counts were not applied within three minutes", "apply them"},
	{"unread-stray", Doubtful, "unread counters in Redis of talks that do not exist", "remove them"},
	{"unread-behind", Doubtful, "unread counters that Redis has lost", "bring them back from MySQL"},
	{"count-behind", Doubtful, "counts of groups that Redis has lost", "bring them back from MySQL"},
	{"mute-missing", Doubtful, "mute values that Redis has lost", "bring them back from MySQL"},
	{"token-missing", Doubtful, "push tokens that Redis has lost", "bring them back from MySQL"},
	{"stray-group", Note, "groups of ours that are not in IMGroup", ""},
	{"unread-nobody", Note, "users with unread counters who do not exist", ""},
	{"message-type", Note, "messages of a type that is not told to peers: counted, not shown", ""},
	{"group-type", Note, "groups of a type that is not told to peers", ""},
	{"orphan-sound", Note, "sounds in IMAudio that no message refers to", ""},
}

func kindOf(name string) kind { return kinds[place(name)] }

// place is where a kind stands in the report.
func place(name string) int {
	i := slices.IndexFunc(kinds[:], func(k kind) bool { return k.name == name })
	if i < 0 {
		return len(kinds) - 1
	}
	return i
}

// finding returns the finding of a kind, which it makes.
func (r *Report) finding(name string) *Finding {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Kind == name })
	if i >= 0 {
		return &r.Findings[i]
	}
	k := kindOf(name)
	i = 0
	for i < len(r.Findings) && place(r.Findings[i].Kind) < place(name) {
		i++
	}
	r.Findings = slices.Insert(r.Findings, i, Finding{Kind: name, Severity: k.severity, What: k.what, Mend: k.mend})
	return &r.Findings[i]
}

// add counts one more of a kind.
func (r *Report) add(name, text string) {
	f := r.finding(name)
	f.Count++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, text)
	}
}

// addMany counts n of a kind, of which known can be named.
func (r *Report) addMany(name string, n int, text func(i int) string, known int) {
	if n == 0 {
		return
	}
	f := r.finding(name)
	f.Count += n
	for i := 0; i < known && len(f.Examples) < maxExamples; i++ {
		f.Examples = append(f.Examples, text(i))
	}
}

// mended notes that n of a kind were mended, and why others were not.
func (r *Report) mended(name string, n int, left []string) {
	f := r.finding(name)
	f.Mended = min(f.Count, f.Mended+n)
	f.Left = append(f.Left, left[:min(len(left), maxExamples-len(f.Left))]...)
}
