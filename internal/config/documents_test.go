package config

import (
	"cmp"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	diff "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the documents anew")

// docWidth is how wide the lines of docs/ are.
const docWidth = 100

// TestDocumentsAreCurrent compares the documents with what the struct says now.
func TestDocumentsAreCurrent(t *testing.T) {
	for path, want := range map[string]string{
		"dbproxyserver.conf.example":                          makeExample(t),
		filepath.Join("..", "..", "docs", "configuration.md"): manual(t),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := diff.Diff(want, string(got)); d != "" {
			t.Errorf("%s is not current: run \"make generate\" (-want +got):\n%s", path, d)
		}
	}
}

// docs has the comments of the fields in config.go, by "Type.Field", as text for people: one line,
// and without the field's name.
func docs(t *testing.T) map[string]string {
	t.Helper()
	mode := parser.ParseComments | parser.SkipObjectResolution
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					found[spec.Name.Name+"."+name.Name] = describe(f.Doc.Text())
				}
			}
		}
		return false
	})
	return found
}

// subject is how a field's comment begins.
var subject = regexp.MustCompile(`^\w+ is `)

// describe makes a description of a field's comment.
func describe(comment string) string {
	text := strings.Join(strings.Fields(comment), " ")
	text = text[len(subject.FindString(text)):]
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// exampleWidth is how wide the comments of an example are.
const exampleWidth = 80

const exampleHead = `Configuration of dbproxy on MySQL and Redis: the original's
dbproxyserver.conf, with keys of dbproxy's own beside it. A line is key=value;
# starts a comment anywhere, so no value can have one. Of equal keys the first
counts.

What is set here must be set; what stands behind a # is the default. Every key
can be overridden by an environment variable, DBPROXY_ and the key in
capitals: DBPROXY_LISTENPORT. A secret may stand in a file of its own:
teamtalk_master_password_FILE=/run/secrets/mysql, or
DBPROXY_TEAMTALK_MASTER_PASSWORD_FILE. "dbproxy config show" tells what holds.

Once passwords stand in it, nobody else should read it: chmod 600.`

// makeExample is dbproxyserver.conf.example. The keys of a kind of instance are described once.
func makeExample(t *testing.T) string {
	t.Helper()
	described := docs(t)
	var b strings.Builder
	for line := range strings.Lines(exampleHead) {
		b.WriteString(strings.TrimRight("# "+line, " \n") + "\n")
	}
	comment := func(text string) { b.WriteString("\n" + wrap("# ", "# ", text, exampleWidth)) }
	first := map[string]string{"": ""} // by kind of instance: the one whose keys are described
	var last instance
	for _, k := range keysOf(&Config{}) {
		in := k.instance
		if in != last && in.name != "" {
			about := in.name + ": " + described[in.field]
			if first[in.kind] == "" {
				first[in.kind] = in.name
			} else {
				about += " Its keys mean what those of " + first[in.kind] + " mean."
			}
			comment(about)
		}
		last = in
		if first[in.kind] == in.name {
			comment(strings.ReplaceAll(described[k.field], "NAME_", in.name+"_"))
		}
		b.WriteString(k.line() + "\n")
	}
	return b.String()
}

// line is the key as a line of a file: set, if it must be or the example has it, else commented
// with its default.
func (k key) line() string {
	if k.required() || k.example != "" {
		return k.name + "=" + k.example
	}
	return "#" + k.name + "=" + k.tag.Get("default")
}

// wrap breaks text into lines of at most width places; the first begins with first, the others with
// rest.
func wrap(first, rest, text string, width int) string {
	var b strings.Builder
	line := first
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = rest + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

// manual is docs/configuration.md.
func manual(t *testing.T) string {
	t.Helper()
	described := docs(t)
	tmpl, err := template.New("configuration.md.tmpl").Funcs(template.FuncMap{
		"keys":      func(of string) string { return describeKeys(described, of) },
		"instances": func(kind string) string { return describeInstances(described, kind) },
		"secrets":   nameSecrets,
	}).ParseFiles(filepath.Join("testdata", "configuration.md.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, nil); err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// general is what a key is called where it stands for all instances.
func (k key) general() string {
	if k.instance.name == "" {
		return k.name
	}
	return "NAME_" + k.tag.Get("key")
}

// describeKeys is a list of the keys of a struct.
func describeKeys(described map[string]string, of string) string {
	var b strings.Builder
	seen := make(map[string]bool)
	for _, k := range keysOf(&Config{}) {
		if parent, _, _ := strings.Cut(k.field, "."); parent == of && !seen[k.field] {
			seen[k.field] = true
			b.WriteString(wrap("- ", "  ", "**`"+k.general()+"`** ("+k.facts()+"): "+
				described[k.field], docWidth))
		}
	}
	return b.String()
}

// facts are whether a key is required, its default and its bounds.
func (k key) facts() string {
	var facts []string
	if d := k.tag.Get("default"); d != "" {
		facts = append(facts, "default `"+d+"`")
	} else if !k.required() {
		facts = append(facts, "optional")
	} else {
		facts = append(facts, "required")
	}
	if low := k.tag.Get("min"); low != "" {
		facts = append(facts, low+" to "+k.tag.Get("max"))
	}
	if one := k.tag.Get("oneof"); one != "" {
		facts = append(facts, k.wanted())
	}
	return strings.Join(facts, "; ")
}

func describeInstances(described map[string]string, kind string) string {
	var b strings.Builder
	var last instance
	for _, k := range keysOf(&Config{}) {
		if k.instance.kind == kind && k.instance != last {
			last = k.instance
			b.WriteString(wrap("- ", "  ", "**`"+last.name+"`**: "+described[last.field], docWidth))
		}
	}
	return b.String()
}

// nameSecrets names all keys that are secrets, as the subject of a sentence.
func nameSecrets() string {
	var names []string
	for _, k := range keysOf(&Config{}) {
		if name := "`" + k.general() + "`"; k.secret() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// TestEveryKeyIsDescribed checks what the documents take from each field.
func TestEveryKeyIsDescribed(t *testing.T) {
	described := docs(t)
	vars := make(map[string]string)
	for _, k := range keysOf(&Config{}) {
		about := described[k.field]
		if about == "" || !strings.HasSuffix(strings.TrimRight(about, ")"), ".") {
			t.Errorf("%s: the comment of %s gives %q, not sentences", k.name, k.field, about)
		}
		if k.required() && k.tag.Get("default") != "" {
			t.Errorf("%s is required and has a default", k.name)
		}
		if k.required() && k.example == "" {
			t.Errorf("%s is required and has no example", k.name)
		}
		if text := cmp.Or(k.example, k.tag.Get("default")); text != "" && !k.set(text) {
			t.Errorf("%s: its own %q is refused", k.name, text)
		}
		if form := k.tag.Get("form"); form != "" && forms[form].read == nil {
			t.Errorf("%s: there is no form %q", k.name, form)
		}
		if other, twice := vars[k.env()]; twice {
			t.Errorf("%s and %s have the same variable", k.name, other)
		}
		vars[k.env()] = k.name
		if k.instance.name != "" && described[k.instance.field] == "" {
			t.Errorf("%s has no comment", k.instance.field)
		}
	}
	if len(vars) < 100 {
		t.Errorf("saw %d keys only", len(vars))
	}
}

// TestExampleLoads loads the example as it is, and again with every default written out.
func TestExampleLoads(t *testing.T) {
	plain, warnings, err := load("example", []byte(example), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	var b strings.Builder
	for line := range strings.Lines(example) {
		if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") &&
			strings.Contains(rest, "=") {
			line = rest
		}
		b.WriteString(line)
	}
	full, warnings, err := load("example", []byte(b.String()), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if d := diff.Diff(lines(plain), lines(full)); d != "" {
		t.Errorf("the defaults in the example are not the defaults (-without +with):\n%s", d)
	}
	if got, want := len(plain.Settings()), len(keysOf(&Config{})); got != want {
		t.Errorf("%d settings, %d keys", got, want)
	}
	for line := range strings.Lines(example) {
		if n := len(strings.TrimSuffix(line, "\n")); n > exampleWidth {
			t.Errorf("a line of %d bytes: %s", n, line)
		}
	}
}
