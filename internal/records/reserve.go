package records

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// reserve gets the ids. Where others than proxies may have written to a talk (its counter is behind, was lost, or has
// moved on), the message table is looked at first: ids and times go on from what is there, also where the counter has
// moved on, but not as far. Where an original server has gone on from our ids, which is how there may be greater ones in
// the table by then, they are ours.
func (a *appending) reserve(ctx context.Context, seq chat.Sequencer, want []chat.Reserve) error {
	first := seq.Next(ctx, want)
	var doubtful []chat.Talk
	for i, r := range want {
		if first[i] != r.Floor+1 {
			doubtful = append(doubtful, r.Talk)
		}
	}
	if err := a.lastStored(ctx, doubtful, a.talks); err != nil {
		return err
	}
	var low []chat.Reserve // what was reserved, and is not above all that is stored
	for i, r := range want {
		if 0 < first[i] && first[i] <= a.talks[r.Talk].lastID {
			r.Floor = first[i] - 1
			low = append(low, r)
		}
	}
	var gone []bool
	if len(low) > 0 {
		gone = seq.GiveBack(ctx, low)
	}
	var again []chat.Reserve
	for i, r := range want {
		last := a.talks[r.Talk].lastID
		if 0 < first[i] && first[i] <= last {
			mine := gone[0]
			if gone = gone[1:]; mine {
				continue
			}
		}
		if first[i] <= last {
			first[i] = 0
			r.Floor, r.Checked = last, true
			again = append(again, r)
		}
	}
	var next []uint32
	if len(again) > 0 {
		next = seq.Next(ctx, again)
	}
	for i, r := range want {
		id := first[i]
		if id == 0 {
			id, next = next[0], next[1:]
		}
		r.Floor = id - 1
		a.talks[r.Talk].lastID = r.Floor
		a.reserved = append(a.reserved, r)
	}
	return nil
}

// giveBack returns the ids of a batch that will not be stored, so that they leave no gap, unless somebody has asked for
// ids of these talks since.
func (a *appending) giveBack(ctx context.Context, seq chat.Sequencer) {
	if len(a.reserved) > 0 {
		seq.GiveBack(context.WithoutCancel(ctx), a.reserved) // the reason may be that ctx has ended
		a.reserved = nil
	}
}
