package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/internal/advice"
)

// mysqlDialect is the engine of MySQL 5.7 and 8, MariaDB 10 and what is compatible with them all.
type mysqlDialect struct {
	joined         bool   // it is for a joined transaction
	server, config string // what the configuration calls the server, and its file, or ""
	// unkeyed: a table lacks a key that a statement has named. Until the process ends none is named
	// any more.
	unkeyed *atomic.Bool
	log     *slog.Logger // may be nil
}

func (mysqlDialect) name() Engine { return EngineMySQL }

func (d mysqlDialect) join(conn *sql.Conn) (j *joined, to Dialect, err error) {
	err = conn.Raw(func(c any) error {
		if m := c.(*mysqlConn); m.joins {
			j = newJoined(conn, m)
		}
		return nil
	})
	d.joined = true
	return j, d, err
}

func (d mysqlDialect) joins() bool { return d.joined }

func (mysqlDialect) ManyWriters() bool { return true }

func (mysqlDialect) Remote() bool { return true }

func (mysqlDialect) ForUpdate() string { return " FOR UPDATE" }

func (d mysqlDialect) ForceIndex(name string) string {
	if d.unkeyed.Load() {
		return ""
	}
	return " FORCE INDEX (" + name + ")"
}

// forcedIndex finds what ForceIndex has put into a statement.
var forcedIndex = regexp.MustCompile(` FORCE INDEX \(\w+\)`)

func (mysqlDialect) unforced(query string) string {
	return forcedIndex.ReplaceAllString(query, "")
}

func (d mysqlDialect) lacksKey(err error) bool {
	if Code(err) != errNoKey {
		return false
	}
	if d.unkeyed.CompareAndSwap(false, true) && d.log != nil {
		d.log.Warn("a table lacks a key, so that reading it takes long; "+
			"add it with \"dbproxy migrate\", and then start again", "err", err)
	}
	return true
}

// insertRows: where statements are prepared, numbers of rows are powers of two, so that there are
// few different statements.
func (d mysqlDialect) insertRows(left int) int {
	if d.joined {
		return min(left, 1000)
	}
	return 1 << min(bits.Len(uint(left))-1, 8)
}

// listLength: likewise.
func (d mysqlDialect) listLength(n int) int {
	if d.joined {
		return n
	}
	return ListLength(n)
}

// Lookup joins the lists with the table, in this order, so that each list is one step in a key.
// Given (a,b) IN ((?,?),…) MariaDB takes longer to choose the steps than to go them, and sometimes
// reads all rows instead, which would lock them all. All keys are numbers. Where values are bound
// the statement must say so, since MySQL 8 would take one in a list of columns for text. One list
// needs no join, and takes half as long without.
func (d mysqlDialect) Lookup(columns, table string, keys []string, n int) string {
	value := "CAST(? AS UNSIGNED)"
	if d.joined {
		value = "?"
	}
	if n == 1 {
		return fmt.Sprintf("SELECT %s FROM %s t WHERE t.%s=?", columns, table,
			strings.Join(keys, "=? AND t."))
	}
	var first, equal []string
	for i, key := range keys {
		first = append(first, fmt.Sprintf("%s AS k%d", value, i))
		equal = append(equal, fmt.Sprintf("t.%s=k.k%d", key, i))
	}
	list := strings.TrimSuffix(strings.Repeat(value+",", len(keys)), ",")
	lists := "SELECT " + strings.Join(first, ",") + strings.Repeat(" UNION ALL SELECT "+list, n-1)
	return fmt.Sprintf("SELECT %s FROM (%s) k STRAIGHT_JOIN %s t WHERE %s",
		columns, lists, table, strings.Join(equal, " AND "))
}

func (mysqlDialect) Upsert(_, set []string) string {
	assign := make([]string, len(set))
	for i, c := range set {
		assign[i] = c + "=VALUES(" + c + ")"
	}
	return " ON DUPLICATE KEY UPDATE " + strings.Join(assign, ",")
}

func (mysqlDialect) waitForTables(ctx context.Context, q Querier, briefly bool) error {
	seconds := "DEFAULT"
	if briefly {
		seconds = "2"
	}
	_, err := Exec(ctx, q, "SET SESSION lock_wait_timeout="+seconds)
	return err
}

// MendOfView is what to do about a view whose tables are gone, or whose definer is gone or may not
// read them.
const MendOfView = "make the view anew, as a user who may read what it is made of"

// The codes of MySQL's errors that are treated in a way of their own.
const (
	errAccessDenied   = 1045
	CodeNoDatabase    = 1049
	CodeDBDenied      = 1044
	errNull           = 1048
	errColumnThere    = 1060
	errKeyThere       = 1061
	errDuplicate      = 1062
	CodeTableDenied   = 1142
	CodeNoTable       = 1146
	CodeNoColumn      = 1054
	errBrokenView     = 1356
	errNoDefiner      = 1449
	CodeTooManyConns  = 1040
	CodeTooManyOfUser = 1203
	errShutdown       = 1053
	errPacket         = 1153
	errNoKey          = 1176
	errLockWait       = 1205
	errDeadlock       = 1213
	errTruncatedText  = 1265
	errRange          = 1264
	CodeReadOnly      = 1290
	errBadDate        = 1292
	errNoDefault      = 1364
	errBadText        = 1366
	errTooLong        = 1406
	errCollations     = 1267 // two character sets or collations that cannot be compared
	errCollations3    = 1270
	errCollationsN    = 1271
	errNoConversion   = 3854 // of a text into a column's character set
	errNoVariable     = 1193
	errReadOnlyTx     = 1792
	CodeReadOnlyMode  = 1836
	errSignal         = 1644 // of a trigger
	errCheck          = 3819 // of a table
	errNoPartition    = 1526 // for a row
	errIDsUsedUp      = 1467
	errNoParent       = 1452 // of a foreign key
	errHasChildren    = 1451 // likewise
	errTableFull      = 1114
	errDiskFull       = 1021
	errWriteFile      = 3

	errUnknownStatement  = 1243
	errNotPrepared       = 1295
	errTooManyStatements = 1461
	errPrepareAgain      = 1615

	errApart           = 1047 // a node of Galera that is not of the majority, or not up to date
	errGroupRolledBack = 3101 // by Group Replication, as another server's transaction came first
)

// Code is the code of an error that a MySQL server has sent; 0 of all other errors.
func Code(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// codeIn reports whether a MySQL server has sent an error with one of the codes.
func codeIn(err error, codes ...uint16) bool { return slices.Contains(codes, Code(err)) }

// columnOf finds the column in what the server says of a text that does not fit there, and its
// table where that is said.
var columnOf = regexp.MustCompile("column (?:`[^`]*`\\.`([^`]*)`\\.)?['`]([^'`]+)['`]")

// refusedText: a column is too narrow for a text, or its character set lacks a character.
func (mysqlDialect) refusedText(err error) (table, column string, ok bool) {
	var said *mysql.MySQLError
	if errors.As(err, &said) && (said.Number == errTooLong || said.Number == errBadText &&
		strings.Contains(said.Message, "string value")) {
		if at := columnOf.FindStringSubmatch(said.Message); at != nil {
			return at[1], at[2], true
		}
	}
	return "", "", false
}

// rejects: the server refuses what it was given. Of the classes of SQLSTATE 22 is about values, 23
// about keys and constraints, 44 about views, and 45 is what triggers say.
func (mysqlDialect) rejects(err error) bool {
	var said *mysql.MySQLError
	if !errors.As(err, &said) {
		return errors.Is(err, mysql.ErrPktTooLarge)
	}
	switch said.Number {
	case errPacket, errTruncatedText, errBadText, errNoDefault, errSignal, errCheck, errNoPartition,
		errIDsUsedUp:
		return true
	}
	switch class := string(said.SQLState[:2]); class {
	case "22", "23", "44", "45":
		return true
	default: // or one that no server has of its own: a trigger's
		const servers = "00 01 02 07 08 0A 0K 0Z 20 21 24 25 26 27 28 2B 2D 2F 34 35 38 39 3B 3D " +
			"3F 40 42 70 HY XA"
		return class[0] != 0 && !strings.Contains(servers, class)
	}
}

// mends is what can be done about errors, by their codes.
var mends = map[uint16]string{
	CodeNoDatabase: "the database must exist, and the user have rights on it",
	CodeDBDenied:   "the database must exist, and the user have rights on it",
	CodeNoTable:    MendOfTables,
	CodeNoColumn:   MendOfTables,
	errBrokenView:  MendOfView,
	errNoDefiner:   MendOfView,
	CodeTableDenied: "grant the user what it lacks: SELECT, INSERT, UPDATE and DELETE to serve; " +
		"CREATE, ALTER and INDEX, too, to migrate",
	CodeTooManyConns: "raise max_connections of the server, or lower NAME_maxconncnt of all " +
		"proxies",
	CodeTooManyOfUser:    mendOfUsersConns,
	CodeTooMuchOfUser:    mendOfUsersConns,
	errPacket:            "raise max_allowed_packet of the server to 4 MiB or more",
	CodeReadOnly:         mendOfReadOnly,
	errReadOnlyTx:        mendOfReadOnly,
	CodeReadOnlyMode:     mendOfReadOnly,
	errTableFull:         mendOfFullDisk,
	errDiskFull:          mendOfFullDisk,
	errWriteFile:         mendOfFullDisk,
	errTooManyStatements: "raise max_prepared_stmt_count of the server, or lower NAME_maxconncnt",
	errApart: "the node is cut off from its cluster, or not up to date; see its " +
		"wsrep_cluster_status and wsrep_local_state_comment",
	errTooLong: mendOfText,
	errBadText: mendOfText,
	errNoDefault: "the table has a column that we do not know, and it has no default: " +
		"give it one, or let it be NULL; where it is id, it must be AUTO_INCREMENT",
	errSignal: "a trigger of the database says so",
	errDuplicate: "another row has that key: see whether the table's id is AUTO_INCREMENT, and " +
		"which keys others have added",
	errNull: mendOfTable, errRange: mendOfTable, errTruncatedText: mendOfTable,
	errBadDate: mendOfTable, errCheck: mendOfTable, errNoParent: mendOfTable,
	errHasChildren: mendOfTable,
	errIDsUsedUp:   "the table has used up its ids, or cannot count them",
	errLockWait:    "another transaction holds these rows for too long",
}

const (
	mendOfUsersConns = "raise max_user_connections of the server, or what the account may have " +
		"of it (ALTER USER … WITH …), or lower NAME_maxconncnt of all proxies"
	mendOfReadOnly = "the server takes no writes; it must be the master"
	mendOfFullDisk = "the server's disk is full; free some space on it"
	mendOfText     = "the column is narrower than the protocol, or its character set lacks a " +
		"character: see \"dbproxy config check --config FILE\""
	mendOfTable = "a column or a constraint of the table is not as the original's: see \"dbproxy " +
		"config check --config FILE\""
)

// MendOfTables is what to do about tables and columns that are missing. See Pool.Advise.
const MendOfTables = "create what is missing with \"dbproxy migrate --config FILE\", as a user " +
	"who may"

func (d mysqlDialect) explain(err error) error {
	mend, known := mends[Code(err)]
	if !known {
		mend = MendOfAccount(err, "NAME_username", "NAME_password")
	}
	var dial *net.OpError
	dialling := errors.As(err, &dial) && dial.Op == "dial"
	switch trouble := advice.Of(err); {
	case errors.Is(err, ErrShutOut):
		mend = WhyShutOut("NAME_maxconncnt")
	case mend != "", trouble == advice.Closed, trouble == advice.Timeout && !dialling:
		// The last two befall a statement, too, and then there is nothing to do about it.
	default:
		mend = advice.Mend(err)
	}
	if mend == "" || strings.Contains(err.Error(), d.advise(mend)) {
		return err
	}
	return fmt.Errorf("%w: %s", err, d.advise(mend))
}

// advise puts the server's name for NAME, and the configuration's file for FILE.
func (d mysqlDialect) advise(mend string) string {
	if d.server != "" {
		mend = strings.ReplaceAll(mend, "NAME_", d.server+"_")
	}
	if d.config != "" {
		mend = strings.ReplaceAll(mend, "--config FILE", "--config "+d.config)
	}
	return mend
}

func (mysqlDialect) Duplicate(err error) bool { return Code(err) == errDuplicate }

func (mysqlDialect) lacksCharacter(err error) bool {
	return codeIn(err, errCollations, errCollations3, errCollationsN, errNoConversion)
}

func (mysqlDialect) exists(err error) bool { return codeIn(err, errColumnThere, errKeyThere) }

// undone: the server said that it did not commit, or was not asked to. Of a connection that has
// broken since nothing is known.
func (d mysqlDialect) undone(err error) bool {
	return takesNoWrites(err) || d.retry(err)
}

// takesNoWrites reports whether the server is read-only.
func takesNoWrites(err error) bool {
	return codeIn(err, CodeReadOnly, errReadOnlyTx, CodeReadOnlyMode)
}

// retry: besides, a connection may turn out to be broken before anything was sent, and then the
// server undoes what was begun there. And a statement may have named a key that is not there.
func (d mysqlDialect) retry(err error) bool {
	return undoneByOthers(err) || Code(err) == errLockWait || errors.Is(err, driver.ErrBadConn) ||
		d.lacksKey(err)
}

func (mysqlDialect) raced(err error) bool { return undoneByOthers(err) }

// undoneByOthers reports whether the server undid the whole transaction in favour of another one.
// That may also be one of another node of a cluster, of which one may hear no earlier than at the
// COMMIT.
func undoneByOthers(err error) bool { return codeIn(err, errDeadlock, errGroupRolledBack) }
