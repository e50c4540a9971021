package config

import (
	"reflect"
	"strings"
)

// What the names of environment variables begin with, and what the names of keys and variables end with that name a file
// instead of a secret.
const (
	envPrefix  = "DBPROXY_"
	fileSuffix = "_FILE"
)

// key is a key of the file, with the field that takes its value.
type key struct {
	name     string // in the file: "unread_host"
	instance string // "unread"; empty for keys of no instance
	field    string // "Cache.Host"
	tag      reflect.StructTag
	example  string // what an example has; empty: nothing but the default
	value    reflect.Value
}

func (k key) required() bool { return k.tag.Get("required") == "true" }
func (k key) secret() bool   { return k.value.Type() == reflect.TypeFor[Secret]() }

// env is the environment variable that overrides the key.
func (k key) env() string { return envPrefix + strings.ToUpper(k.name) }

// keysOf are all keys, in the order of their declarations, with their values in c.
func keysOf(c *Config) (keys []key) {
	walk(reflect.ValueOf(c).Elem(), "", "", func(k key) { keys = append(keys, k) })
	return keys
}

// walk calls visit for every key of a struct and those within it. The example is what an instance has for one of its
// keys: "db=1".
func walk(s reflect.Value, instance, example string, visit func(key)) {
	for i := range s.NumField() {
		f := s.Type().Field(i)
		name, isKey := f.Tag.Lookup("key")
		switch {
		case isKey:
			k := key{
				name: name, instance: instance, field: s.Type().Name() + "." + f.Name,
				tag: f.Tag, example: f.Tag.Get("example"), value: s.Field(i),
			}
			if of, value, _ := strings.Cut(example, "="); of == name {
				k.example = value
			}
			if instance != "" {
				k.name = instance + "_" + name
			}
			visit(k)
		case f.Tag.Get("instance") != "":
			walk(s.Field(i), f.Tag.Get("instance"), f.Tag.Get("example"), visit)
		case f.IsExported() && f.Type.Kind() == reflect.Struct:
			walk(s.Field(i), instance, example, visit)
		}
	}
}

// instancesOf are the names of all instances of a type, Database or Cache, in the order of their declarations.
func instancesOf[T Database | Cache]() (names []string) {
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.Type == reflect.TypeFor[T]() {
			names = append(names, f.Tag.Get("instance"))
		}
	}
	return names
}
