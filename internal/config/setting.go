package config

import "slices"

// Setting is a key that is used, and what holds for it.
type Setting struct {
	Key   string
	Value string // as it would stand in the file; "(hidden)" for secrets
	// From is "line 7" or "DBPROXY_LISTENPORT", with a secret's file behind it; "" for the default.
	From string
}

// Settings are all keys that are used, in the order of docs/configuration.md. They have no secrets.
func (c *Config) Settings() []Setting { return slices.Clone(c.settings) }

// Given reports whether a key was set, in the file or by its variable. Else its default holds.
func (c *Config) Given(key string) bool {
	return slices.ContainsFunc(c.settings, func(s Setting) bool {
		return s.Key == key && s.From != ""
	})
}
