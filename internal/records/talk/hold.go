package talk

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
)

// Held is a talk under its lock, of which it is known what is stored.
type Held struct {
	*Row
	Talk chat.Talk
	Ours bool // the talk has a row of its own; else Row only says what the original's tables do
}

// Hold locks a talk until the end of the transaction. A talk without a row gets one that is only
// there to be locked, until Release: to adopt a talk is for those who send.
func (w Work) Hold(ctx context.Context, talk chat.Talk) (h Held, err error) {
	t, err := w.lockFirst(ctx, talk)
	if err != nil {
		return Held{}, err
	}
	h = Held{Row: t, Talk: talk}
	if h.Row == nil {
		h.Row = new(Row)
	}
	if h.Ours = h.Rev > 0; !h.Ours && talk.Kind == chat.Pair {
		found, err := Relations(ctx, w.Session, false, []chat.Talk{talk})
		if err != nil {
			return Held{}, err
		}
		h.Relation = found[talk]
	}
	h.Checked = true
	return h, w.LastStored(ctx, []chat.Talk{talk}, map[chat.Talk]*Row{talk: h.Row})
}

// Owner is what the talk's messages are stored under.
func (h Held) Owner() tables.Owner { return h.Row.Owner(h.Talk) }

// Release saves a held talk, or takes back the row by which it was locked. The lock stays until the
// end of the transaction.
func (w Work) Release(ctx context.Context, h Held) error {
	if h.Ours {
		return w.Save(ctx, []chat.Talk{h.Talk}, map[chat.Talk]*Row{h.Talk: h.Row})
	}
	_, err := sqldb.Exec(ctx, w, "DELETE FROM IMProxyTalk WHERE kind=? AND a=? AND b=? AND rev=0",
		uint32(h.Talk.Kind), h.Talk.A, h.Talk.B)
	return err
}

// FindRelation gives a held pair the relation in use, which is made where there is none.
func (w Work) FindRelation(ctx context.Context, h Held, now uint32) error {
	found, _, err := findOrMake(ctx, w.Session, []chat.Talk{h.Talk}, nil, now)
	if err == nil {
		h.Relation, h.Dirty = found[h.Talk], true
	}
	return err
}
