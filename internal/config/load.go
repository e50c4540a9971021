package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Load reads a configuration file, the environment, which is as os.Environ returns it and overrides
// the file, and flags, which override both; nil: none. Without a path there is no file.
//
// The warnings are ordered by line. The error is an *Error with every mistake, or says why the file
// cannot be read. With an *Error there are fewer warnings: see Error.
func Load(path string, env []string, flags *Flags) (*Config, []Warning, error) {
	var text []byte
	if path != "" {
		var err error
		if text, err = readText(path, maxFile); err == nil && crAlone(text) {
			err = fmt.Errorf("%s has lines that end in CR alone, as old Macs wrote them; "+
				"save it with LF or CRLF", path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("%w; \"dbproxy config example\" prints one to begin with",
				err)
		} else if err != nil {
			return nil, nil, fmt.Errorf("cannot read the configuration: %w", err)
		}
	}
	cfg, warnings, err := loadAll(path, text, env, flags)
	if wrong, ok := errors.AsType[*Error](err); ok {
		warnings = wrong.fitting(warnings)
	}
	return cfg, warnings, err
}

func loadAll(path string, text []byte, env []string, flags *Flags) (*Config, []Warning, error) {
	file := parse(text)
	l := newLoader(path, file, env)
	l.flags = flags
	l.read(l.keys["DBInstances"])
	l.read(l.keys["CacheInstances"])
	l.checkInstances()
	for _, k := range l.order {
		if l.used(k) && k.name != "DBInstances" && k.name != "CacheInstances" {
			l.read(k)
		}
	}
	l.check()
	l.warnOfLines(file)
	l.warnOfUnknown(file.entries)
	l.warnOfReaders(file.entries)
	byLine(l.warnings)
	if len(l.mistakes) > 0 {
		byLine(l.mistakes)
		return nil, l.warnings, &Error{Path: path, Mistakes: l.mistakes}
	}
	l.complete()
	l.config.path = path
	return l.config, l.warnings, nil
}

// The instances that have a meaning of their own here.
const (
	master = "teamtalk_master"
	slave  = "teamtalk_slave"
)

// loader is the state of one Load.
type loader struct {
	sources
	config   *Config
	order    []key             // all there are, in the order of the declarations
	keys     map[string]key    // the same by name
	from     map[string]source // where keys that are given come from
	mistakes []Mistake
	warnings []Warning
	exposed  map[string]bool // files with secrets that others may read, after the warning
}

func newLoader(path string, file parsed, env []string) *loader {
	l := &loader{
		sources: sources{path: path, file: make(map[string]entry), env: variables(env)},
		config:  &Config{}, keys: make(map[string]key), from: make(map[string]source),
		exposed: make(map[string]bool),
	}
	for _, e := range file.entries {
		l.file[e.key] = e
	}
	l.order = keysOf(l.config)
	for _, k := range l.order {
		l.keys[k.name] = k
	}
	return l
}

func (l *loader) mistake(from source, format string, args ...any) {
	l.mistakes = append(l.mistakes, Mistake{from.where, from.line, fmt.Sprintf(format, args...)})
}

func (l *loader) warn(from source, format string, args ...any) {
	l.warnings = append(l.warnings, Warning{from.where, from.line, fmt.Sprintf(format, args...)})
}

// named is whether an instance is in DBInstances or CacheInstances.
func (l *loader) named(instance string) bool {
	return slices.Contains(l.config.DBInstances, instance) ||
		slices.Contains(l.config.CacheInstances, instance)
}

// used is whether a key is of no instance, or of one that is named.
func (l *loader) used(k key) bool { return k.instance.name == "" || l.named(k.instance.name) }

// given reports whether a key has a value, even a wrong one.
func (l *loader) given(name string) bool {
	_, ok := l.from[name]
	return ok
}

// sourceOf returns where a key was set, or the configuration as a whole where it was not.
func (l *loader) sourceOf(name string) source {
	if from, ok := l.from[name]; ok {
		return from
	}
	return source{where: l.whole()}
}

// read gives one key's field its value, or its default.
func (l *loader) read(k key) {
	value, found, err := l.get(k)
	if found {
		l.from[k.name] = value.from
	}
	if file := value.from.file; file != "" {
		l.warnOfReader(value.from, k.name, file)
	}
	switch {
	case err != nil:
		l.mistake(value.from, "%v", err)
	case !found:
		l.absent(k)
	case k.set(value.text):
		if value.from.cut && k.secret() {
			l.warn(value.from, "%s ends at the #, which starts a comment everywhere; a secret "+
				"with # in it goes into %s or %s", k.name, k.name+fileSuffix, k.env())
		}
	case k.secret():
		l.mistake(value.from, "%s must be %s; it has %d", k.name, k.wanted(), len(value.text))
	case k.atoi() && k.set(leading(value.text)):
		l.warn(value.from, "%s is %s, of which the original reads %s, and so does dbproxy; "+
			"write %[1]s=%[3]s", k.name, shown(value.text), k.text())
	default:
		l.mistake(value.from, "%s is %s; it must be %s%s",
			k.name, shown(value.text), k.wanted(), k.suchAs())
	}
}

// suchAs names a good value where wanted does not name one.
func (k key) suchAs() string {
	good := cmp.Or(k.example, k.tag.Get("default"))
	if good == "" || k.tag.Get("oneof") != "" || k.tag.Get("sep") != "" ||
		strings.Contains(k.wanted(), "such as") {
		return ""
	}
	return ", such as " + good
}

// absent gives the field of a key without a value its default, or notes the mistake.
func (l *loader) absent(k key) {
	if !k.required() {
		if d := k.tag.Get("default"); d != "" {
			k.set(d)
		}
		return
	}
	if key := k.tag.Get("key"); (key == "host" || key == "port") && l.elsewhere(k.instance.name) {
		return
	}
	good := k.example
	if k.secret() {
		good = "..."
	}
	l.mistake(source{where: l.whole()}, "%s is missing; add %s=%s", k.name, k.name, good)
}

// elsewhere reports whether an instance is not found by its host and port: a cache instance by
// Sentinels or as a Cluster, or a database by its socket.
func (l *loader) elsewhere(instance string) bool {
	if strings.HasPrefix(l.keys[instance+"_host"].value.String(), "/") {
		return true
	}
	for _, name := range []string{instance + "_sentinels", instance + "_cluster"} {
		if k, known := l.keys[name]; known {
			if _, given, _ := l.get(k); given {
				return true
			}
		}
	}
	return false
}

// complete fills in what is taken from other keys, and notes where everything comes from.
func (l *loader) complete() {
	c := l.config
	for _, d := range []*Database{&c.Master, &c.Slave} {
		if d.MaxIdle == 0 {
			d.MaxIdle = d.MaxConns
		}
	}
	for _, k := range l.order {
		if l.used(k) {
			from := l.from[k.name]
			c.settings = append(c.settings, Setting{Key: k.name, Value: k.text(), From: from.short})
		}
	}
	if !l.named(slave) {
		c.Slave = c.Master
	}
}

// LoadAESKey reads the key of texts alone, for commands that show texts and use no servers. Other
// mistakes in the configuration do not matter to it.
func LoadAESKey(path string, env []string) (Secret, error) {
	text, err := readSmall(path, maxFile)
	if err != nil {
		return "", err
	}
	l := newLoader(path, parse(text), env)
	l.read(l.keys["aesKey"])
	if len(l.mistakes) > 0 {
		return "", &Error{Path: path, Mistakes: l.mistakes}
	}
	return l.config.AESKey, nil
}
