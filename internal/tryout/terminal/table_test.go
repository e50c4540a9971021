package terminal_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

func TestTableIsCutOnlyWhereNeeded(t *testing.T) {
	table := terminal.Table{
		{"ID", "NAME", "NICK", "STATUS"},
		{"1", "ann", "一二三四五六七八九十", "in service"},
		{"10", "a-name-of-23-characters", "e\u0301", "left"},
		{"11", "bell\a\x1b[31m", "\u202egnp\n", "left"},
	}
	for width, want := range map[int]string{
		80: `
ID  NAME                     NICK                  STATUS
1   ann                      一二三四五六七八九十  in service
10  a-name-of-23-characters  é                     left
11  bell\a\x1b[31m           \u202egnp\n           left
`,
		50: `
ID  NAME              NICK             STATUS
1   ann               一二三四五六七…  in service
10  a-name-of-23-ch…  é                left
11  bell\a\x1b[31m    \u202egnp\n      left
`,
		1: `
ID  NAME      NICK      STATUS
1   ann       一二三…   in service
10  a-name-…  é         left
11  bell\a\…  \u202eg…  left
`,
	} {
		var out strings.Builder
		if err := table.WriteWithin(&out, width, 1, 2); err != nil {
			t.Fatal(err)
		}
		want = strings.ReplaceAll(want, "é", "e\u0301")
		if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
			t.Errorf("%d cells: %s", width, diff)
		}
	}
}

// TestTableIsFolded: texts that are too wide go on in the next line, and nothing is lost.
func TestTableIsFolded(t *testing.T) {
	table := terminal.Table{
		{"KEY", "VALUE", "FROM"},
		{"CacheInstances", "unread,group_set,token,sync,group_member", "line 7"},
		{"ListenPort", "10600", "DBPROXY_LISTENPORT"},
		{"LongWord", "abcdefghijklmnopqrstuvwxyz0123456789", "一二三四五六七八九十"},
	}
	for width, want := range map[int]string{
		80: `
KEY             VALUE                                     FROM
CacheInstances  unread,group_set,token,sync,group_member  line 7
ListenPort      10600                                     DBPROXY_LISTENPORT
LongWord        abcdefghijklmnopqrstuvwxyz0123456789      一二三四五六七八九十
`,
		48: `
KEY             VALUE            FROM
CacheInstances  unread,          line 7
                group_set,
                token,sync,
                group_member
ListenPort      10600            DBPROXY_
                                 LISTENPORT
LongWord        abcdefghijklmno  一二三四五六七
                pqrstuvwxyz0123  八九十
                456789
`,
	} {
		var out strings.Builder
		if err := table.WriteFolded(&out, width, 1, 2); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, "\n"+out.String()); diff != "" {
			t.Errorf("%d cells: %s", width, diff)
		}
	}
}
