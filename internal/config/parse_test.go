package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsAsTheOriginalDoes(t *testing.T) {
	set := func(line int, key, value string) entry {
		return entry{line: line, key: key, value: value}
	}
	for _, c := range []struct {
		name, text string
		want       parsed
	}{
		{"nothing", "", parsed{}},
		{"a line", "a=1\n", parsed{entries: []entry{set(1, "a", "1")}}},
		{"no newline at the end", "a=1", parsed{entries: []entry{set(1, "a", "1")}}},
		{"blanks, tabs, CRLF", " \ta b\t = \tx y \t\r\n",
			parsed{entries: []entry{set(1, "a b", "x y")}}},
		{"= in the value", "a=b=c==\n", parsed{entries: []entry{set(1, "a", "b=c==")}}},
		{"comments anywhere", "#a=1\nb=2 # c=3\n  # d=4\n#",
			parsed{entries: []entry{set(2, "b", "2")}}},
		{"a comment right behind", "a=b#c\n",
			parsed{entries: []entry{{line: 1, key: "a", value: "b", cut: true}}}},
		{"a comment instead", "a=#c\nb = # c\n",
			parsed{hashed: []entry{{line: 1, key: "a", cut: true}}}},
		{"a comment before =", "a#=1\n", parsed{skipped: []int{1}}},
		{"the first wins", "a=1\na=2\n",
			parsed{entries: []entry{set(1, "a", "1")}, repeated: []entry{set(2, "a", "2")}}},
		{"empty is absent", "a=\na = \t\r\na=3\n", parsed{entries: []entry{set(3, "a", "3")}}},
		{"no key", "=1\n =2\n", parsed{}},
		{"no =", "hello\n\n \nb=1", parsed{entries: []entry{set(4, "b", "1")}, skipped: []int{1}}},
		{"case counts", "a=1\nA=2\n", parsed{entries: []entry{set(1, "a", "1"), set(2, "A", "2")}}},
		{"a byte order mark", "\ufeffa=1\n", parsed{entries: []entry{set(1, "a", "1")}}},
		{"a mark before a comment", "\ufeff# x\na=1\n", parsed{entries: []entry{set(2, "a", "1")}}},
		{"marks of files put together", "a=1\n\ufeffb=2\n\ufeff",
			parsed{entries: []entry{set(1, "a", "1"), set(2, "b", "2")}}},
		{"Chinese", "名字=小明 # 谁\n", parsed{entries: []entry{set(1, "名字", "小明")}}},
		{"other blanks stay", "a=\u00a01\u00a0\n",
			parsed{entries: []entry{set(1, "a", "\u00a01\u00a0")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, parse([]byte(c.text)),
				cmp.AllowUnexported(parsed{}, entry{})); d != "" {
				t.Errorf("%q (-want +got):\n%s", c.text, d)
			}
		})
	}
}

// FuzzParse reads any text. What it finds obeys the rules and, written down plainly, is found
// again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{example, original, "\ufeffa=b#c\r\na=\n=x\nx",
		"MaxFrame=99999999999TiB\nListenIP=;;"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found := parse(text)
		var plain strings.Builder
		seen := make(map[string]bool)
		last := 0
		for _, e := range found.entries {
			if e.line <= last || seen[e.key] {
				t.Errorf("line %d after %d, key %q", e.line, last, e.key)
			}
			last, seen[e.key] = e.line, true
			for _, part := range []string{e.key, e.value} {
				if part == "" || strings.Trim(part, blanks) != part ||
					strings.ContainsAny(part, "#\n") {
					t.Errorf("%q = %q", e.key, e.value)
				}
			}
			if strings.Contains(e.key, "=") {
				t.Errorf("key %q", e.key)
			}
			plain.WriteString(e.key + "=" + e.value + "\n")
		}
		again := parse([]byte(plain.String()))
		if len(again.entries) != len(found.entries) {
			t.Fatalf("%d entries, again %d", len(found.entries), len(again.entries))
		}
		for i, e := range again.entries {
			if was := found.entries[i]; e.key != was.key || e.value != was.value {
				t.Errorf("%q = %q became %q = %q", was.key, was.value, e.key, e.value)
			}
		}
		// A file may name any file as one with a secret: only what does not is loaded here.
		if strings.Contains(string(text), fileSuffix) || strings.Contains(string(text), "_tls_") {
			return
		}
		c, _, err := load("fuzz.conf", text, nil)
		if (c == nil) != (err != nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
	})
}
