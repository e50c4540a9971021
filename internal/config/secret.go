package config

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what stands for a secret wherever it would be shown.
const hidden = "(hidden)"

// Secret is a password or key. Printing, logging and encoding it, or what has it in an exported field, shows
// "(hidden)", or nothing when it is empty; only Reveal gives it away.
type Secret string

// Reveal returns the secret itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// String is "(hidden)", or empty when the secret is.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// Format writes String, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for JSON and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
