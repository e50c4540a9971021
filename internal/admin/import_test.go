package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/chat"
)

func (p *people) AddUsers(_ context.Context, users []chat.User) error {
	for _, u := range users {
		if u.Name == "unlucky" {
			return errors.New("the disk is full")
		}
	}
	for _, u := range users {
		u.ID = uint32(len(p.users) + 1)
		p.users = append(p.users, u)
	}
	return nil
}

func (p *people) ChangeUsers(
	_ context.Context, ids []uint32, change func(*chat.User) error,
) (changed int, err error) {
	for _, id := range ids {
		if err := change(&p.users[id-1]); err != nil {
			return 0, err
		}
		changed++
	}
	return changed, nil
}

func TestReadCSV(t *testing.T) {
	for _, test := range []struct {
		name, file string
		rows       string   // lines and names
		bad        []string // line: reason
		err        string
	}{
		{name: "BOM, CRLF, heads in any case",
			file: "\ufeffPassword, NAME \r\nx,ann\r\n\r\ny, bob \r\n", rows: "2 ann, 4 bob"},
		{name: "a cell of several lines", file: "name,nick\nann,\"A\nB\"\nbob,\n",
			rows: "2 ann, 4 bob"},
		{name: "empty lines", file: "name,nick\n\n , \nann,\n", rows: "4 ann"},
		{name: "no end of line", file: "name\nann", rows: "2 ann"},
		{name: "wrong cells", file: "name,nick\nann\nbob,b,c\n,b\n",
			bad: []string{"2: has 1 cell, and the first line has 2",
				"3: has 3 cells, and the first line has 2", "4: the name is empty"}},
		{name: "an open quote", file: "name,nick\nann,a\nbob,\"b\ncy,c\n", rows: "2 ann",
			bad: []string{"3: a quote (\") that is opened here is not closed properly up to line " +
				"4"}},
		{name: "empty", file: "", err: "it is empty; its first line must name the columns, such " +
			"as name,nick,password"},
		{name: "a column twice", file: "name,nick,Name\n",
			err: "its first line has the column name twice"},
		{name: "no name", file: "nick,password\n",
			err: "its first line has no column name, which is what people log in with"},
		{name: "tabs", file: "name\tnick\n",
			err: "its cells must be separated by commas, not by semicolons or tabs"},
		{name: "GBK", file: "name,nick\nann,\xd0\xa1\xc3\xf7\n",
			err: "line 2 is not in UTF-8; save the file as UTF-8 (a spreadsheet calls it \"CSV " +
				"UTF-8\")"},
		{name: "UTF-16", file: "\xff\xfen\x00",
			err: "it is in UTF-16; save it as UTF-8 (a spreadsheet calls it \"CSV UTF-8\")"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, bad, err := admin.ReadCSV(strings.NewReader(test.file))
			if text := fmt.Sprint(err); err != nil && text != test.err || err == nil &&
				test.err != "" {
				t.Errorf("error %s, want %s", text, test.err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, fmt.Sprint(r.Line, " ", r.Name()))
			}
			if strings.Join(got, ", ") != test.rows {
				t.Errorf("rows %v, want %s", got, test.rows)
			}
			var reasons []string
			for _, b := range bad {
				reasons = append(reasons, fmt.Sprintf("%d: %s", b.Line, b.Reason))
			}
			if diff := cmp.Diff(test.bad, reasons); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestImportUpdates(t *testing.T) {
	store := &people{users: []chat.User{
		{ID: 1, Name: "ann", Nick: "Ann", Phone: "1", Department: 1},
		{ID: 2, Name: "bob", Nick: "Bob"},
		{ID: 3, Name: "gone", Status: chat.Left},
	}}
	const file = "name,nick,department,phone\nann,Annie,Sales,\nbob,Bob,,\ngone,G,,\nann,again,,\n"
	rows, bad, err := admin.ReadCSV(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := admin.MakePlan(t.Context(), store, rows, bad, true)
	if err != nil {
		t.Fatal(err)
	}
	want := []admin.Bad{{Line: 4, Reason: "the password is empty"},
		{Line: 5, Reason: `line 2 has the name "ann" already`}}
	if diff := cmp.Diff(want, plan.Bad); diff != "" {
		t.Error(diff)
	}
	done, err := plan.Run(t.Context(), func(int) {})
	if err != nil || done != (admin.Done{Changed: 1}) || plan.Same != 1 {
		t.Errorf("did %+v (%v), and %d were the same; want 1 changed and 1 the same", done, err,
			plan.Same)
	}
	if diff := cmp.Diff(chat.User{ID: 1, Name: "ann", Nick: "Annie", Phone: "1", Department: 3},
		store.users[0]); diff != "" {
		t.Error(diff)
	}
}

func TestImportThatFailsSaysHowFarItCame(t *testing.T) {
	file := "name,password\n"
	for i := range 700 {
		file += fmt.Sprintf("user%d,secret\n", i)
	}
	rows, _, err := admin.ReadCSV(strings.NewReader(file + "unlucky,secret\n"))
	if err != nil {
		t.Fatal(err)
	}
	store := &people{}
	plan, err := admin.MakePlan(t.Context(), store, rows, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	var seen []int
	done, err := plan.Run(t.Context(), func(n int) { seen = append(seen, n) })
	if err == nil || done.Added != 500 || len(store.users) != 500 {
		t.Errorf("did %+v (%v), and %d are there; want an error after 500", done, err,
			len(store.users))
	}
	if diff := cmp.Diff([]int{500}, seen); diff != "" {
		t.Error("progress:", diff)
	}
	u := store.users[7]
	if u.Name != "user7" || u.Nick != "user7" || u.Domain != "user7" || !u.HasPassword("secret") ||
		u.HasPassword("other") {
		t.Errorf("imported %+v", u)
	}
}

func FuzzReadCSV(f *testing.F) {
	f.Add("name,password\nann,x\n")
	f.Add("\ufeffname,sex\r\n\"a\"\"b\",male\r\n\"open\n")
	f.Add("name;password\n")
	f.Fuzz(func(t *testing.T, file string) {
		rows, bad, err := admin.ReadCSV(strings.NewReader(file))
		if err != nil && len(rows)+len(bad) > 0 {
			t.Errorf("an error (%v), and rows", err)
		}
		last := 1
		for _, r := range rows {
			if r.Line <= last || r.Name() == "" {
				t.Errorf("row %q at line %d after line %d", r.Name(), r.Line, last)
			}
			last = r.Line
		}
		for _, b := range bad {
			if b.Line < 2 || b.Reason == "" {
				t.Errorf("bad line %+v", b)
			}
		}
	})
}
