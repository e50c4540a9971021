package checkup

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/voice"
)

// CheckMsfs reports whether msfs answers. One that is down is doubtful, not wrong: all but voice
// messages work without it.
func CheckMsfs(ctx context.Context, m *voice.Msfs) Finding {
	answered, err := m.Probe(ctx)
	if err != nil {
		text := "voice messages are refused, and old ones have no sound: " + err.Error()
		return Doubt("reachable", text, m.Mend(err))
	}
	return Goodf("reachable", "it answers %s", answered)
}
