package sqldb

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// spell appends a statement of ours to a text, with values at its question marks. Numbers are
// written in decimal digits, and texts by quote. It looks for question marks in the statement only,
// so that one in a value is nothing but a part of it.
func spell(
	text []byte, statement string, values []any, quote func(text []byte, value string) []byte,
) ([]byte, error) {
	marks := strings.Count(statement, "?")
	if marks != len(values) {
		return text, fmt.Errorf("%d values for a statement that takes %d", len(values), marks)
	}
	var err error
	for _, value := range values {
		before, after, _ := strings.Cut(statement, "?")
		text = append(text, before...)
		if text, err = appendValue(text, value, quote); err != nil {
			return text, err
		}
		statement = after
	}
	return append(text, statement...), nil
}

func appendValue(
	text []byte, value any, quote func(text []byte, value string) []byte,
) ([]byte, error) {
	switch v := value.(type) {
	case uint32:
		return strconv.AppendUint(text, uint64(v), 10), nil
	case string:
		return quote(text, v), nil
	case int:
		return strconv.AppendInt(text, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(text, v, 10), nil
	case uint64:
		return strconv.AppendUint(text, v, 10), nil
	case nil:
		return append(text, "NULL"...), nil
	}
	converted, err := driver.DefaultParameterConverter.ConvertValue(value)
	if n, ok := converted.(int64); err == nil && ok {
		return strconv.AppendInt(text, n, 10), nil
	}
	return text, fmt.Errorf("a value is a %T, which no statement of ours has", value)
}

// appendHex quotes a text in hexadecimal digits, so that no value can end the text that it stands
// in, whatever the server takes it for.
func appendHex(text []byte, value string) []byte {
	text = append(text, "_"+charset+" X'"...)
	return append(hex.AppendEncode(text, []byte(value)), '\'')
}

// appendText quotes a text for a connection that was seen to speak charset. It doubles what could
// end the text or change what follows, which is right whether or not the SQL mode has backslashes
// escape.
func appendText(text []byte, value string) []byte {
	text = append(text, '\'')
	for {
		end := strings.IndexAny(value, `'\`)
		if end < 0 {
			break
		}
		text = append(append(text, value[:end+1]...), value[end])
		value = value[end+1:]
	}
	return append(append(text, value...), '\'')
}
