// Package doctor finds what races and crashes of original servers left behind in the records and in their copy in Redis,
// says what it is, and has mended what can be mended without loss. docs/doctor.md explains every finding.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
)

// Copy is the copy of the records in Redis that original servers count on. What differs is told by name: one of the
// findings' kinds.
type Copy interface {
	// Reachable returns why the copy, or a part of it, cannot be reached now; nil: all can.
	Reachable(ctx context.Context) error
	// Compare tells how the copy differs from the state of talks, by their place in states. With all it also tells what
	// an original server may have changed in the copy alone.
	Compare(ctx context.Context, states []chat.Change, all bool, differs func(i int, kind finding.Kind, text string)) error
	// Bring brings the copy up to the state of talks, where it differs. Ids are only raised.
	Bring(ctx context.Context, states []chat.Change) error
	// BringMembers makes a group's members equal; the group is locked meanwhile.
	BringMembers(ctx context.Context, state chat.Change) error
	// CompareDevices and BringDevices are the same for push tokens.
	CompareDevices(ctx context.Context, devices []chat.Device, differs func(i int, kind finding.Kind, text string)) error
	BringDevices(ctx context.Context, devices []chat.Device) error
	// Keys goes through what the copy has: it calls unread with users and the peers they have unread counters of, and
	// members with groups that have members.
	Keys(ctx context.Context, unread func(ctx context.Context, peers map[uint32][]uint32) error,
		members func(ctx context.Context, groups []uint32) error) error
	// DropUnread removes unread counters.
	DropUnread(ctx context.Context, user uint32, peers []uint32) error
	// Apply applies commits whose counts have not been applied.
	Apply(ctx context.Context, commits []chat.Commit) error
}

// Doctor examines a store, and repairs it when asked to.
type Doctor struct {
	Records   *repair.Examination
	Sequencer chat.Sequencer // gives messages that are moved their ids
	Copy      Copy           // nil: there is none, as on the embedded store

	Repair         bool
	BeforeOriginal bool // look only at what an original server needs that takes over
	// Pause is how long what is under way when records and copy are compared may take; few differences are looked at
	// again after it.
	Pause time.Duration
	// Progress is told what is looked at, and how much of it has been: 0 to 1.
	Progress func(what string, share float64)

	report Report
}

// errNoOriginal is returned for BeforeOriginal where there is no copy.
var errNoOriginal = errors.New("an original server works on MySQL and Redis: name them with --config")

// Run examines, and repairs. It returns what it found until then also with an error, such as that of an ended ctx: what was
// repaired is repaired, and another run goes on.
func (d *Doctor) Run(ctx context.Context) (*Report, error) {
	d.report = Report{}
	if d.Progress == nil {
		d.Progress = func(string, float64) {}
	}
	if d.BeforeOriginal && d.Copy == nil {
		return &d.report, errNoOriginal
	}
	steps := []func(context.Context) error{d.surveys, d.ranges, d.commits, d.copy}
	if d.BeforeOriginal {
		steps = []func(context.Context) error{d.commits, d.copy}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return &d.report, err
		}
	}
	return &d.report, nil
}

// surveys goes through the tables.
func (d *Doctor) surveys(ctx context.Context) error {
	for _, survey := range d.Records.Scans() {
		if err := d.survey(ctx, survey); err != nil {
			return fmt.Errorf("table %s: %w", survey.Table, err)
		}
	}
	return nil
}

func (d *Doctor) survey(ctx context.Context, survey repair.Scan) error {
	var at repair.Cursor
	for {
		look, err := survey.Next(ctx, at)
		if err != nil {
			return err
		}
		byKind := make(map[finding.Kind][]repair.Fault)
		var order []finding.Kind
		for _, f := range look.Faults {
			if byKind[f.Kind] == nil {
				order = append(order, f.Kind)
			}
			byKind[f.Kind] = append(byKind[f.Kind], f)
			d.report.add(f.Kind, f.Text)
		}
		for _, kind := range order {
			if err := d.mend(ctx, kind, byKind[kind]); err != nil {
				return err
			}
		}
		d.Progress(survey.Table, look.Share)
		if look.Done {
			return nil
		}
		at = look.Next
	}
}

// mend has faults of one kind mended, if there is a way and it is wanted.
func (d *Doctor) mend(ctx context.Context, kind finding.Kind, faults []repair.Fault) error {
	if !d.Repair || kind.Mend() == "" {
		return nil
	}
	mended, left, err := d.Records.Mend(ctx, faults, d.Sequencer)
	d.report.mended(kind, mended, left)
	return err
}

// ranges looks at how much of the ids is used.
func (d *Doctor) ranges(ctx context.Context) (err error) {
	d.report.Ranges, err = d.Records.Ranges(ctx)
	for _, r := range d.report.Ranges {
		if r.Share >= 0.5 {
			d.report.add(finding.IDsRunOut, fmt.Sprintf("%s has used %.0f %% of its ids", r.Table, 100*r.Share))
		}
	}
	return err
}

// commitsAtOnce is how many commits are applied at once.
const commitsAtOnce = 500

// commits looks for commits whose counts were not applied, and has them applied.
func (d *Doctor) commits(ctx context.Context) error {
	for first := true; ; first = false {
		d.Progress("IMProxyCommit", 0)
		some, all, err := d.Records.Commits(ctx, commitsAtOnce)
		if err != nil {
			return err
		}
		if first {
			d.report.addMany(finding.OldCommit, all, func(i int) string { return "commit " + some[i].ID.String() }, len(some))
		}
		if !d.Repair || len(some) == 0 {
			return nil
		}
		if d.Copy != nil {
			if err := d.Copy.Apply(ctx, some); err != nil {
				d.report.mended(finding.OldCommit, 0, []string{err.Error()})
				return nil // Redis is away, which is told, too
			}
		}
		if err := d.Records.SweptCommits(ctx, some); err != nil {
			return err
		}
		d.report.mended(finding.OldCommit, len(some), nil)
	}
}
