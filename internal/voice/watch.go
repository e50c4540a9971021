package voice

import (
	"context"
	"log/slog"
	"time"
)

// watchEvery is the time between two probes of a file server that is away.
const watchEvery = time.Second

// Watch probes msfs at once, and again whenever something has failed there, until it is well. It
// says in the log when msfs is away, and when it is back. It returns when ctx ends.
func (m *Msfs) Watch(ctx context.Context, log *slog.Logger) error {
	m.prober.Suspect()
	var since time.Time // when it went away; zero: it is there
	return m.prober.Run(ctx, watchEvery, func(ctx context.Context) func() bool {
		begun := time.Now()
		_, err := m.Probe(ctx)
		return func() (well bool) {
			switch {
			case ctx.Err() != nil:
			case err != nil && since.IsZero():
				since = begun
				log.Warn("the file server is away; voice messages are refused, "+
					"and old ones have no sound",
					"site", m.Site(), "err", err, "mend", m.Mend(err))
			case err == nil && !since.IsZero():
				log.Info("the file server is back", "site", m.Site(),
					"after", time.Since(since).Round(time.Millisecond))
				since = time.Time{}
			}
			return err == nil
		}
	})
}
