package config

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

// declarations is the source of the struct, whose comments describe the keys.
//
//go:embed config.go
var declarations string

// docs has the comments of the fields in config.go, by "Type.Field", as text for people: one line, and without the
// field's name.
func docs() (map[string]string, error) {
	mode := parser.ParseComments | parser.SkipObjectResolution
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", declarations, mode)
	if err != nil {
		return nil, err
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
	return found, nil
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

// Example is a configuration file with every key: its description, and its default or an example. The keys of a kind of
// instance are described once.
func Example() (string, error) {
	described, err := docs()
	if err != nil {
		return "", fmt.Errorf("reading the descriptions of the keys: %w", err)
	}
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
	return b.String(), nil
}

// line is the key as a line of a file: set, if it must be, else commented with its default.
func (k key) line() string {
	if k.required() {
		return k.name + "=" + k.example
	}
	return "#" + k.name + "=" + k.tag.Get("default")
}

// wrap breaks text into lines of at most width places; the first begins with first, the others with rest.
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
