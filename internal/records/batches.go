package records

import (
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// batches are the queries to one server that requests share, by their shape.
type batches struct {
	names  sqldb.Shared[string, chat.User]
	groups sqldb.Shared[uint32, foundGroup]
	last   sqldb.Shared[chat.Talk, chat.Newest]
	all    sqldb.Shared[int, everybody] // by the limit of the list, in bytes
}

// everybody is the list of all people, or why there is none. Callers share it; nobody changes it.
type everybody struct {
	users []chat.User
	err   error
}

func newBatches(r reader, most int) *batches {
	return &batches{
		names:  sqldb.Shared[string, chat.User]{Find: r.findNames, Most: most},
		groups: sqldb.Shared[uint32, foundGroup]{Find: r.findGroups, Most: most},
		all:    sqldb.Shared[int, everybody]{Find: r.findEverybody, Most: 1}, // the list is long
	}
}

// wait returns when no shared query runs any more, also none whose requests have all ended.
func (b *batches) wait() {
	for _, shared := range []interface{ Wait() }{
		&b.names, &b.groups, &b.all,
	} {
		shared.Wait()
	}
}
