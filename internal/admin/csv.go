package admin

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// columns are those that a file of people may have, in any order: the password, and the fields that
// administrators give new people.
func columns() (names []string) {
	for _, f := range chat.UserFields() {
		if !f.Own {
			names = append(names, f.Name)
		}
	}
	return slices.Insert(names, 1, "password")
}

// Row is one person of a file.
type Row struct {
	Line  int               // where it begins, from 1
	cells map[string]string // by column; only those with something in them
}

// Name is what the person logs in with.
func (r Row) Name() string { return r.cells["name"] }

// Bad is a line that cannot be imported, and why.
type Bad struct {
	Line   int
	Reason string
}

// ReadCSV reads people from CSV in UTF-8, whose first line names the columns. It returns every row
// that has a name, and every line that is not as it should be. An error means that nothing of the
// file can be used.
func ReadCSV(in io.Reader) (rows []Row, bad []Bad, err error) {
	all, err := io.ReadAll(in)
	if err != nil {
		return nil, nil, err
	}
	if bytes.HasPrefix(all, []byte("\xff\xfe")) || bytes.HasPrefix(all, []byte("\xfe\xff")) {
		return nil, nil, errors.New("it is in UTF-16; save it as UTF-8 (a spreadsheet calls it " +
			"\"CSV UTF-8\")")
	}
	if line := invalidLine(all); line > 0 {
		return nil, nil, fmt.Errorf("line %d is not in UTF-8; save the file as UTF-8 (a "+
			"spreadsheet calls it \"CSV UTF-8\")", line)
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(all, []byte("\ufeff"))))
	r.FieldsPerRecord = -1
	head, err := r.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty; its first line must name the columns, such as " +
				"name,nick,password")
		}
		return nil, nil, err
	}
	if err := checkHead(head); err != nil {
		return nil, nil, err
	}
	for {
		cells, err := r.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return rows, bad, nil
		case errors.As(err, &wrong):
			bad = append(bad, Bad{wrong.StartLine, quoting(wrong)})
			continue
		case err != nil:
			return nil, nil, err
		}
		line, _ := r.FieldPos(0)
		row, reason := makeRow(line, head, cells)
		if reason != "" {
			bad = append(bad, Bad{line, reason})
		} else if row.cells != nil {
			rows = append(rows, row)
		}
	}
}

// invalidLine returns the first line that is not UTF-8, 0 when all are.
func invalidLine(text []byte) int {
	if utf8.Valid(text) {
		return 0
	}
	n := 0
	for line := range bytes.Lines(text) {
		if n++; !utf8.Valid(line) {
			break
		}
	}
	return n
}

// checkHead refuses a first line that does not name columns. It changes the names in head to lower
// case, without blanks around them.
func checkHead(head []string) error {
	for i, h := range head {
		head[i] = strings.ToLower(strings.TrimSpace(h))
	}
	if len(head) == 1 && strings.ContainsAny(head[0], ";\t") {
		return errors.New("its cells must be separated by commas, not by semicolons or tabs")
	}
	for i, h := range head {
		switch {
		case !slices.Contains(columns(), h):
			return fmt.Errorf("its first line must name the columns, and %q is none of them; "+
				"they are %s", h, strings.Join(columns(), ", "))
		case slices.Contains(head[:i], h):
			return fmt.Errorf("its first line has the column %s twice", h)
		}
	}
	if !slices.Contains(head, "name") {
		return errors.New("its first line has no column name, which is what people log in with")
	}
	return nil
}

// quoting says what is wrong with the quotes of a line.
func quoting(e *csv.ParseError) string {
	switch {
	case errors.Is(e.Err, csv.ErrQuote) && e.Line != e.StartLine:
		return fmt.Sprintf("a quote (\") that is opened here is not closed properly up to line %d",
			e.Line)
	case errors.Is(e.Err, csv.ErrQuote):
		return "a quote (\") is not closed, or something stands behind it; a quote within quotes " +
			"is written twice"
	case errors.Is(e.Err, csv.ErrBareQuote):
		return "a quote (\") stands within a cell without quotes; put the cell into quotes and " +
			"write it twice"
	default:
		return e.Err.Error()
	}
}

// makeRow makes a row of the cells of a line, or says why it cannot. Blanks around a cell do not
// count, except in passwords. Of an empty line the row has no cells.
func makeRow(line int, head, cells []string) (row Row, reason string) {
	if len(cells) != len(head) {
		if strings.TrimSpace(strings.Join(cells, "")) == "" {
			return Row{}, ""
		}
		return Row{}, fmt.Sprintf("has %s, and the first line has %d", Count(len(cells), "cell"),
			len(head))
	}
	row = Row{Line: line, cells: make(map[string]string)}
	for i, h := range head {
		cell := cells[i]
		if h != "password" {
			cell = strings.TrimSpace(cell)
		}
		if cell != "" {
			row.cells[h] = cell
		}
	}
	switch {
	case len(row.cells) == 0:
		return Row{}, ""
	case row.Name() == "":
		return Row{}, "the name is empty"
	}
	return row, ""
}

// sexes are the words for IMUser.sex, in the order of its values.
var sexes = []string{"unknown", "male", "female"}

// ParseSex reads the sex of a person: unknown, male or female, or the Chinese words for these. Its
// error begins with the word.
func ParseSex(word string) (uint32, error) {
	i := slices.Index(sexes, strings.ToLower(word))
	if i < 0 {
		i = slices.Index([]string{"未知", "男", "女"}, word)
	}
	if i < 0 {
		return 0, chat.Errorf(chat.Invalid, "%s: choose %s", word, strings.Join(sexes, ", "))
	}
	return uint32(i), nil
}

// Sexes are the words that ParseSex reads.
func Sexes() []string { return slices.Clone(sexes) }

// SexName is the word for a sex; a number for what has none.
func SexName(sex uint32) string { return WordFor(sex, sexes...) }

// WordFor is the word for a number that counts words from 0; the number where there is none.
func WordFor(n uint32, words ...string) string {
	if int(n) < len(words) {
		return words[n]
	}
	return fmt.Sprint(n)
}

// Count says how many there are of something.
func Count(n int, what string) string {
	switch {
	case what == "person" && n != 1:
		what = "people"
	case n != 1:
		what += "s"
	}
	return Digits(n) + " " + what
}

// Digits is a number for people, with commas at the thousands.
func Digits(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
