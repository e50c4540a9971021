package records

import (
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/talk"
)

// batches are the queries to one server that requests share, by their shape.
type batches struct {
	joins sqldb.Shared[talk.Member, uint32]
	pairs sqldb.Shared[chat.Talk, uint32] // the relations of pairs
	last  sqldb.Shared[chat.Talk, chat.Newest]
	all   sqldb.Shared[int, everybody] // by the limit of the list, in bytes
}

// everybody is the list of all people, or why there is none. Callers share it; nobody changes it.
type everybody struct {
	users []chat.User
	err   error
}

func newBatches(r reader, most int) *batches {
	return &batches{
		joins: sqldb.Shared[talk.Member, uint32]{Find: r.findJoins, Most: most},
		pairs: sqldb.Shared[chat.Talk, uint32]{Find: r.findPairs, Most: most},
		last:  sqldb.Shared[chat.Talk, chat.Newest]{Find: r.findLast, Most: most},
		all:   sqldb.Shared[int, everybody]{Find: r.findEverybody, Most: 1}, // the list is long
	}
}

// wait returns when no shared query runs any more, also none whose requests have all ended.
func (b *batches) wait() {
	for _, shared := range []interface{ Wait() }{
		&b.joins, &b.pairs, &b.last, &b.all,
	} {
		shared.Wait()
	}
}
