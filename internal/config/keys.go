package config

import (
	"cmp"
	"reflect"
	"strconv"
	"strings"
)

// envPrefix begins the names of environment variables. fileSuffix ends the names of keys and
// variables that name the file of a secret.
const (
	envPrefix  = "DBPROXY_"
	fileSuffix = "_FILE"
)

// instance is a database or Redis with keys of its own; the zero instance is the proxy as a whole.
type instance struct {
	name    string // "unread"
	field   string // "Config.Unread"
	kind    string // "Cache"
	example string // what it has, in an example, for one of its keys: "db=1"
}

// key is a key of the file, with the field that takes its value.
type key struct {
	name     string // in the file: "unread_host"
	instance instance
	field    string // "Cache.Host"
	tag      reflect.StructTag
	example  string // what an example has; empty: nothing but the default
	value    reflect.Value
}

func (k key) required() bool {
	return cmp.Or(k.tag.Get("required"), strconv.FormatBool(k.tag.Get("example") != "")) == "true"
}
func (k key) atoi() bool   { return k.tag.Get("atoi") == "true" }
func (k key) secret() bool { return k.value.Type() == reflect.TypeFor[Secret]() }

// env is the environment variable that overrides the key.
func (k key) env() string { return envPrefix + strings.ToUpper(k.name) }

// keysOf are all keys, in the order of their declarations, with their values in c.
func keysOf(c *Config) (keys []key) {
	walk(reflect.ValueOf(c).Elem(), instance{}, func(k key) { keys = append(keys, k) })
	return keys
}

// walk calls visit for every key of a struct and those within it.
func walk(s reflect.Value, in instance, visit func(key)) {
	for i := range s.NumField() {
		f := s.Type().Field(i)
		name, isKey := f.Tag.Lookup("key")
		switch {
		case isKey:
			name = cmp.Or(name, f.Name)
			k := key{
				name: name, instance: in, field: s.Type().Name() + "." + f.Name,
				tag: f.Tag, example: f.Tag.Get("example"), value: s.Field(i),
			}
			if of, value, _ := strings.Cut(in.example, "="); of == name {
				k.example = value
			}
			if in.name != "" {
				k.name = in.name + "_" + name
			}
			visit(k)
		case f.Tag.Get("instance") != "":
			of := instance{f.Tag.Get("instance"), s.Type().Name() + "." +
				f.Name, f.Type.Name(), f.Tag.Get("example")}
			walk(s.Field(i), of, visit)
		case f.IsExported() && f.Type.Kind() == reflect.Struct:
			walk(s.Field(i), in, visit)
		}
	}
}

// instancesOf are the names of all instances of a type, Database or Cache, in the order of their
// declarations.
func instancesOf[T Database | Cache]() (names []string) {
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.Type == reflect.TypeFor[T]() {
			names = append(names, f.Tag.Get("instance"))
		}
	}
	return names
}
