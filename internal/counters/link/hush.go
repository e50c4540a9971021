package link

import "strings"

// echo begins what a server says of the arguments of a command that it does not know. Of AUTH and
// HELLO they have the password.
const echo = ", with args beginning with:"

// hushed is an error without that.
type hushed struct{ error }

// Hush is an error without the arguments that a server echoes; any other is returned as it is.
func Hush(err error) error {
	if err != nil && strings.Contains(err.Error(), echo) {
		return hushed{err}
	}
	return err
}

func (h hushed) Error() string {
	text, _, _ := strings.Cut(h.error.Error(), echo)
	return text
}

func (h hushed) Unwrap() error { return h.error }
