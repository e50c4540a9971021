package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
)

// sayWhatToTry tells people who started "serve --demo" where they are and what to type next. What it prints works as it
// stands, from the same directory.
func sayWhatToTry(w io.Writer, data, addr string, filled company.State) {
	where, err := filepath.Abs(data)
	if err != nil {
		where = data
	}
	who := fmt.Sprintf("%d, who were there already: nothing was added", len(filled.People))
	if filled.Made {
		who = fmt.Sprintf("%d, made up, each with the password %q", len(filled.People), company.Password)
	}
	self, at, in := shellWord(os.Args[0]), "", ""
	if addr != defaultAddr {
		at = " --addr " + addr
	}
	if data != "./data" {
		in = " --data " + shellWord(data)
	}
	try := []string{
		"demo" + at,
		"chat" + at + " --as ann",
		"call" + at + ` IMUsersInfoReq '{"user_id":1,"user_id_list":[1,2]}'`,
	}
	if !filled.Complete {
		try = []string{
			"user list" + in,
			"chat" + at + " --as " + shellWord(filled.People[0]),
			"tail" + in,
		}
	}
	fmt.Fprintf(w, "\n  dbproxy listens on  %s\n  its data is in      %s\n  its people          %s\n\n", addr, where, who)
	fmt.Fprintln(w, "  Try, in another terminal:")
	fmt.Fprintln(w)
	for _, t := range try {
		fmt.Fprintf(w, "    %s %s\n", self, t)
	}
	fmt.Fprint(w, "\n  Ctrl-C stops it.\n\n")
}

// defaultAddr is where a proxy listens, and where commands look for one, when nobody says otherwise.
const defaultAddr = "127.0.0.1:10600"

// shellWord quotes a word for a shell where it needs that.
func shellWord(word string) string {
	special := func(r rune) bool {
		return r < 0x80 && !strings.ContainsRune("/._-+:@%,", r) && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
