package chat

import (
	"strings"
	"unicode/utf8"
)

// Limits of texts, in characters unless it says bytes: the widths of their columns. And other
// limits of requests and answers.
const (
	MaxContent     = 4096 // of a message
	MaxSignature   = 128  // bytes
	MaxAvatar      = 255  // of a user
	MaxGroupName   = 256
	MaxGroupAvatar = 256
	MaxFileName    = 4096
	MaxTaskID      = 128
	MaxUserName    = 32
	MaxToken       = 512
	MaxAnswer      = 4 << 20 // bytes of a page, which is cut there; all other lists are whole
	maxMembers     = 200_000 // of a group, in one request
	maxAsked       = 200_000 // users asked about in one request
	maxByID        = 100     // messages in an answer to a request by id
)

// checkText refuses a text that a column of max characters would not give back as it came. what
// names the text.
func checkText(what, text string, max int) error {
	switch {
	case !utf8.ValidString(text):
		return Errorf(Invalid, "%s is not valid UTF-8", what)
	case strings.IndexByte(text, 0) >= 0:
		return Errorf(Invalid, "%s has a NUL", what)
	case len(text) > max && utf8.RuneCountInString(text) > max:
		return Errorf(Invalid, "%s is longer than %d characters", what, max)
	}
	return nil
}
