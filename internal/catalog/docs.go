package catalog

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	protofiles "github.com/teamtalk-go/dbproxy/proto"
)

// Docs has the comments of the .proto files, by the full names of the messages, fields, enums and
// enum values that they describe. Each is one line of plain text.
type Docs map[protoreflect.FullName]string

// Of is the comment of a message, field, enum or enum value; empty when it has none.
func (d Docs) Of(declared protoreflect.Descriptor) string { return d[declared.FullName()] }

// ReadDocs reads the comments of all messages of the protocol.
func ReadDocs() (Docs, error) {
	names, err := fs.Glob(protofiles.Files, "*.proto")
	if err != nil {
		return nil, err
	}
	docs := Docs{}
	for _, name := range names {
		text, err := protofiles.Files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := docs.add(text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return docs, nil
}

// What a line of a .proto file can be, besides a comment or an empty line.
var (
	ignored     = regexp.MustCompile(`^(syntax|import|option)\b`)
	packageLine = regexp.MustCompile(`^package ([\w.]+);$`)
	opening     = regexp.MustCompile(`^(message|enum) (\w+) \{(\})?$`)
	field       = regexp.MustCompile(
		`^(?:required|optional|repeated) [\w.]+ (\w+) = \d+( \[.*\])?;$`)
	enumValue = regexp.MustCompile(`^(\w+) = \w+;$`)
)

// add adds the comments of one file. It understands only what these files use, in the layout that
// buf gives them: one declaration a line, its comment in the lines right above it, and nothing
// nested.
func (d Docs) add(file []byte) error {
	// scope is the full name of the message or enum to which the lines belong.
	var pkg, kind, scope string
	var comment []string
	lines := bufio.NewScanner(bytes.NewReader(file))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if text, ok := strings.CutPrefix(line, "//"); ok {
			comment = append(comment, strings.TrimSpace(text))
			continue
		}
		about := strings.Join(comment, " ")
		comment = nil
		if m := opening.FindStringSubmatch(line); m != nil && scope == "" {
			kind, scope = m[1], pkg+"."+m[2]
			d[protoreflect.FullName(scope)] = about
			if m[3] != "" {
				scope = ""
			}
		} else if m := field.FindStringSubmatch(line); m != nil && scope != "" &&
			kind == "message" {
			d[protoreflect.FullName(scope+"."+m[1])] = about
		} else if m := enumValue.FindStringSubmatch(line); m != nil && scope != "" &&
			kind == "enum" {
			// The full name of a value does not have the name of its enum in it.
			d[protoreflect.FullName(pkg+"."+m[1])] = about
		} else if m := packageLine.FindStringSubmatch(line); m != nil {
			pkg = m[1]
		} else if line == "}" && scope != "" {
			scope = ""
		} else if line != "" && !ignored.MatchString(line) {
			return fmt.Errorf("line %d: cannot read %q", n, line)
		}
	}
	return lines.Err()
}
