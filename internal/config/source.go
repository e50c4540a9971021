package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// The limits of a configuration and of a file with a secret, in bytes. A larger file is none.
const (
	maxFile   = 1 << 20
	maxSecret = 64 << 10
)

// origin is the kind of a source. A greater one overrides a lesser one.
type origin int

const (
	ofDefaults origin = iota
	ofFile
	ofEnv
	ofFlags
)

// source is where a value comes from.
type source struct {
	kind  origin
	where string // for messages: "dbproxyserver.conf:7", "DBPROXY_LISTENPORT"
	line  int    // of the file; 0: of none
	short string // for tables: "line 7", "DBPROXY_LISTENPORT"; behind it the secret's file
	cut   bool   // the value ends at a "#"
	file  string // the secret's own; empty: it has none
}

// raw is what the file and the environment say about a key.
type raw struct {
	text string
	from source
}

// sources are the flags, the environment and the file.
type sources struct {
	flags *Flags // may be nil
	path  string
	file  map[string]entry  // by key
	env   map[string]string // by variable; only ours, without empty ones
}

// variables returns those of an environment that configure us, by name. The environment is as
// os.Environ returns it; of equal names the first counts, as for os.Getenv.
func variables(env []string) map[string]string {
	found := make(map[string]string)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if _, twice := found[name]; !twice && strings.HasPrefix(name, envPrefix) && value != "" {
			found[name] = value
		}
	}
	return found
}

// inFile returns the value of a key in the file. inEnv returns the value of a variable.
func (s sources) inFile(name string) (raw, bool) {
	e, ok := s.file[name]
	from := s.at(e.line)
	from.cut = e.cut
	return raw{e.value, from}, ok
}

func (s sources) inEnv(name string) (raw, bool) {
	v, ok := s.env[name]
	return raw{v, source{kind: ofEnv, where: name, short: name}}, ok
}

// at is a line of the file.
func (s sources) at(line int) source {
	return source{kind: ofFile, where: fmt.Sprintf("%s:%d", s.path, line), line: line,
		short: fmt.Sprintf("line %d", line)}
}

// whole is where something is missing, for messages.
func (s sources) whole() string {
	if s.path == "" {
		return "the environment"
	}
	return s.path
}

// get returns the value that counts for a key. Its flag overrides the environment, which overrides
// the file. A secret may stand in a file of its own, whose path starts from the configuration's
// directory when the configuration names it, else from the working directory.
func (s sources) get(k key) (value raw, found bool, err error) {
	if value, found = s.flags.find(k.name); found {
		return value, true, nil
	}
	for _, from := range []struct {
		get  func(string) (raw, bool)
		name string
	}{{s.inEnv, k.env()}, {s.inFile, k.name}} {
		value, found = from.get(from.name)
		if k.secret() {
			if file, named := from.get(from.name + fileSuffix); named && found {
				return file, true, fmt.Errorf("%s is given twice; remove %s or %s%s", k.name,
					from.name, from.name, fileSuffix)
			} else if named {
				if file.from.line > 0 && !filepath.IsAbs(file.text) {
					file.text = filepath.Join(filepath.Dir(s.path), file.text)
				}
				return readSecret(k.name, file)
			}
		}
		if found {
			return value, true, nil
		}
	}
	return raw{}, false, nil
}

// readSecret reads the file that a key's _FILE names. Its trailing newline does not belong to the
// secret.
func readSecret(name string, file raw) (value raw, found bool, err error) {
	text, err := readText(file.text, maxSecret)
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case err != nil:
		return file, true, fmt.Errorf("%s cannot be read: %w; name a file that the proxy may read",
			name, err)
	case secret == "":
		return file, true, fmt.Errorf("%s cannot be read: %s is empty; write the secret into it",
			name, file.text)
	}
	file.from.short, file.from.file = file.from.short+", "+file.text, file.text
	file.text = secret
	return file, true, nil
}

// readText is readSmall for text in UTF-8, or in whatever else keeps ASCII. A byte order mark, as
// Windows writes it, does not belong to the text.
func readText(path string, limit int64) ([]byte, error) {
	text, err := readSmall(path, limit)
	if err != nil {
		return nil, err
	}
	if wide(text) {
		return nil, fmt.Errorf("%s is text in UTF-16, which Windows calls Unicode; save it as "+
			"UTF-8", path)
	}
	return bytes.TrimPrefix(text, []byte(mark)), nil
}

// mark is the byte order mark, in UTF-8.
const mark = "\ufeff"

// crAlone reports whether a line of a configuration has a CR in it, outside of comments. What
// follows it belongs to the same line, also for the original.
func crAlone(text []byte) bool {
	for line := range bytes.Lines(text) {
		code, _, commented := bytes.Cut(line, []byte("#"))
		if commented && bytes.HasSuffix(line, []byte("\n")) {
			line = code
		}
		if bytes.ContainsRune(bytes.Trim(line, blanks+"\n"), '\r') {
			return true
		}
	}
	return false
}

// wide reports whether a text is in UTF-16 or UTF-32: it begins with a byte order mark, or every
// other byte of its ASCII is NUL.
func wide(text []byte) bool {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\x00\x00\xfe\xff"} {
		if bytes.HasPrefix(text, []byte(mark)) {
			return true
		}
	}
	return bytes.Count(text, []byte{0}) > len(text)/8
}

// readSmall reads a file that must not be larger than limit.
func readSmall(path string, limit int64) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is larger than %s", path, Size(limit))
	}
	return text, err
}
