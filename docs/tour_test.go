// Package docs_test holds the documents to the source they speak of.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// A place in the source: [`Type.Function`](../path/file.go).
	place = regexp.MustCompile("\\[`([^`]+)`\\]\\(([^)]+\\.go)\\)")
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// TestTourNamesWhatIsThere looks every place of the tour up in the source.
func TestTourNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("tour.md")
	if err != nil {
		t.Fatal(err)
	}
	places := place.FindAllStringSubmatch(string(text), -1)
	if n := strings.Count(string(text), ".go)"); len(places) == 0 || n != len(places) {
		t.Errorf("%d links to Go files, %d of the form [`name`](file.go)", n, len(places))
	}
	files := make(map[string]map[string]bool)
	for _, p := range places {
		name, file := p[1], filepath.FromSlash(p[2])
		if files[file] == nil {
			files[file] = declared(t, file)
		}
		if !files[file][name] {
			t.Errorf("tour.md: %s does not declare %s", file, name)
		}
	}
}

// declared are the names that a file declares: functions and types by their names, methods, those
// of interfaces included, as Type.Method.
func declared(t *testing.T, file string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("tour.md: %v", err)
		return names
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names[d.Name.Name] = true
			} else {
				names[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if s, ok := s.(*ast.TypeSpec); ok {
					names[s.Name.Name] = true
					for _, m := range methods(s) {
						names[s.Name.Name+"."+m] = true
					}
				}
			}
		}
	}
	return names
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// methods are the methods of an interface.
func methods(s *ast.TypeSpec) (names []string) {
	if i, ok := s.Type.(*ast.InterfaceType); ok {
		for _, m := range i.Methods.List {
			for _, n := range m.Names {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

// TestLinksLeadSomewhere looks for the files that the documents link to.
func TestLinksLeadSomewhere(t *testing.T) {
	for doc, text := range documents(t) {
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(l[1])
			if err != nil {
				t.Errorf("%s: %v", doc, err)
			} else if u.Scheme == "" && u.Path != "" {
				if _, err := os.Stat(filepath.Join(filepath.Dir(doc),
					filepath.FromSlash(u.Path))); err != nil {
					t.Errorf("%s links to %s: %v", doc, l[1], err)
				}
			}
		}
	}
}

// path is a file or a folder of the source, as documents name it.
var path = regexp.MustCompile("`((?:cmd|deploy|internal|proto|test|tools)/[^` *]+)`")

// TestPathsAreThere sees that the files and folders are there which the documents name.
func TestPathsAreThere(t *testing.T) {
	for doc, text := range documents(t) {
		for _, p := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(p[1]))); err != nil {
				t.Errorf("%s names %s: %v", doc, p[1], err)
			}
		}
	}
}

// documents are the texts of all documents, by their paths from here. The changelog tells of what
// is no more, too, but links lead somewhere.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"*.md", "*/*.md", "../*.md", "../test/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	if len(texts) == 0 {
		t.Fatal("no documents")
	}
	return texts
}
