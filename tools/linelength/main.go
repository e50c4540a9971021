// Command linelength finds the lines of this repository that are wider than 100 cells, as an editor
// shows them: a tab counts 4, a Chinese character 2. It looks at Go, Markdown and proto files.
//
//	go -C tools run ./linelength ..
//
// Not counted are generated files, lines with a URL, SQL and Lua in raw strings, and what cannot be
// broken: tags of fields, and in Markdown the rows of tables. Every other line that is too wide is
// printed, and then it exits with 1.
package main

import (
	"fmt"
	"go/scanner"
	"go/token"
	"log"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"unicode"
)

const (
	limit = 100 // cells
	tab   = 4   // cells
)

func main() {
	log.SetFlags(0)
	if len(os.Args) == 2 {
		if err := os.Chdir(os.Args[1]); err != nil {
			log.Fatal(err)
		}
	}
	list, err := exec.Command("git", "ls-files", "-z", "*.go", "*.md", "*.proto").Output()
	if err != nil {
		log.Fatalf("git ls-files: %v", err)
	}
	failed := 0
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		if err != nil {
			log.Fatal(err)
		}
		for _, w := range wide(name, string(text)) {
			fmt.Printf("%s:%d: %d cells, at most %d\n", name, w.line, w.cells, limit)
			failed++
		}
	}
	if failed > 0 {
		log.Fatalf("%d lines are wider than %d cells", failed, limit)
	}
}

// wideLine is a line that is too wide. Lines count from 1.
type wideLine struct{ line, cells int }

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// wide finds the lines of a file that are too wide.
func wide(name, text string) (found []wideLine) {
	isGo, isMarkdown := path.Ext(name) == ".go", path.Ext(name) == ".md"
	if isGo && generated.MatchString(text) {
		return nil
	}
	var sql map[int]bool
	for i, line := range strings.Split(text, "\n") {
		n := width(line)
		if n <= limit || strings.Contains(line, "://") || isMarkdown &&
			strings.HasPrefix(line, "|") {
			continue
		}
		if isGo && sql == nil {
			sql = sqlLines(text)
		}
		if !sql[i+1] && !(isGo && fieldTag.MatchString(line)) {
			found = append(found, wideLine{i + 1, n})
		}
	}
	return found
}

// width is how many cells a line takes.
func width(line string) (cells int) {
	for _, r := range line {
		switch {
		case r == '\t':
			cells += tab - cells%tab
		case unicode.Is(unicode.Mn, r):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
			r >= 0x3000 && r <= 0x303F, r >= 0xFF01 && r <= 0xFF60, r >= 0x1F300 && r <= 0x1FAFF:
			cells += 2
		default:
			cells++
		}
	}
	return cells
}

// fieldTag is the end of a line with a field's tag.
var fieldTag = regexp.MustCompile("`\\w+:\"[^`]*`$")

var sqlText = regexp.MustCompile(`\b(SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|redis\.call)\b`)

// sqlLines are the lines of a Go file that lie in raw strings with SQL or Lua.
func sqlLines(text string) map[int]bool {
	lines := make(map[int]bool)
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(text))
	var s scanner.Scanner
	s.Init(file, []byte(text), nil, 0) // what does not parse, the compiler tells
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return lines
		}
		if tok == token.STRING && literal[0] == '`' && sqlText.MatchString(literal) {
			first := file.Line(pos)
			for i := range strings.Count(literal, "\n") + 1 {
				lines[first+i] = true
			}
		}
	}
}
