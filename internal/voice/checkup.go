package voice

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

// Checkup is Check as a finding. A file server that is down is doubtful, not wrong: all but voice
// messages work without it.
func (m *Msfs) Checkup(ctx context.Context) checkup.Finding {
	answered, err := m.Check(ctx)
	if err != nil {
		return checkup.Doubt("reachable", "voice messages are refused, and old ones have no sound: "+err.Error(),
			m.Mend(err))
	}
	return checkup.Goodf("reachable", "it answers %s", answered)
}
