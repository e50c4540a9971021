package config

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// hidden is what stands for a secret wherever it would be shown.
const hidden = "(hidden)"

// maxShown is how many bytes of a wrong value are shown.
const maxShown = 100

// shown returns a value for a message, in quotes and without what may be a secret in it. Secrets
// may stand before an "@" and behind a "?", as in URLs, and behind a "=", which may be that of
// another key whose line was joined to this one.
func shown(text string) string { return strconv.Quote(unsecret(text)) }

// unsecret is shown without the quotes.
func unsecret(text string) string {
	if at := strings.LastIndex(text, "@"); at >= 0 {
		scheme, _, found := strings.Cut(text[:at], "://")
		if found {
			scheme += "://"
		} else {
			scheme = ""
		}
		text = scheme + hidden + text[at:]
	}
	for _, begin := range []string{"?", "="} {
		if before, _, found := strings.Cut(text, begin); found {
			text = before + begin + hidden
		}
	}
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "..."
	}
	return text
}

// Secret is a password or key. Where it is printed, logged or encoded, alone or as an exported
// field, it shows as "(hidden)", or as nothing when it is empty. Only Reveal returns what it is.
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
