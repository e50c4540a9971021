package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// sayWhatToTry tells people who started "serve --demo" where they are and what to type next. What
// it prints works as it stands, from the same directory.
func sayWhatToTry(w io.Writer, data, addr string, filled company.State) {
	where, err := filepath.Abs(data)
	if err != nil {
		where = data
	}
	who := fmt.Sprintf("%d, who were there already: nothing was added", len(filled.People))
	if filled.Made {
		who = fmt.Sprintf("%d, made up, each with the password %q",
			len(filled.People), company.Password)
	}
	self, at, in := terminal.ShellWord(os.Args[0]), "", ""
	if addr != defaultAddr {
		at = " --addr " + addr
	}
	if data != "./data" {
		in = " --data " + terminal.ShellWord(data)
	}
	try := []string{
		"demo" + at,
		"chat" + at + " --as ann",
		"call" + at + ` IMUsersInfoReq '{"user_id":1,"user_id_list":[1,2]}'`,
	}
	if !filled.Complete {
		try = []string{
			"user list" + in,
			"chat" + at + " --as " + terminal.ShellWord(filled.People[0]),
			"tail" + in,
		}
	}
	var text strings.Builder // written in one go, as the log may write to the same terminal
	fmt.Fprintf(&text, `
  dbproxy listens on  %s
  its data is in      %s
  its people          %s

  Try, in another terminal:

`, addr, where, who)
	for _, t := range try {
		fmt.Fprintf(&text, "    %s %s\n", self, t)
	}
	text.WriteString("\n  Ctrl-C stops it.\n\n")
	_, _ = io.WriteString(w, text.String()) // nobody needs to read it
}

// defaultAddr is where a proxy listens, and where commands look for one, when nobody says
// otherwise.
const defaultAddr = "127.0.0.1:10600"
