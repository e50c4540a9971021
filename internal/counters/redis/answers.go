package redis

import (
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// number is the answer of a command as a number; ok is false when it is none.
func number(r rueidis.RedisMessage) (n int64, ok bool) {
	n, err := r.AsInt64()
	return n, err == nil
}

// text is the answer of a command as text, empty when there is none.
func text(r rueidis.RedisMessage) string {
	s, err := r.ToString()
	if err != nil {
		return ""
	}
	return s
}

// failure is the error of a command. It is nil when there is an answer, be it that there is
// nothing.
func failure(r rueidis.RedisMessage) error {
	if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
		return fmt.Errorf("a command was refused by Redis: %w", link.Hush(err))
	}
	return nil
}

// count is text as a counter: 0 when it is none.
func count(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// counts is the answer to a command of link.Link.GetAll: its values as counters.
func counts(r rueidis.RedisMessage) []uint32 {
	values, err := r.ToArray()
	if err != nil {
		return []uint32{count(text(r))}
	}
	all := make([]uint32, len(values))
	for i := range values {
		if s, err := values[i].ToString(); err == nil {
			all[i] = count(s)
		}
	}
	return all
}

func decimal[T ~uint32 | ~uint8 | ~int](n T) string { return strconv.FormatInt(int64(n), 10) }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
