package redis

import (
	"context"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Strangers returns who else is connected to the databases of the instances than proxies and
// commands of ours, and why it is not known of some instances. unnamed is whether a server gives
// our connections no name: then proxies are among those found, all but this process.
func (r *Copy) Strangers(
	ctx context.Context,
) (found []link.Client, unnamed bool, unknown []error) {
	var all, own []link.Client
	for _, l := range r.links {
		some, asking, err := l.Strangers(ctx)
		if err != nil {
			unknown = append(unknown, err)
		}
		all, own = append(all, some...), append(own, asking...)
	}
	for _, c := range all { // two links to one server find the same
		if !slices.ContainsFunc(own, c.Same) && !slices.ContainsFunc(found, c.Same) {
			found = append(found, c)
		}
	}
	unnamed = slices.ContainsFunc(own, func(c link.Client) bool { return c.Name == "" })
	return found, unnamed, unknown
}
