package config

import (
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Flag is one of the Limits as a flag of a command line, with the bounds and the default of its
// key. It implements pflag.Value.
type Flag struct {
	Name  string // "max-pending", for MaxPending
	Usage string // the first sentence of what docs/configuration.md says of the key
	key   key
	given string // what it was set to; empty: it was not
}

// Flags are all limits that have a flag: those without a tag `flag:"-"`.
type Flags struct {
	Each   []*Flag
	limits *Limits // their defaults, and what was given
}

// LimitFlags returns the flags, none of which is given yet.
func LimitFlags() *Flags {
	about := described()
	f := &Flags{limits: &Limits{}}
	walk(reflect.ValueOf(f.limits).Elem(), instance{}, func(k key) {
		k.set(k.tag.Get("default"))
		if k.tag.Get("flag") != "-" {
			f.Each = append(f.Each, &Flag{Name: flagName(k.name), Usage: flagUsage(about[k.name]),
				key: k})
		}
	})
	for _, one := range f.Each {
		for _, other := range f.Each {
			one.Usage = strings.ReplaceAll(one.Usage, other.key.name, FlagOf(other.key.name))
		}
	}
	return f
}

// FlagOf is the flag of one of the Limits, by its key: "--max-pending" for "MaxPending".
func FlagOf(key string) string { return "--" + flagName(key) }

// Limits returns the defaults with what was given. It fails when they do not fit together.
func (f *Flags) Limits() (Limits, error) {
	wrong := f.limits.wrong(func(key string) (name, value string) {
		return FlagOf(key), f.of(key).String()
	})
	if wrong != "" {
		return *f.limits, errors.New(wrong)
	}
	return *f.limits, nil
}

// of returns the flag of a key; nil where there is none. A nil *Flags has none.
func (f *Flags) of(key string) *Flag {
	if f != nil {
		for _, one := range f.Each {
			if one.key.name == key {
				return one
			}
		}
	}
	return nil
}

// find returns the value of a key's flag, which counts before the environment and the file.
func (f *Flags) find(name string) (raw, bool) {
	one := f.of(name)
	if one == nil || one.given == "" {
		return raw{}, false
	}
	return raw{one.given, source{kind: ofFlags, where: FlagOf(name), short: FlagOf(name)}}, true
}

// Set implements pflag.Value. The error says what is wanted.
func (f *Flag) Set(text string) error {
	if !f.key.set(text) {
		return errors.New("it must be " + f.key.wanted() + f.key.suchAs())
	}
	f.given = text
	return nil
}

// String implements pflag.Value: what holds, as it would stand in the file.
func (f *Flag) String() string {
	if f == nil || !f.key.value.IsValid() { // pflag asks zero values, too
		return ""
	}
	return f.key.text()
}

// Type implements pflag.Value: in a word, what is wanted.
func (f *Flag) Type() string {
	switch f.key.value.Interface().(type) {
	case time.Duration:
		return "time"
	case Size:
		return "size"
	case Types:
		return "numbers"
	default:
		return "number"
	}
}

// flagName is "max-pending" for MaxPending.
func flagName(key string) string {
	var b strings.Builder
	for i, r := range key {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// flagUsage returns the first sentence of a description as help has it: it begins with a small
// letter and has no full stop.
func flagUsage(description string) string {
	first, _, _ := strings.Cut(strings.TrimSuffix(description, "."), ". ")
	if first == "" {
		return ""
	}
	return strings.ToLower(first[:1]) + first[1:]
}
