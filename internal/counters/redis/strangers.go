package redis

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Strangers returns who else is connected to the databases of the instances than proxies and
// commands of ours, and why it is not known of some instances.
func (r *Copy) Strangers(ctx context.Context) (found []link.Client, unknown []error) {
	for _, l := range r.links {
		some, err := l.Strangers(ctx)
		if err != nil {
			unknown = append(unknown, err)
		}
		found = append(found, some...)
	}
	return found, unknown
}
