package records

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// mysqlDialect is that of MySQL 5.7 and 8, MariaDB 10 and what is compatible with them all.
type mysqlDialect struct {
	joined bool // of a connection that joins: see mysqlConn
}

func (mysqlDialect) on(conn *sql.Conn) (dialect, error) {
	var d mysqlDialect
	err := conn.Raw(func(c any) error {
		d.joined = c.(interface{ joinsTexts() bool }).joinsTexts()
		return nil
	})
	return d, err
}

func (d mysqlDialect) joins() bool { return d.joined }

func (d mysqlDialect) together(tx *sql.Tx) batched {
	if d.joined {
		return keptBack{tx}
	}
	return atOnce{tx}
}

func (mysqlDialect) shared() bool { return true }

func (mysqlDialect) lock() string { return " FOR UPDATE" }

// insertRows: where statements are prepared there are powers of two, so that few different ones are
// kept.
func (d mysqlDialect) insertRows(left int) int {
	if d.joined {
		return min(left, 1000)
	}
	return 1 << min(bits.Len(uint(left))-1, 8)
}

// lookup joins the lists with the table, in this order: each is one step in a key. Given (a,b) IN
// ((?,?),…) MariaDB takes longer to choose the steps than to go them, and sometimes reads all rows
// instead, which would lock them all. All keys are numbers. Where values are bound that must be
// said: of one in a list of columns MySQL 8 would make text.
func (d mysqlDialect) lookup(columns, table string, keys []string, n int) string {
	value := "CAST(? AS UNSIGNED)"
	if d.joined {
		value = "?"
	}
	var first, on []string
	for i, key := range keys {
		first = append(first, fmt.Sprintf("%s AS k%d", value, i))
		on = append(on, fmt.Sprintf("t.%s=k.k%d", key, i))
	}
	list := strings.TrimSuffix(strings.Repeat(value+",", len(keys)), ",")
	lists := "SELECT " + strings.Join(first, ",") + strings.Repeat(" UNION ALL SELECT "+list, n-1)
	return fmt.Sprintf("SELECT %s FROM (%s) k STRAIGHT_JOIN %s t ON %s", columns, lists, table, strings.Join(on, " AND "))
}

func (mysqlDialect) upsert(_, set []string) string {
	assign := make([]string, len(set))
	for i, c := range set {
		assign[i] = c + "=VALUES(" + c + ")"
	}
	return " ON DUPLICATE KEY UPDATE " + strings.Join(assign, ",")
}

// create says no row format: no key is longer than the 767 bytes that each of them, and each server,
// allows.
func (d mysqlDialect) create(t table) []string {
	var lines []string
	if t.primary == nil {
		id := "id int NOT NULL AUTO_INCREMENT"
		if t.unsignedID {
			id = "id int unsigned NOT NULL AUTO_INCREMENT"
		}
		lines = append(lines, id)
	}
	for _, c := range t.columns {
		lines = append(lines, d.column(c))
	}
	primary := t.primary
	if primary == nil {
		primary = []string{"id"}
	}
	lines = append(lines, "PRIMARY KEY ("+strings.Join(primary, ",")+")")
	for _, k := range slices.Concat(t.keys, t.unused) {
		lines = append(lines, fmt.Sprintf("KEY %s (%s)", keyName(k), k))
	}
	charset := "utf8mb4 COLLATE=utf8mb4_bin"
	if t.utf8 {
		charset = "utf8"
	}
	return []string{fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (\n  %s\n) ENGINE=InnoDB DEFAULT CHARSET=%s",
		t.name, strings.Join(lines, ",\n  "), charset)}
}

func (mysqlDialect) column(c column) string {
	typ, def := "int", c.def
	switch c.typ {
	case unsigned:
		typ = "int unsigned"
	case tiny:
		typ = "tinyint unsigned"
	case varchar:
		typ, def = fmt.Sprintf("varchar(%d)", c.size), "''"
	case binary:
		typ, def = fmt.Sprintf("varbinary(%d)", c.size), "''"
	case text:
		typ = "mediumtext" // which has no default
	}
	switch {
	case c.null:
		return fmt.Sprintf("%s %s DEFAULT NULL", c.name, typ)
	case def == "":
		def = "0"
	}
	return fmt.Sprintf("%s %s NOT NULL DEFAULT %s", c.name, typ, def)
}

func (d mysqlDialect) addColumn(t table, c column) string {
	return fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", t.name, d.column(c))
}

func (mysqlDialect) addKey(t table, key string) string {
	return fmt.Sprintf("ALTER TABLE %s ADD KEY %s (%s)", t.name, keyName(key), key)
}

// carryOver leaves alone those of an earlier version that still run: they find their columns, and what
// they write takes a digest that nobody looks for.
func (mysqlDialect) carryOver(t table) []string {
	return []string{
		"DELETE FROM " + t.name + " WHERE userId=0",
		"UPDATE " + t.name + " SET digest=SHA2(token,256) WHERE digest=''",
		"ALTER TABLE " + t.name + " DROP PRIMARY KEY, ADD PRIMARY KEY (digest)",
	}
}

func (mysqlDialect) waitForTables(ctx context.Context, q querier, briefly bool) error {
	seconds := "DEFAULT"
	if briefly {
		seconds = "2"
	}
	_, err := exec(ctx, q, "SET SESSION lock_wait_timeout="+seconds)
	return err
}

// Error codes of MySQL's that are treated in a way of their own.
const (
	errAccessDenied  = 1045
	errNoDatabase    = 1049
	errDBDenied      = 1044
	errNull          = 1048
	errColumnThere   = 1060
	errKeyThere      = 1061
	errDuplicate     = 1062
	errTableDenied   = 1142
	errNoTable       = 1146
	errNoColumn      = 1054
	errBrokenView    = 1356
	errNoDefiner     = 1449
	errTooManyConns  = 1040
	errTooManyOfUser = 1203
	errShutdown      = 1053
	errPacket        = 1153
	errLockWait      = 1205
	errDeadlock      = 1213
	errTruncatedText = 1265
	errRange         = 1264
	errReadOnly      = 1290
	errBadDate       = 1292
	errNoDefault     = 1364
	errBadText       = 1366
	errTooLong       = 1406
	errCollations    = 1267 // two character sets or collations that cannot be compared
	errCollations3   = 1270
	errCollationsN   = 1271
	errNoConversion  = 3854 // of a text into a column's character set
	errNoVariable    = 1193
	errReadOnlyTx    = 1792
	errReadOnlyMode  = 1836
	errSignal        = 1644 // of a trigger
	errCheck         = 3819 // of a table
	errNoPartition   = 1526 // for a row
	errIDsUsedUp     = 1467
	errNoParent      = 1452 // of a foreign key
	errHasChildren   = 1451 // likewise
	errTableFull     = 1114
	errDiskFull      = 1021
	errWriteFile     = 3

	errUnknownStatement  = 1243
	errNotPrepared       = 1295
	errTooManyStatements = 1461
	errPrepareAgain      = 1615

	errApart           = 1047 // a node of Galera that is not of the majority, or not up to date
	errGroupRolledBack = 3101 // by Group Replication, as another server's transaction came first
)

func mysqlCode(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// columnOf finds the column in what the server says of a text that does not fit there, and its table
// where that is said.
var columnOf = regexp.MustCompile("column (?:`[^`]*`\\.`([^`]*)`\\.)?['`]([^'`]+)['`]")

// fromCallers are the columns, in lower case, whose texts come from callers; all others we make.
var fromCallers = map[string]bool{
	"content": true, "sign_info": true, "avatar": true, "name": true, "nick": true, "domain": true, "phone": true,
	"email": true, "departname": true, "filename": true, "taskid": true, "device": true, "token": true,
}

// classify: a text is the caller's affair where a column is narrower than the rules are, or lacks a
// character. All else that a server refuses is the store's, and so is the table that a trigger writes
// to, where the server names it.
func (mysqlDialect) classify(err error) chat.Kind {
	var said *mysql.MySQLError
	if errors.As(err, &said) && (said.Number == errTooLong || said.Number == errBadText &&
		strings.Contains(said.Message, "string value")) {
		at := columnOf.FindStringSubmatch(said.Message)
		if at != nil && (at[1] == "" || isOurs(at[1])) && fromCallers[strings.ToLower(at[2])] {
			return chat.Invalid
		}
	}
	return chat.Unavailable
}

// isOurs reports whether a table, in letters of either case, is one that our statements write to.
func isOurs(name string) bool {
	return slices.ContainsFunc(schema(), func(t table) bool { return strings.EqualFold(t.name, name) })
}

// rejects: the server says that of what it was given. Of the states 22 is about values, 23 about
// keys and constraints, 44 about views, and 45 what triggers say.
func (mysqlDialect) rejects(err error) bool {
	var said *mysql.MySQLError
	if !errors.As(err, &said) {
		return errors.Is(err, mysql.ErrPktTooLarge)
	}
	switch said.Number {
	case errPacket, errTruncatedText, errBadText, errNoDefault, errSignal, errCheck, errNoPartition, errIDsUsedUp:
		return true
	}
	switch class := string(said.SQLState[:2]); class {
	case "22", "23", "44", "45":
		return true
	default: // or one that no server has of its own: a trigger's
		return class[0] != 0 && !strings.Contains("00 01 02 07 08 0A 0K 0Z 20 21 24 25 26 27 28 2B 2D 2F 34 35 38 39 3B 3D "+
			"3F 40 42 70 HY XA", class)
	}
}

func (mysqlDialect) explain(err error) error {
	mend := mendOfAccount(err, "NAME_username", "NAME_password")
	switch mysqlCode(err) {
	case errNoDatabase, errDBDenied:
		mend = "the database must exist, and the user have rights on it"
	case errNoTable, errNoColumn:
		mend = "create what is missing with \"dbproxy migrate\""
	case errBrokenView, errNoDefiner:
		mend = brokenMend
	case errTableDenied:
		mend = "grant the user what it lacks: SELECT, INSERT, UPDATE and DELETE to serve; CREATE, ALTER and INDEX, too, to migrate"
	case errTooManyConns:
		mend = "raise max_connections of the server, or lower NAME_maxconncnt of all proxies"
	case errTooManyOfUser, errTooMuchOfUser:
		mend = "raise max_user_connections of the server, or what the account may have of it (ALTER USER … WITH …), " +
			"or lower NAME_maxconncnt of all proxies"
	case errPacket:
		mend = "raise max_allowed_packet of the server to 4 MiB or more"
	case errReadOnly, errReadOnlyTx, errReadOnlyMode:
		mend = "the server takes no writes; it must be the master"
	case errTableFull, errDiskFull, errWriteFile:
		mend = "the server's disk is full; free some space on it"
	case errTooManyStatements:
		mend = "raise max_prepared_stmt_count of the server, or lower maxconncnt here"
	case errApart:
		mend = "the node is cut off from its cluster, or not up to date; " +
			"see its wsrep_cluster_status and wsrep_local_state_comment"
	case errTooLong, errBadText:
		mend = "the column is narrower than the protocol, or its character set lacks a character: see \"dbproxy config check\""
	case errNoDefault:
		mend = "the table has a column that we do not know, and it has no default: give it one, or let it be NULL; " +
			"where it is id, it must be AUTO_INCREMENT"
	case errSignal:
		mend = "a trigger of the database says so"
	case errDuplicate:
		mend = "another row has that key: see whether the table's id is AUTO_INCREMENT, and which keys others have added"
	case errNull, errRange, errTruncatedText, errBadDate, errCheck, errNoParent, errHasChildren:
		mend = "a column or a constraint of the table is not as the original's: see \"dbproxy config check\""
	case errIDsUsedUp:
		mend = "the table has used up its ids, or cannot count them"
	case errLockWait:
		mend = "another transaction holds these rows for too long"
	}
	var dial *net.OpError
	switch {
	case descriptors.Mend(err) != "":
		return descriptors.Explain(err)
	case errors.Is(err, errShutOut):
		mend = whyShutOut("NAME_maxconncnt")
	case errors.As(err, &dial) && dial.Op == "dial":
		mend = "start the server, or mend its host and port in the configuration"
	case mend == "":
		return err
	}
	return fmt.Errorf("%w: %s", err, mend)
}

func (mysqlDialect) duplicate(err error) bool { return mysqlCode(err) == errDuplicate }

func (mysqlDialect) lacksCharacter(err error) bool {
	switch mysqlCode(err) {
	case errCollations, errCollations3, errCollationsN, errNoConversion:
		return true
	}
	return false
}

func (mysqlDialect) exists(err error) bool {
	code := mysqlCode(err)
	return code == errColumnThere || code == errKeyThere
}

// undone: the server said that it did not commit, or was not asked to. Of a connection that broke since nothing is known.
func (d mysqlDialect) undone(err error) bool {
	return takesNoWrites(err) || d.retry(err)
}

// takesNoWrites: the server is read-only.
func takesNoWrites(err error) bool {
	switch mysqlCode(err) {
	case errReadOnly, errReadOnlyTx, errReadOnlyMode:
		return true
	}
	return false
}

// retry: besides, a connection may turn out to be broken before anything was sent, and then the server undoes what was
// begun there.
func (mysqlDialect) retry(err error) bool {
	return undoneByOthers(err) || mysqlCode(err) == errLockWait || errors.Is(err, driver.ErrBadConn)
}

func (mysqlDialect) raced(err error) bool { return undoneByOthers(err) }

// undoneByOthers: the server undid the whole transaction in favour of another one, also of another
// node of a cluster, of which one may hear no earlier than at the COMMIT.
func undoneByOthers(err error) bool {
	code := mysqlCode(err)
	return code == errDeadlock || code == errGroupRolledBack
}
