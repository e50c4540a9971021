package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/spelling"
)

// Lookup finds a request as people name it: by its message's name in any case, with or without the
// IM before it and the Req after it, or by its command id (0x0204). Of an unknown name the error
// suggests the nearest.
func Lookup(name string) (Entry, error) {
	id := commandID(name)
	want := short(name)
	for _, e := range Entries() {
		if e.Command == id || short(e.Name()) == want {
			return e, nil
		}
	}
	if e, ok := LookupAnswer(name); ok {
		return Entry{}, fmt.Errorf("%s is an answer; its request is %s", name, e.Name())
	}
	if near := nearest(want); len(near) > 0 {
		return Entry{}, fmt.Errorf("unknown request %q; did you mean %s?", name,
			strings.Join(near, " or "))
	}
	return Entry{}, fmt.Errorf("unknown request %q", name)
}

// LookupAnswer finds the request that is answered by a message of that name, in any case, or
// command id.
func LookupAnswer(name string) (Entry, bool) {
	id := commandID(name)
	for _, e := range Entries() {
		if e.Answer != nil && (e.AnswerCommand == id || strings.EqualFold(Name(e.Answer), name)) {
			return e, true
		}
	}
	return Entry{}, false
}

// commandID reads a command id such as 0x0204; 0, which is none, if it is something else.
func commandID(text string) uint16 {
	id, err := strconv.ParseUint(text, 0, 16)
	if err != nil {
		return 0
	}
	return uint16(id)
}

// short returns a request's name in lower case, without the beginning and end that all have.
func short(name string) string {
	s := strings.ToLower(name)
	return strings.TrimSuffix(strings.TrimPrefix(s, "im"), "req")
}

// nearest returns the names of up to three requests whose names contain the wanted one or are a few
// typing mistakes away, the nearest first.
func nearest(want string) []string {
	type candidate struct {
		name     string
		mistakes int
	}
	var found []candidate
	for _, e := range Entries() {
		have := short(e.Name())
		n := spelling.Slips(want, have)
		if len(want) >= 3 && strings.Contains(have, want) {
			n = min(n, 1)
		}
		if n <= max(1, len(want)/3) {
			found = append(found, candidate{e.Name(), n})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Compare(a.mistakes, b.mistakes)
	})
	var names []string
	for _, c := range found[:min(3, len(found))] {
		names = append(names, c.name)
	}
	return names
}
