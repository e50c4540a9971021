package records

import (
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// The declared schema. Names and types of the suite's own tables are the original server's, so that an existing
// database works unchanged; tables starting with IMProxy are ours. A dialect turns this into statements.

type columnType uint8

const (
	signed   columnType = iota // int
	unsigned                   // int unsigned
	tiny                       // tinyint unsigned
	varchar                    // varchar(size)
	text                       // longer than a varchar may be
	binary                     // text of size bytes that is compared byte by byte, trailing spaces included
)

type column struct {
	name string
	typ  columnType
	size int // of a varchar, in characters
	null bool
	def  string // default of a number; "" means 0
}

// nullable is the column with NULL allowed, which means empty or 0.
func (c column) nullable() column { c.null = true; return c }

func ints(names ...string) []column                { return columns(signed, names) }
func unsigneds(names ...string) []column           { return columns(unsigned, names) }
func tinys(names ...string) []column               { return columns(tiny, names) }
func chars(name string, size int) column           { return column{name: name, typ: varchar, size: size} }
func number(t columnType, name, def string) column { return column{name: name, typ: t, def: def} }

func columns(t columnType, names []string) []column {
	cols := make([]column, len(names))
	for i, n := range names {
		cols[i] = column{name: n, typ: t}
	}
	return cols
}

// table is one table. The primary key is id, counted by the database, unless primary names other columns.
type table struct {
	name       string
	unsignedID bool
	utf8       bool // the original's three tables without text are utf8, all others utf8mb4_bin
	columns    []column
	primary    []string
	former     []string // the primary key that an earlier version gave it; nil: the same
	keys       []string // each the columns of one key, joined by commas
	// unused are keys that no statement of ours needs; they belong to databases that original servers share. The
	// embedded store does without: that of the message tables costs it 8 to 22 % of its throughput (BenchmarkAppend).
	unused []string
}

// outdated is whether what is there of the table is an earlier version's, whose rows are to be brought
// under the key that it has now. Only "dbproxy migrate" does that.
func (t table) outdated(there *seenTable) bool {
	return there != nil && t.former != nil && slices.Equal(there.primary(), t.former)
}

// keyName is a key's name in the original's style: idx_ and the columns joined by _.
func keyName(key string) string {
	return "idx_" + strings.NewReplacer(",", "_", "(191)", "").Replace(key)
}

func join(parts ...any) (cols []column) {
	for _, p := range parts {
		switch p := p.(type) {
		case column:
			cols = append(cols, p)
		case []column:
			cols = append(cols, p...)
		}
	}
	return cols
}

// shards is over how many tables the messages of pairs, and those of groups, are spread: by id modulo shards.
const shards = 8

func pairTable(relation uint32) string { return fmt.Sprintf("IMMessage_%d", relation%shards) }
func groupTable(group uint32) string   { return fmt.Sprintf("IMGroupMessage_%d", group%shards) }

// schema is every table the proxy uses.
func schema() []table {
	tables := []table{
		{
			name: "IMUser", unsignedID: true,
			columns: join(tinys("sex"), chars("name", 32), chars("domain", 32), chars("nick", 32), chars("password", 32),
				chars("salt", 4), chars("phone", 11), chars("email", 64), chars("avatar", 255).nullable(),
				unsigneds("departId"), number(tiny, "status", "").nullable(), unsigneds("created", "updated"),
				tinys("push_shield_status"), chars("sign_info", 128)),
			keys: []string{"domain", "name", "phone"},
		},
		{
			name: "IMDepart", unsignedID: true,
			columns: join(chars("departName", 64), unsigneds("priority", "parentId", "status", "created", "updated")),
			keys:    []string{"departName", "priority,status"},
		},
		{
			name: "IMRelationShip", utf8: true,
			columns: join(unsigneds("smallId", "bigId"), number(tiny, "status", "").nullable(), ints("created", "updated")),
			keys:    []string{"smallId,bigId,status,updated"},
		},
		{
			name: "IMRecentSession", utf8: true,
			columns: join(unsigneds("userId", "peerId"), number(tiny, "type", "").nullable(),
				number(tiny, "status", "").nullable(), ints("created", "updated")),
			keys: []string{"userId,peerId,status,updated", "userId,peerId,type"},
		},
		{
			name: "IMGroup",
			columns: join(chars("name", 256), chars("avatar", 256), unsigneds("creator"), tinys("type"), unsigneds("userCnt"),
				number(tiny, "status", "1"), unsigneds("version", "lastChated", "updated", "created")),
			keys: []string{"name(191)", "creator"},
		},
		{
			name: "IMGroupMember", utf8: true,
			columns: join(unsigneds("groupId", "userId"), number(tiny, "status", "1"), ints("created", "updated")),
			keys:    []string{"groupId,userId,status", "userId,status,updated", "groupId,updated"},
		},
		{
			name:    "IMAudio",
			columns: join(unsigneds("fromId", "toId"), chars("path", 255).nullable(), unsigneds("size", "duration", "created")),
			keys:    []string{"fromId,toId"},
		},
		{
			name: "IMTransmitFile",
			columns: join(unsigneds("fromId", "toId"), chars("fileName", 4096).nullable(), chars("taskId", 128).nullable(),
				unsigneds("size"), tinys("status"), ints("updated", "created")),
			keys: []string{"fromId,toId,status", "toId,status,created"},
		},
	}
	for i := range uint32(shards) {
		tables = append(tables, table{
			name: pairTable(i),
			columns: join(unsigneds("relateId", "fromId", "toId", "msgId"), chars("content", 4096).nullable(),
				tinys("type", "status"), ints("updated", "created")),
			keys:   []string{"relateId,status,created", "relateId,status,msgId,created"},
			unused: []string{"fromId,toId,status"},
		}, table{
			name: groupTable(i),
			columns: join(unsigneds("groupId", "userId", "msgId"), chars("content", 4096), tinys("type"), unsigneds("status"),
				ints("updated", "created")),
			keys: []string{"groupId,status,created", "groupId,msgId,status,created"},
		})
	}
	return append(tables, ownTables()...)
}

// ownTables are the proxy's own. docs/architecture.md says what they are for.
//
// Proxies of two neighbouring versions work on them at the same time, while one after the other is replaced. So a version
// only adds, tables, keys, and columns that have a default (dialects give every column one); what an older one writes
// must mean the same to it. And statements name their columns: never SELECT *, never an INSERT without a list.
func ownTables() []table {
	return []table{
		{
			// One row per talk: its lock, what it consists of, its last id, and what was sent and read. turn
			// is there to be written by those who hold the lock and change nothing else: see talking.lock.
			name: "IMProxyTalk",
			columns: join(tinys("kind"), unsigneds("a", "b", "relateId", "sessionA", "sessionB", "lastId", "lastCreated",
				"sentA", "sentB", "readA", "readB", "rev"), tinys("turn")),
			primary: []string{"kind", "a", "b"},
			keys:    []string{"b,kind"},
		},
		{
			// How many of a group's messages a user has seen.
			name:    "IMProxyLevel",
			columns: unsigneds("userId", "groupId", "level"),
			primary: []string{"userId", "groupId"},
		},
		{
			// One row per commit, until its counters are applied. changes NULL: the commit never was, see Outcome; {}: it is
			// only there for Outcome, see Swept.
			name:    "IMProxyCommit",
			columns: join(chars("id", 32), unsigneds("created"), column{name: "changes", typ: text, null: true}),
			primary: []string{"id"},
			keys:    []string{"created"},
		},
		{
			name:    "IMProxyMute",
			columns: unsigneds("groupId", "userId", "value"),
			primary: []string{"groupId", "userId"},
		},
		{
			// device is "platform:token", a bare token, or empty.
			name:    "IMProxyDevice",
			columns: join(unsigneds("userId"), chars("device", 520), unsigneds("rev")),
			primary: []string{"userId"},
		},
		{
			// The user whom a token was last given to, as long as it is the one of that user's device: so there
			// is one row for each row of IMProxyDevice at most. The token itself is longer than a key may be
			// on some servers; it is what an earlier version goes by.
			name: "IMProxyToken",
			columns: join(chars("digest", 64), column{name: "token", typ: binary, size: 4 * chat.MaxToken},
				unsigneds("userId")),
			primary: []string{"digest"},
			former:  []string{"token"},
		},
		{
			// Single values, such as how far the group sync has looked.
			name:    "IMProxyMark",
			columns: join(chars("name", 64), unsigneds("value")),
			primary: []string{"name"},
		},
		{
			// What "dbproxy doctor" has moved: a message from its old row and id to the end of a talk, or a row of another table
			// that gave way to newRow.
			name: "IMProxyJournal",
			columns: join(tinys("kind"), unsigneds("a", "b"), chars("oldTable", 32), unsigneds("oldRow", "oldOwner", "oldId", "oldCreated"),
				chars("newTable", 32), unsigneds("newRow", "newOwner", "newId", "newCreated", "at")),
			keys: []string{"kind,a,b,newId", "oldTable,oldRow"},
		},
		{
			// Who does what one process is enough for, and until when by the clock of the database, Unix seconds.
			name:    "IMProxyLease",
			columns: join(chars("name", 64), chars("holder", 64), unsigneds("expires")),
			primary: []string{"name"},
		},
	}
}

// embeddedTables are those of the embedded store alone. Where there is MySQL, Redis has what they
// have.
func embeddedTables() []table {
	return []table{{
		// When the latest logins of a name failed, Unix milliseconds, the oldest first, joined by
		// commas. The name is its hash; last is the latest time, Unix seconds.
		name:    "IMProxyFailure",
		columns: join(chars("name", 32), unsigneds("last"), chars("times", 255)),
		primary: []string{"name"},
		keys:    []string{"last"},
	}}
}
