package link

import "strings"

// echo is how a server begins to repeat the arguments of a command that it does not know. Those of
// AUTH and HELLO hold the password.
const echo = ", with args beginning with:"

// hushed is an error without these arguments.
type hushed struct{ error }

// Hush returns an error without the arguments that a server repeats. It returns any other error as
// it is.
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
