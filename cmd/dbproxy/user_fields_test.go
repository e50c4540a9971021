package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// TestEveryFieldOfAPersonIsShown: what the table of fields does not write itself names them all.
func TestEveryFieldOfAPersonIsShown(t *testing.T) {
	text, err := json.Marshal(newUserJSON(chat.User{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range chat.UserFields() {
		if !strings.Contains(string(text), `"`+f.Name+`":`) {
			t.Errorf("the JSON of a person lacks %s: %s", f.Name, text)
		}
		if !strings.Contains(userFields, f.Name) {
			t.Errorf("the help on that JSON lacks %s", f.Name)
		}
		if !f.Own && !strings.Contains(userImportCommand().Long, "\n  "+f.Name+" ") {
			t.Errorf("the help on CSV files lacks %s", f.Name)
		}
	}
}
