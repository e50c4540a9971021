package talk

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Number gets ids for messages of talks that are locked, whose rows are in rows: when it returns,
// the LastID of each row is the id before the first of its own. It returns what was reserved, which
// the caller gives back when the transaction fails: see chat.Sequencer.
//
// Others than proxies may have written to a talk: its counter is behind, was lost, or has moved on.
// Then the message table is asked first, and ids and times go on from what is there. That is also
// so where the counter has moved on, but not as far. Where an original server has gone on from our
// ids, which is how there may be greater ones in the table by then, the ids that we had reserved
// are ours.
func (w Work) Number(
	ctx context.Context, seq chat.Sequencer, want []chat.Reserve, rows map[chat.Talk]*Row,
) (reserved []chat.Reserve, err error) {
	first := seq.Next(ctx, want)
	var doubtful []chat.Talk
	for i, r := range want {
		if first[i] != r.Floor+1 {
			doubtful = append(doubtful, r.Talk)
		}
	}
	if err := w.LastStored(ctx, doubtful, rows); err != nil {
		return nil, err
	}
	var low []chat.Reserve // what was reserved, and is not above all that is stored
	for i, r := range want {
		if 0 < first[i] && first[i] <= rows[r.Talk].LastID {
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
		last := rows[r.Talk].LastID
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
		rows[r.Talk].LastID = r.Floor
		reserved = append(reserved, r)
	}
	return reserved, nil
}
