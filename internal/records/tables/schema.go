// Package tables knows which tables there are: those of the original server, as they are in its
// databases, and the proxy's own, which originals do not know and need not (see Own). It also reads
// what a database has of them, and says what is missing.
//
// Our own tables may only grow, so that proxies of two neighbouring versions can share them.
// "dbproxy serve" makes those that are missing (MissingOwn). Rows of an earlier version that belong
// under another key now are carried over by "dbproxy migrate" alone (Missing), and in a data
// directory at the start of the server. No key is longer than the 767 bytes that old servers allow.
//
// What a MySQL database has of all tables is read in four statements (Inspect), for the migration,
// the doctor and the check. Names of tables count as the server counts them: where it tells upper
// from lower case and has the tables in other letters, nothing is made.
//
// The messages of pairs, and those of groups, are spread over eight tables each, the shards. A
// message's Owner, a relation or a group, says in which shard it is.
package tables

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// ColumnType is what a column holds.
type ColumnType uint8

// The types of columns. Those up to Tiny are numbers, the others texts.
const (
	Signed   ColumnType = iota // int
	Unsigned                   // int unsigned
	Tiny                       // tinyint unsigned
	Varchar                    // varchar(Size)
	Text                       // longer than a varchar may be
	Binary                     // Size bytes at most, compared with trailing spaces
)

// Column is a column as it is declared.
type Column struct {
	Name    string
	Type    ColumnType
	Size    int    // of a Varchar in characters, of a Binary in bytes
	Null    bool   // NULL is allowed, which means empty or 0
	Default string // of a number; "" means 0
}

// nullable is the column with NULL allowed.
func (c Column) nullable() Column { c.Null = true; return c }

func ints(names ...string) []Column      { return columns(Signed, names) }
func unsigneds(names ...string) []Column { return columns(Unsigned, names) }
func tinys(names ...string) []Column     { return columns(Tiny, names) }
func chars(name string, size int) Column { return Column{Name: name, Type: Varchar, Size: size} }
func number(t ColumnType, name, def string) Column {
	return Column{Name: name, Type: t, Default: def}
}

func columns(t ColumnType, names []string) []Column {
	cols := make([]Column, len(names))
	for i, n := range names {
		cols[i] = Column{Name: n, Type: t}
	}
	return cols
}

// Table is a table as it is declared. The primary key is id, counted by the database, unless
// Primary names other columns.
type Table struct {
	Name       string
	UnsignedID bool     // id is unsigned
	utf8       bool     // the original's three tables without text are utf8, others utf8mb4_bin
	Columns    []Column // all but id
	Primary    []string // the columns of the primary key; nil: id
	former     []string // the primary key that an earlier version gave it; nil: the same
	Keys       []string // each the columns of one key, joined by commas
	later      bool     // an original's database may lack the table
	// unused are keys that no statement of ours needs; they belong to databases that original
	// servers share. The embedded store does without: that of the message tables costs it 8 to 22 %
	// of its throughput (BenchmarkAppend).
	unused []string
}

// Outdated reports whether what is there of the table is an earlier version's, whose rows are to be
// brought under the key that the table has now. Only "dbproxy migrate" does that, and on the
// embedded store the start of the server.
func (t Table) Outdated(there *SeenTable) bool {
	return there != nil && t.former != nil && slices.Equal(there.PrimaryKey(), t.former)
}

// KeyName is a key's name in the original's style: idx_ and the columns joined by _.
func KeyName(key string) string {
	return "idx_" + strings.NewReplacer(",", "_", "(191)", "").Replace(key)
}

func join(parts ...any) (cols []Column) {
	for _, p := range parts {
		switch p := p.(type) {
		case Column:
			cols = append(cols, p)
		case []Column:
			cols = append(cols, p...)
		}
	}
	return cols
}

// All is every table the proxy uses, the suite's own first.
func All() []Table {
	tables := []Table{
		{
			Name: "IMUser", UnsignedID: true,
			Columns: join(tinys("sex"), chars("name", 32), chars("domain", 32), chars("nick", 32),
				chars("password", 32), chars("salt", 4), chars("phone", 11), chars("email", 64),
				chars("avatar", 255).nullable(), unsigneds("departId"),
				number(Tiny, "status", "").nullable(), unsigneds("created", "updated"),
				tinys("push_shield_status"), chars("sign_info", 128)),
			Keys: []string{"domain", "name", "phone"},
		},
		{
			Name: "IMDepart", UnsignedID: true,
			Columns: join(chars("departName", 64),
				unsigneds("priority", "parentId", "status", "created", "updated")),
			Keys: []string{"departName", "priority,status"},
		},
		{
			Name: "IMRelationShip", utf8: true,
			Columns: join(unsigneds("smallId", "bigId"), number(Tiny, "status", "").nullable(),
				ints("created", "updated")),
			Keys: []string{"smallId,bigId,status,updated"},
		},
		{
			Name: "IMRecentSession", utf8: true,
			Columns: join(unsigneds("userId", "peerId"), number(Tiny, "type", "").nullable(),
				number(Tiny, "status", "").nullable(), ints("created", "updated")),
			Keys: []string{"userId,peerId,status,updated", "userId,peerId,type"},
		},
		{
			Name: "IMGroup",
			Columns: join(chars("name", 256), chars("avatar", 256), unsigneds("creator"),
				tinys("type"), unsigneds("userCnt"), number(Tiny, "status", "1"),
				unsigneds("version", "lastChated", "updated", "created")),
			Keys: []string{"name(191)", "creator"},
		},
		{
			Name: "IMGroupMember", utf8: true,
			Columns: join(unsigneds("groupId", "userId"), number(Tiny, "status", "1"),
				ints("created", "updated")),
			Keys: []string{"groupId,userId,status", "userId,status,updated", "groupId,updated"},
		},
		{
			Name: "IMAudio",
			Columns: join(unsigneds("fromId", "toId"), chars("path", 255).nullable(),
				unsigneds("size", "duration", "created")),
			Keys: []string{"fromId,toId"},
		},
		{
			Name: "IMTransmitFile", later: true,
			Columns: join(unsigneds("fromId", "toId"), chars("fileName", 4096).nullable(),
				chars("taskId", 128).nullable(), unsigneds("size"), tinys("status"),
				ints("updated", "created")),
			Keys: []string{"fromId,toId,status", "toId,status,created"},
		},
	}
	for i := range uint32(Shards) {
		pairs, groups := Shard{chat.Pair, i}, Shard{chat.Group, i}
		tables = append(tables, Table{
			Name: pairs.Table(),
			Columns: join(unsigneds("relateId", "fromId", "toId", "msgId"),
				chars("content", 4096).nullable(), tinys("type", "status"),
				ints("updated", "created")),
			Keys:   []string{pairs.keyByTime(), pairs.keyByID()},
			unused: []string{"fromId,toId,status"},
		}, Table{
			Name: groups.Table(),
			Columns: join(unsigneds("groupId", "userId", "msgId"), chars("content", 4096),
				tinys("type"), unsigneds("status"), ints("updated", "created")),
			Keys: []string{groups.keyByTime(), groups.keyByID()},
		})
	}
	return append(tables, Own()...)
}

// Own are the proxy's own tables.
//
// Proxies of two neighbouring versions work on them at the same time, while one after the other is
// replaced. So a version may only add: tables, keys, and columns that have a default (each has
// one). What an older version writes must mean the same to it. And statements name their columns:
// never SELECT *, never an INSERT without a list.
func Own() []Table {
	own := []Table{
		{
			// A row is a talk: its lock, its relation and sessions, its last id, and what was sent
			// and read. turn is written by those who hold the lock and change nothing else: see
			// talk.Work.Lock.
			Name: "IMProxyTalk",
			Columns: join(tinys("kind"), unsigneds("a", "b", "relateId", "sessionA", "sessionB",
				"lastId", "lastCreated", "sentA", "sentB", "readA", "readB", "rev"), tinys("turn")),
			Primary: []string{"kind", "a", "b"},
			Keys:    []string{"b,kind"},
		},
		{
			// A row is how many of a group's messages a user has seen.
			Name:    "IMProxyLevel",
			Columns: unsigneds("userId", "groupId", "level"),
			Primary: []string{"userId", "groupId"},
		},
		{
			// A row is a commit whose counters may not be applied yet. Where changes is NULL, the
			// commit never was: see records.Store.Outcome. Where it is {}, all is applied, and the
			// row is only there for Outcome: see records.Store.Swept.
			Name: "IMProxyCommit",
			Columns: join(chars("id", 32), unsigneds("created"),
				Column{Name: "changes", Type: Text, Null: true}),
			Primary: []string{"id"},
			Keys:    []string{"created"},
		},
		{
			// A row is a member's mute value for a group.
			Name:    "IMProxyMute",
			Columns: unsigneds("groupId", "userId", "value"),
			Primary: []string{"groupId", "userId"},
		},
		{
			// A row is a user's push token, as device: "platform:token", a bare token, or empty.
			Name:    "IMProxyDevice",
			Columns: join(unsigneds("userId"), chars("device", 520), unsigneds("rev")),
			Primary: []string{"userId"},
		},
		{
			// A row is the user whom a token was last given to, as long as it is the token of that
			// user's device; so there are no more rows than in IMProxyDevice. The key is the
			// token's SHA-256, as the token itself is longer than a key may be on some servers. An
			// earlier version goes by the token.
			Name: "IMProxyToken",
			Columns: join(chars("digest", 64),
				Column{Name: "token", Type: Binary, Size: 4 * chat.MaxToken},
				unsigneds("userId")),
			Primary: []string{"digest"},
			former:  []string{"token"},
		},
		{
			// A row is a value by name: how far the group sync has come, epochs and beats.
			Name:    "IMProxyMark",
			Columns: join(chars("name", 64), unsigneds("value")),
			Primary: []string{"name"},
		},
		{
			// A row is what "dbproxy doctor --repair" has moved: a message from its old row and id
			// to the end of a talk, or a row of another table that gave way to newRow.
			Name: "IMProxyJournal",
			Columns: join(tinys("kind"), unsigneds("a", "b"), chars("oldTable", 32),
				unsigneds("oldRow", "oldOwner", "oldId", "oldCreated"), chars("newTable", 32),
				unsigneds("newRow", "newOwner", "newId", "newCreated", "at")),
			Keys: []string{"kind,a,b,newId", "oldTable,oldRow"},
		},
		{
			// A row is a proxy: where it counts (see fleet.Counting), where it listens, when it was
			// last seen, in Unix seconds by the clock of the database, and a number that is another
			// one after each batch that it has stored, where it counts without Redis.
			Name: "IMProxyServer",
			Columns: join(chars("id", 32), tinys("counting"), chars("address", 64),
				unsigneds("seen", "batches")),
			Primary: []string{"id"},
		},
		{
			// A row is who does what one process is enough for, and until when, in Unix seconds by
			// the clock of the database.
			Name:    "IMProxyLease",
			Columns: join(chars("name", 64), chars("holder", 64), unsigneds("expires")),
			Primary: []string{"name"},
		},
		{
			// A row is when the latest logins of a name failed, where Redis does not count them:
			// Unix nanoseconds, the oldest first, joined by commas. The name is its hash; last is
			// the latest time, Unix seconds.
			Name:    "IMProxyFailure",
			Columns: join(chars("name", 32), unsigneds("last"), chars("times", 255)),
			Primary: []string{"name"},
			Keys:    []string{"last"},
		},
	}
	for i := range own {
		own[i].later = true
	}
	return own
}

// New are the tables that an original's database may lack: our own, and the one that originals made
// later.
func New() []Table { return slices.DeleteFunc(All(), func(t Table) bool { return !t.later }) }

// Old are the tables that every original's database has.
func Old() []Table { return slices.DeleteFunc(All(), func(t Table) bool { return t.later }) }

// fromCallers are the columns, in lower case, whose texts come from callers; all others we make.
var fromCallers = map[string]bool{
	"content": true, "sign_info": true, "avatar": true, "name": true, "nick": true, "domain": true,
	"phone": true, "email": true, "departname": true, "filename": true, "taskid": true,
	"device": true, "token": true,
}

// fromCaller reports whether the texts of a column come from callers: see sqldb.Options. Of a table
// that is not ours, such as one that a trigger writes to, none do.
func fromCaller(table, column string) bool {
	ours := table == "" || slices.ContainsFunc(All(), func(t Table) bool {
		return strings.EqualFold(t.Name, table)
	})
	return ours && fromCallers[strings.ToLower(column)]
}

// Options are the options of a database with these tables.
func Options(log *slog.Logger) sqldb.Options {
	return sqldb.Options{
		Log:           log,
		ReadsLittle:   "SELECT COUNT(*) FROM IMProxyMark",
		WritesNothing: "UPDATE IMProxyMark SET value=value WHERE name=''", // no mark has that name
		FromCaller:    fromCaller,
	}
}
