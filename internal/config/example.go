package config

import (
	_ "embed"
	"strings"
)

//go:embed dbproxyserver.conf.example
var example string

// Example is a configuration file with every key: its description, and its default or an example.
// "go generate" writes it anew.
func Example() string { return example }

// described returns the descriptions of keys by the keys' names, each as one line. Of several
// instances of a kind only the keys of the first are described.
func described() map[string]string {
	found := make(map[string]string)
	var about []string
	for line := range strings.Lines(example) {
		line = strings.TrimSpace(line)
		if text, comment := strings.CutPrefix(line, "# "); comment {
			about = append(about, text)
			continue
		}
		if name, _, isKey := strings.Cut(strings.TrimPrefix(line, "#"), "="); isKey {
			found[name] = strings.Join(about, " ")
		}
		about = nil
	}
	return found
}
