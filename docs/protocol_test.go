package docs_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/server"
)

// protocol reads protocol.md.
func protocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProtocolHasTheLimits holds the tables of limits to the limits that the source has.
func TestProtocolHasTheLimits(t *testing.T) {
	text := protocol(t)
	cfg := server.DefaultConfig()
	for what, want := range map[string]string{
		"a frame, header included": fmt.Sprintf("16 bytes to %d MiB",
			cfg.MaxFrame>>20),
		"connections, of all callers":                         fmt.Sprint(cfg.MaxConns),
		"requests of a connection that wait for their answer": fmt.Sprint(cfg.MaxInFlight),
		"memory of a connection, for requests and answers": fmt.Sprintf("%d in 100 "+
			"(*ConnectionShare*) of %d MiB", cfg.ConnShare, cfg.MaxPending>>20),
		"sending a frame that was begun": fmt.Sprintf("%d KiB/s, "+
			"*MinSendRate*, over %.0f s", cfg.MinSendRate>>10, cfg.RateWindow.Seconds()),
		"taking answers that wait": fmt.Sprintf("%d KiB/s, "+
			"*MinTakeRate*, over %.0f s", cfg.MinTakeRate>>10, cfg.RateWindow.Seconds()),
		"silence of a caller": fmt.Sprintf("%.0f s",
			cfg.IdleTimeout.Seconds()),
		"silence of the proxy": fmt.Sprintf("%.0f s",
			cfg.HeartbeatEvery.Seconds()),
		"a request": fmt.Sprintf("%.0f s",
			cfg.RequestTimeout.Seconds()),
		"stopping": fmt.Sprintf("%.0f s",
			cfg.DrainTimeout.Seconds()),
		"text of a message": fmt.Sprintf("%d characters",
			chat.MaxContent),
		"ids of messages in a talk": fmt.Sprint(chat.MaxMsgID),
		"login name": fmt.Sprintf("%d characters",
			chat.MaxUserName),
		"failed logins of a name": fmt.Sprintf("%d within %.0f minutes",
			chat.LockoutFailures, chat.LockoutWindow.Minutes()),
		"signature": fmt.Sprintf("%d bytes",
			chat.MaxSignature),
		"avatar of a user": fmt.Sprintf("%d characters",
			chat.MaxAvatar),
		"push token": fmt.Sprintf("%d characters",
			chat.MaxToken),
		"name of a group, its avatar": fmt.Sprintf("%d characters each",
			chat.MaxGroupName),
		"name of an offline file": fmt.Sprintf("%d characters",
			chat.MaxFileName),
		"task id of an offline file": fmt.Sprintf("%d characters",
			chat.MaxTaskID),
		"a page, messages by id": fmt.Sprintf("%d MiB",
			chat.MaxAnswer>>20),
	} {
		if !strings.Contains(text, "\n| "+what+" | "+want) {
			t.Errorf("protocol.md has no row | %s | %s", what, want)
		}
	}
	configuration, err := os.ReadFile("configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, limits, _ := strings.Cut(text, "## Limits and clocks")
	limits, _, _ = strings.Cut(limits, "## The order of lists")
	named := regexp.MustCompile(`\*([A-Z]\w+)\*`).FindAllStringSubmatch(limits, -1)
	for _, name := range named {
		if !strings.Contains(string(configuration), "**`"+name[1]+"`**") {
			t.Errorf("protocol.md names %s, which is no key", name[1])
		}
	}
	if len(named) < 10 {
		t.Errorf("%d keys are named", len(named))
	}
}

// TestProtocolEncryptsAsItSays encrypts the examples of encrypted texts.
func TestProtocolEncryptsAsItSays(t *testing.T) {
	_, rows, _ := strings.Cut(protocol(t), "| text | is sent as |\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	examples := regexp.MustCompile("(?m)^\\| `(.+)` \\| `(.+)` \\|$").FindAllStringSubmatch(rows,
		-1)
	texts, err := chat.NewTextCipher("12345678901234567890123456789012")
	if err != nil || len(examples) != 3 {
		t.Fatalf("%d examples, %v", len(examples), err)
	}
	for _, e := range examples {
		if got := texts.Encrypt(e[1]); got != e[2] {
			t.Errorf("%s is sent as %s, not %s", e[1], got, e[2])
		}
	}
}
