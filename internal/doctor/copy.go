package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
)

// fewDiffer is up to how many differences of a page are compared once more: what is pending in the
// moment in which two stores are compared looks like a difference. Where there are many, that is
// not the reason.
const fewDiffer = 20

// difference is one between the records and the copy.
type difference struct {
	talk     chat.Talk
	relation uint32 // of a pair, which may have several
	user     uint32
	kind     finding.Kind
	text     string
}

// copy compares the records with the copy.
func (d *Doctor) copy(ctx context.Context) error {
	if d.Copy == nil {
		return nil
	}
	if err := d.Copy.Reachable(ctx); err != nil {
		d.report.add(finding.RedisAway, err.Error())
		return nil
	}
	for _, step := range []struct {
		what string
		page reading
	}{
		{"Redis: pairs", d.pairs},
		{"Redis: groups", d.groups},
		{"Redis: push tokens", d.devices},
	} {
		if step.what == "Redis: push tokens" && !d.BeforeOriginal {
			continue
		}
		if err := d.pages(ctx, step.what, step.page); err != nil {
			return err
		}
	}
	d.Progress("Redis: keys", 0)
	return d.Copy.Keys(ctx, d.strayUnread, d.strayMembers)
}

// reading reads a page of the records after a cursor, and compares it with the copy.
type reading func(ctx context.Context, after repair.Cursor) (page, error)

// page is a part of the records, with how the copy differs from it.
type page struct {
	found     repair.Found
	differ    []difference
	reconcile func(context.Context, []difference) error // makes the copy agree
}

// pages compares one part of the records, page by page, and makes the copy agree if that is wanted.
func (d *Doctor) pages(ctx context.Context, what string, read reading) error {
	var at repair.Cursor
	for {
		p, err := read(ctx, at)
		if err != nil {
			return err
		}
		if len(p.differ) > 0 && len(p.differ) <= fewDiffer {
			if p, err = d.again(ctx, at, p, read); err != nil {
				return err
			}
		}
		for _, x := range p.differ {
			d.report.add(x.kind, x.text)
		}
		if d.Repair && len(p.differ) > 0 {
			if err := p.reconcile(ctx, p.differ); err != nil {
				return err
			}
			for _, x := range p.differ {
				d.report.mended(x.kind, 1, nil)
			}
		}
		d.Progress(what, p.found.Share)
		if p.found.Done {
			return nil
		}
		at = p.found.Next
	}
}

// again compares a page once more, after a pause, and keeps only what still differs.
func (d *Doctor) again(
	ctx context.Context, at repair.Cursor, first page, read reading,
) (page, error) {
	select {
	case <-ctx.Done():
		return page{}, ctx.Err()
	case <-time.After(d.Pause):
	}
	p, err := read(ctx, at)
	p.found = first.found // rows that have come since belong to the next page
	p.differ = slices.DeleteFunc(p.differ, func(x difference) bool {
		return !slices.ContainsFunc(first.differ, func(y difference) bool {
			return x.kind == y.kind && x.talk == y.talk && x.relation == y.relation &&
				x.user == y.user
		})
	})
	return p, err
}

// compare compares a page of talks with the copy.
func (d *Doctor) compare(
	ctx context.Context, states []chat.Change, found repair.Found,
) (page, error) {
	p := page{found: found}
	of := make(map[relationOf]chat.Change)
	err := d.Copy.Compare(ctx, states, d.BeforeOriginal,
		func(i int, kind finding.Kind, text string) {
			s := states[i]
			of[relationOf{s.Talk, s.Relation}] = s
			p.differ = append(p.differ,
				difference{talk: s.Talk, relation: s.Relation, kind: kind, text: text})
		})
	p.reconcile = func(ctx context.Context, differ []difference) error {
		return d.reconcileTalks(ctx, differ, of)
	}
	return p, err
}

// relationOf names a state: a pair may have several relations, and one state for each.
type relationOf struct {
	talk     chat.Talk
	relation uint32
}

// reconcileTalks makes the copy of those talks agree that differ; of has their states.
func (d *Doctor) reconcileTalks(
	ctx context.Context, differ []difference, of map[relationOf]chat.Change,
) error {
	var some []chat.Change
	members := make(map[chat.Talk]bool)
	for _, x := range differ {
		same := func(c chat.Change) bool { return c.Talk == x.talk && c.Relation == x.relation }
		switch {
		case x.kind == finding.MemberMissing || x.kind == finding.MemberExtra:
			members[x.talk] = true
		case !slices.ContainsFunc(some, same):
			some = append(some, of[relationOf{x.talk, x.relation}])
		}
	}
	if err := d.Copy.Reconcile(ctx, some); err != nil {
		return err
	}
	for talk := range members {
		err := d.Records.HoldGroup(ctx, talk.A, func(state chat.Change) error {
			return d.Copy.ReconcileMembers(ctx, state)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Doctor) pairs(ctx context.Context, at repair.Cursor) (page, error) {
	states, found, err := d.Records.PairStates(ctx, at)
	if err != nil {
		return page{}, err
	}
	return d.compare(ctx, states, found)
}

func (d *Doctor) groups(ctx context.Context, at repair.Cursor) (page, error) {
	states, found, err := d.Records.GroupStates(ctx, at)
	if err != nil {
		return page{}, err
	}
	return d.compare(ctx, states, found)
}

func (d *Doctor) devices(ctx context.Context, at repair.Cursor) (page, error) {
	devices, found, err := d.Records.Devices(ctx, at)
	p := page{found: found}
	if err != nil {
		return p, err
	}
	var lost []chat.Device
	err = d.Copy.CompareDevices(ctx, devices, func(i int, kind finding.Kind, text string) {
		lost = append(lost, devices[i])
		p.differ = append(p.differ, difference{user: devices[i].User, kind: kind, text: text})
	})
	p.reconcile = func(ctx context.Context, _ []difference) error {
		return d.Copy.ReconcileDevices(ctx, lost)
	}
	return p, err
}
