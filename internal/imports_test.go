package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/teamtalk-go/dbproxy/"

// pkg is a package as the go command lists it.
type pkg struct {
	ImportPath, Dir  string
	Imports, GoFiles []string // without those of tests
}

// packages returns those of a pattern, by their paths in the module, without "internal/".
func packages(t *testing.T, pattern string) map[string]pkg {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Imports,GoFiles",
		module+pattern)
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]pkg)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 { // else it is this test
			all[below(p.ImportPath)] = p
		}
	}
}

// below is a package's path in the module, without "internal/".
func below(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "internal/")
}

// mapped reads docs/architecture.md: the packages in its tree, and its table of what each may
// import.
func mapped(t *testing.T) (tree []string, allowed map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, drawn, _ := strings.Cut(string(text), "\ninternal/\n")
	drawn, _, _ = strings.Cut(drawn, "\nproto/")
	var above string
	for line := range strings.SplitSeq(drawn, "\n") {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "/")
		if strings.HasPrefix(line, "    ") {
			name = above + "/" + name
		} else {
			above = name
		}
		tree = append(tree, name)
	}
	_, table, _ := strings.Cut(string(text), "\n| package | may import |\n|---|---|\n")
	allowed = make(map[string][]string)
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			break
		}
		names := strings.FieldsFunc(cells[2], func(r rune) bool { return r == ',' || r == ' ' })
		allowed[strings.TrimSpace(cells[1])] = names
	}
	return tree, allowed
}

// TestPackagesImportOnlyWhatTheyMay holds the packages to the table in docs/architecture.md, and
// the table and the tree there to the packages.
func TestPackagesImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	tree, allowed := mapped(t)
	there := packages(t, "internal/...")
	for _, name := range slices.Sorted(maps.Keys(there)) {
		may, known := allowed[name]
		if !known {
			t.Errorf("internal/%s is not in the table of docs/architecture.md", name)
		}
		if !slices.Contains(tree, name) {
			t.Errorf("internal/%s is not in the tree of docs/architecture.md", name)
		}
		unused := slices.Clone(may)
		for _, path := range there[name].Imports {
			imported := below(path)
			if strings.HasPrefix(path, module) && !slices.Contains(may, imported) {
				t.Errorf("internal/%s imports %s: it may import only %v", name, imported, may)
			}
			unused = slices.DeleteFunc(unused, func(name string) bool { return name == imported })
		}
		if len(unused) > 0 {
			t.Errorf("internal/%s may import %v, and does not: take it out of the table of "+
				"docs/architecture.md", name, unused)
		}
		delete(allowed, name)
	}
	if len(allowed) > 0 {
		t.Errorf("the table of docs/architecture.md has packages that are not there: %v", allowed)
	}
	for _, name := range tree {
		if _, is := there[name]; !is && name != "tryout" {
			t.Errorf("the tree of docs/architecture.md has internal/%s, which is not there", name)
		}
	}
}

// drivers are what databases are reached with.
var drivers = []string{"database/sql", "database/sql/driver", "github.com/go-sql-driver/mysql",
	"modernc.org/sqlite"}

// besidesSQL are the packages that import drivers without being records/sqldb, and why.
var besidesSQL = map[string]string{
	"records":        "hands out its pools by their names",
	"records/tables": "reads defaults of columns, which may be NULL",
	"checkup":        "asks servers on connections of its own, and explains the driver's errors",
	"ops":            "reads the counters of pools for /metrics, and sends nothing",
}

// speaksSQL reports whether the text of SQL may stand in a package.
func speaksSQL(name string) bool {
	return name == "records" || strings.HasPrefix(name, "records/") ||
		slices.Contains([]string{"bench/yardstick", "checkup", "doctor/repair", "tryout/tail"},
			name)
}

// readsStatements are files that only read statements, to show them.
var readsStatements = []string{"cmd/dbproxy/migrate_show.go"}

// statement is what statements of SQL look like, on one line or on several.
var statement = regexp.MustCompile(`(?s)\b(SELECT\s.*\bFROM\s|` +
	`(INSERT(\s+IGNORE)?|REPLACE)\s+INTO\s|` +
	`UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|(CREATE|ALTER|DROP|RENAME|TRUNCATE)\s+TABLE\b|` +
	`CREATE\s+(UNIQUE\s+)?INDEX\s|SHOW\s+(GLOBAL\s+)?(VARIABLES|STATUS|TABLES)\b)`)

// TestStatementsAreKnown tries what TestSQLStandsBelowRecords knows statements by.
func TestStatementsAreKnown(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"SELECT id FROM IMUser", "SELECT id\nFROM IMUser\nWHERE id=?",
		"INSERT INTO IMUser (id) VALUES (1)",
		"INSERT IGNORE INTO IMUser (id) VALUES (1)", "REPLACE INTO IMUser (id) VALUES (1)",
		"UPDATE IMUser SET id=1", "DELETE FROM IMUser", "DROP TABLE IMUser",
		"TRUNCATE TABLE IMUser",
		"CREATE UNIQUE INDEX one ON IMUser (id)", "SHOW TABLES", "SHOW GLOBAL STATUS",
	} {
		if !statement.MatchString(text) {
			t.Errorf("%q may stand anywhere", text)
		}
	}
}

// TestSQLStandsBelowRecords holds the rule that the text of SQL stands in records and what is below
// it, checkup, doctor/repair, tryout/tail and bench/yardstick alone, and goes through
// records/sqldb.
func TestSQLStandsBelowRecords(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	for name, p := range packages(t, "...") {
		if strings.HasPrefix(name, "test/") {
			continue
		}
		for _, imported := range p.Imports {
			switch {
			case slices.Contains(drivers, imported) && name != "records/sqldb":
				if used[name] = true; besidesSQL[name] == "" {
					t.Errorf("%s imports %s: go through records/sqldb", name, imported)
				}
			case below(imported) == "records/sqldb" && !speaksSQL(name) && name != "cmd/dbproxy":
				t.Errorf("%s imports records/sqldb: let records do what it wants", name)
			}
		}
		if speaksSQL(name) {
			continue
		}
		for _, file := range p.GoFiles {
			if slices.Contains(readsStatements, name+"/"+file) {
				continue
			}
			for where, text := range literals(t, filepath.Join(p.Dir, file)) {
				if statement.MatchString(text) {
					t.Errorf("%s: SQL in %s: let records do it: %q", where, name, text)
				}
			}
		}
	}
	for name := range besidesSQL {
		if !used[name] {
			t.Errorf("%s is an exception, and imports no driver", name)
		}
	}
}

// literals are the texts in a file, by their positions. Those that + joins are one.
func literals(t *testing.T, path string) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		e, is := n.(ast.Expr)
		if !is {
			return true
		}
		text := joined(e)
		if text != "" {
			found[files.Position(e.Pos()).String()] = text
		}
		return text == ""
	})
	return found
}

// joined is the text of a literal, or of several that + joins; what else is joined is left out.
func joined(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			if text, err := strconv.Unquote(e.Value); err == nil {
				return text
			}
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return joined(e.X) + joined(e.Y)
		}
	}
	return ""
}

// foreign are packages of others that only some of ours may import, by the beginnings of their
// paths.
var foreign = map[string][]string{
	"github.com/prometheus/": {"cmd/dbproxy", "ops"},
	"github.com/redis/":      {"checkup", "counters/link", "counters/redis"},
	"google.golang.org/protobuf/": {"bench", "catalog", "client", "command", "impb", "tryout/call",
		"tryout/chatui", "tryout/demo"},
	"encoding/json": {"bench", "cmd/dbproxy", "datadir", "ops", "records/talk", "tryout/call",
		"voice"},
}

// TestForeignPackagesStayWhereTheyMay holds the rules that protobuf ends in command, that nobody
// but ops and the command knows Prometheus, and that chat knows no JSON.
func TestForeignPackagesStayWhereTheyMay(t *testing.T) {
	t.Parallel()
	for name, p := range packages(t, "...") {
		if strings.HasPrefix(name, "test/") {
			continue
		}
		for _, imported := range p.Imports {
			for path, may := range foreign {
				if strings.HasPrefix(imported, path) && !slices.Contains(may, name) {
					t.Errorf("%s imports %s: only %v may", name, imported, may)
				}
			}
		}
	}
}

// TestPackagesAreSmall bounds packages, without their tests, and the files flat in test/. Generated
// packages and the command are not counted.
func TestPackagesAreSmall(t *testing.T) {
	t.Parallel()
	const mostFiles, mostLines, mostFlat = 25, 3500, 10
	for name, p := range packages(t, "internal/...") {
		lines := 0
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(text, []byte("\n"))
		}
		if name != "impb" && (len(p.GoFiles) > mostFiles || lines > mostLines) {
			t.Errorf("internal/%s has %d files and %d lines, at most %d and %d: part it",
				name, len(p.GoFiles), lines, mostFiles, mostLines)
		}
	}
	flat, err := filepath.Glob("../test/*")
	if err != nil {
		t.Fatal(err)
	}
	flat = slices.DeleteFunc(flat, func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.IsDir()
	})
	if len(flat) > mostFlat {
		t.Errorf("%d files lie flat in test/, at most %d: %v", len(flat), mostFlat, flat)
	}
}
