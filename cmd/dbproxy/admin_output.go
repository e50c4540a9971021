package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// jsonFlag gives a command that shows something the flag for programs.
func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON, for programs")
}

// showJSON prints a value as JSON.
func showJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

// clock is a time in Unix seconds for people; a dash for none.
func clock(at uint32) string {
	if at == 0 {
		return "-"
	}
	return time.Unix(int64(at), 0).Format(time.DateTime)
}

// orDash is a dash for an empty cell.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// wordFor is the word for a number that counts words from 0; the number where there is none.
func wordFor(n uint32, words ...string) string {
	if int(n) < len(words) {
		return words[n]
	}
	return id(n)
}

// printable is text from elsewhere as it may go to a terminal, exactly what it is.
var printable = terminal.Printable
