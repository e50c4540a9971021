package records

import "unicode/utf8"

// byText calls find for texts that are looked up in a column, in as few calls as suit: see chunked.
// A column may be of a character set that lacks a character of some text. MySQL then refuses the
// whole statement, though it only means that no row can have that text. So find is called again for
// fewer and fewer of them, and for those texts never with success.
func byText(d dialect, texts []string, find func(texts []string) error) error {
	return chunked(texts, func(some []string) error { return byTextHalves(d, some, find) })
}

func byTextHalves(d dialect, texts []string, find func([]string) error) error {
	err := find(texts)
	switch half := len(texts) / 2; {
	case err == nil || !d.lacksCharacter(err):
		return err
	case half > 0:
		if err := byTextHalves(d, texts[:half], find); err != nil {
			return err
		}
		return byTextHalves(d, texts[half:], find)
	case isASCII(texts[0]): // which every character set has: something else is wrong
		return err
	default:
		return nil
	}
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
