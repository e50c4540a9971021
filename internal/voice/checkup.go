package voice

import (
	"cmp"
	"context"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// Checkup is Check as a finding. A file server that is down is doubtful, not wrong: all but voice messages work without.
func (m *Msfs) Checkup(ctx context.Context) checkup.Finding {
	answered, err := m.Check(ctx)
	if err != nil {
		mend := cmp.Or(descriptors.Mend(err), "start it, or mend MsfsSite")
		return checkup.Doubt("reachable", "voice messages are refused, and old ones have no sound: "+err.Error(), mend)
	}
	return checkup.Goodf("reachable", "it answers %s", answered)
}
