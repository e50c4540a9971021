package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// units are those in which a Size may be written, the largest first.
var units = [...]struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// String is the size in the largest unit that divides it: "16MiB".
func (s Size) String() string {
	for _, u := range units {
		if int64(s)%u.bytes == 0 && s != 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0"
}

func parseSize(text string) (Size, bool) {
	for _, u := range units {
		if number, found := strings.CutSuffix(text, u.name); found {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			return Size(n * u.bytes), err == nil && n >= 0 && n <= math.MaxInt64/u.bytes
		}
	}
	return 0, false
}

// Types are numbers from 1 to 255, ascending, separated by commas.
type Types string

// List returns the numbers.
func (t Types) List() (list []uint8) {
	for part := range strings.SplitSeq(string(t), ",") {
		if n, err := strconv.ParseUint(part, 10, 8); err == nil {
			list = append(list, uint8(n))
		}
	}
	return list
}

// types reads a value of one or more numbers.
func (k key) types(text string) (t Types, ok bool) {
	low, _ := strconv.ParseUint(k.tag.Get("min"), 10, 8)
	var list []uint64
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(strings.Trim(part, blanks), 10, 8)
		if err != nil || n < low {
			return "", false
		}
		list = append(list, n)
	}
	slices.Sort(list)
	text = fmt.Sprint(slices.Compact(list)) // [3 19]
	return Types(strings.ReplaceAll(strings.Trim(text, "[]"), " ", ",")), true
}

// set gives the key's field the value in text. ok is false when it is not of the kind that is
// wanted.
func (k key) set(text string) (ok bool) {
	if one := strings.Fields(k.tag.Get("oneof")); len(one) > 0 {
		if text = strings.ToLower(text); !slices.Contains(one, text) {
			return false
		}
	}
	var v any
	switch k.value.Interface().(type) {
	case int, Size, time.Duration:
		n, ok := k.number(text)
		low, _ := k.number(k.tag.Get("min"))
		high, _ := k.number(k.tag.Get("max"))
		if ok = ok && low <= n && n <= high; ok {
			k.value.SetInt(n)
		}
		return ok
	case Types:
		v, ok = k.types(text)
	case slog.Level:
		var l slog.Level
		ok = l.UnmarshalText([]byte(text)) == nil
		v = l
	case *time.Location:
		l, err := time.LoadLocation(text)
		v, ok = l, err == nil
	case string:
		v, ok = k.formed(text)
	case Secret:
		text, ok = k.formed(text)
		v = Secret(text)
	case []string:
		v, ok = k.list(text)
	}
	if ok {
		k.value.Set(reflect.ValueOf(v))
	}
	return ok
}

// number reads a value of the key's type: a number, a size or a time.
func (k key) number(text string) (n int64, ok bool) {
	switch k.value.Interface().(type) {
	case Size:
		s, ok := parseSize(text)
		return int64(s), ok
	case time.Duration:
		d, err := time.ParseDuration(text)
		return int64(d), err == nil
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil
	}
}

// leading returns the number that C's atoi finds at the beginning of a text, as the original reads
// numbers so: after blanks and a sign, digits up to whatever follows. It returns "" when there are
// no digits.
func leading(text string) string {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	digits := strings.TrimLeft(text, "+-")
	if len(text)-len(digits) > 1 {
		return ""
	}
	end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	switch end {
	case 0:
		return ""
	case -1:
		return text
	default:
		return text[:len(text)-len(digits)+end]
	}
}

// list reads a value of one or more texts.
func (k key) list(text string) (values []string, ok bool) {
	for part := range strings.SplitSeq(text, k.tag.Get("sep")) {
		if part = strings.Trim(part, blanks); part == "" {
			continue
		}
		part, ok = k.formed(part)
		if !ok || slices.Contains(values, part) {
			return nil, false
		}
		values = append(values, part)
	}
	return values, len(values) > 0
}

// formed returns a text as its form wants it. It fails when the text is not of that form.
func (k key) formed(text string) (string, bool) {
	if strings.ContainsRune(text, 0) {
		return "", false
	}
	form := forms[k.tag.Get("form")]
	if form.read == nil {
		return text, true
	}
	return form.read(text)
}

// wanted says in words what the key's value must be.
func (k key) wanted() string {
	low, high := k.tag.Get("min"), k.tag.Get("max")
	switch k.value.Interface().(type) {
	case int:
		return "a whole number from " + low + " to " + high
	case Size:
		return "a size from " + low + " to " + high
	case time.Duration:
		return "a time from " + low + " to " + high
	case Types:
		return "numbers from " + low + " to " + high + ", separated by commas"
	case *time.Location:
		return "an IANA time zone such as Asia/Shanghai, UTC or Local"
	case []string:
		what := forms[k.tag.Get("form")].wanted
		if what == "" {
			what = "names"
		}
		return fmt.Sprintf("%s; several, all different, are separated by %q", what,
			k.tag.Get("sep"))
	}
	if one := strings.Fields(k.tag.Get("oneof")); len(one) > 0 {
		return strings.Join(one[:len(one)-1], ", ") + " or " + one[len(one)-1]
	}
	return cmp.Or(forms[k.tag.Get("form")].wanted, "text without NUL")
}

// text returns the key's value as it would stand in the file; "(hidden)" for secrets.
func (k key) text() string {
	switch v := k.value.Interface().(type) {
	case []string:
		return strings.Join(v, k.tag.Get("sep"))
	case time.Duration:
		return duration(v)
	case slog.Level:
		return strings.ToLower(v.String())
	case string:
		if v == "" && k.tag.Get("form") == "listen" {
			return off
		}
		return v
	default:
		return fmt.Sprint(v)
	}
}

// duration returns a time without the parts that are zero: "30m", where time.Duration says "30m0s".
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
