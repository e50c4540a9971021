package sqldb

import (
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Scanner copies the columns of the row at hand to where its arguments point. It takes whatever
// stands there, so that one odd row does not keep others from being read: tables of other servers
// have columns that may be NULL, signed or wider than the protocol's fields. NULL is 0 or empty. A
// number out of range is the nearest one in it, but a kind out of range is none (0). Of a text
// where a number belongs it takes what the original makes of it (C's atoi).
type Scanner func(dest ...any) error

// scanRows is the Scanner of rows.
func scanRows(rows *sql.Rows) Scanner {
	var values []value
	var args []any
	return func(dest ...any) error {
		if len(values) != len(dest) {
			values, args = make([]value, len(dest)), make([]any, len(dest))
		}
		for i, d := range dest {
			values[i].dest, args[i] = d, &values[i]
			switch d.(type) {
			case *string, *uint32, *int64, *int, *chat.TalkKind, *chat.MsgType, *chat.GroupType:
			default:
				args[i] = d
			}
		}
		return rows.Scan(args...)
	}
}

// Into returns a function that puts rows of a key and a value into a map. Of several rows with one
// key the last one stays.
func Into[K comparable, V any](found map[K]V) func(Scanner) error {
	return func(scan Scanner) error {
		var k K
		var v V
		err := scan(&k, &v)
		found[k] = v
		return err
	}
}

// Onto returns a function that appends each row to a list. columns says where the columns of a row
// belong in an element.
func Onto[V any](list *[]V, columns func(*V) []any) func(Scanner) error {
	return func(scan Scanner) error {
		var v V
		err := scan(columns(&v)...)
		*list = append(*list, v)
		return err
	}
}

// value is one column of a row; it implements sql.Scanner.
type value struct{ dest any }

// Scan implements sql.Scanner: it copies the column to dest.
func (v *value) Scan(src any) error {
	switch d := v.dest.(type) {
	case *string:
		*d = textOf(src)
	case *uint32:
		*d = uint32(min(max(numberOf(src), 0), math.MaxUint32))
	case *int64:
		*d = numberOf(src)
	case *int:
		*d = int(numberOf(src))
	case *chat.TalkKind:
		*d = chat.TalkKind(kindOf(src))
	case *chat.MsgType:
		*d = chat.MsgType(kindOf(src))
	case *chat.GroupType:
		*d = chat.GroupType(kindOf(src))
	}
	return nil
}

func textOf(src any) string {
	switch s := src.(type) {
	case nil:
		return ""
	case string:
		return s
	case []byte:
		return string(s)
	default:
		return fmt.Sprint(s)
	}
}

func kindOf(src any) uint8 {
	n := numberOf(src)
	if n < 0 || n > math.MaxUint8 {
		return 0
	}
	return uint8(n)
}

func numberOf(src any) int64 {
	switch n := src.(type) {
	case int64:
		return n
	case uint64:
		return int64(min(n, math.MaxInt64))
	case float64:
		return int64(min(max(n, math.MinInt64), math.MaxInt64/2))
	default:
		return atoi(textOf(src))
	}
}

// atoi reads a number as C does: a sign, digits, and then anything.
func atoi(text string) int64 {
	text = strings.TrimLeft(text, " \t\r\n")
	end := 0
	if text != "" && (text[0] == '-' || text[0] == '+') {
		end++
	}
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(text[:end], 10, 64) // out of range it is the nearest one in it
	return n
}
