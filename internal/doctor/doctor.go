// Package doctor finds what races and crashes of original servers left behind, in the records and
// in their copy in Redis. It reports what it finds, and has mended what can be mended without loss.
// docs/doctor.md explains every finding.
//
// Doctor.Run scans the tables first, then asks for commits whose counters were not
// applied, and then compares the records with the copy. All is done some rows at a time, while
// servers are at work: so what is pending in one moment may look wrong. Few differences between
// records and copy are therefore compared once more after a pause, and each repair checks again
// what it mends, under the lock of the talk.
//
// What can be found at all stands in package finding.
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

// Copy is the copy of the records in Redis, which original servers rely on.
type Copy interface {
	// Reachable returns why the copy, or a part of it, cannot be reached now; nil: it can.
	Reachable(ctx context.Context) error
	// Compare calls differs for each difference between the copy and the state of a talk; i is the
	// talk's index in states. With all it also tells what an original server may have changed in
	// the copy alone.
	Compare(ctx context.Context, states []chat.Change, all bool,
		differs func(i int, kind finding.Kind, text string)) error
	// Reconcile makes the copy agree with the state of talks. Ids are only raised.
	Reconcile(ctx context.Context, states []chat.Change) error
	// ReconcileMembers makes a group's members in the copy agree; the caller holds the group's
	// lock.
	ReconcileMembers(ctx context.Context, state chat.Change) error
	// CompareDevices and ReconcileDevices are the same for push tokens.
	CompareDevices(ctx context.Context, devices []chat.Device,
		differs func(i int, kind finding.Kind, text string)) error
	ReconcileDevices(ctx context.Context, devices []chat.Device) error
	// Keys scans what the copy has. It calls unread with users and the peers of whom these have
	// unread counters, and members with groups that have members.
	Keys(ctx context.Context, unread func(ctx context.Context, peers map[uint32][]uint32) error,
		members func(ctx context.Context, groups []uint32) error) error
	// DropUnread removes unread counters.
	DropUnread(ctx context.Context, user uint32, peers []uint32) error
	// Apply applies commits whose counters were not applied.
	Apply(ctx context.Context, commits []chat.Commit) error
}

// Doctor examines a store, and repairs it if asked to. It is for one goroutine.
type Doctor struct {
	Records   *repair.Examination
	Sequencer chat.Sequencer // gives the ids of messages that are moved
	Copy      Copy           // nil: there is none, as on the embedded store

	Repair bool
	// BeforeOriginal: check only what an original server needs that takes over.
	BeforeOriginal bool
	// Pause is how long a server needs at the most to copy what it stored. If a page has few
	// differences they are compared once more after it.
	Pause time.Duration
	// Progress is told what is being scanned, and which share of it is done: 0 to 1.
	Progress func(what string, share float64)

	report Report
}

// errNoOriginal is returned for BeforeOriginal where there is no copy.
var errNoOriginal = errors.New("an original server works on MySQL and Redis: name them with " +
	"--config")

// Run examines the store, and repairs it if asked to. With an error, such as that of a ctx that has
// ended, it also returns what it has found until then. What was repaired stays repaired, and
// another run goes on from there.
func (d *Doctor) Run(ctx context.Context) (*Report, error) {
	d.report = Report{}
	if d.Progress == nil {
		d.Progress = func(string, float64) {}
	}
	if d.BeforeOriginal && d.Copy == nil {
		return &d.report, errNoOriginal
	}
	steps := []func(context.Context) error{d.scans, d.ranges, d.commits, d.copy}
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

// scans scans the tables.
func (d *Doctor) scans(ctx context.Context) error {
	for _, scan := range d.Records.Scans() {
		if err := d.scan(ctx, scan); err != nil {
			return fmt.Errorf("table %s: %w", scan.Table, err)
		}
	}
	return nil
}

// scan scans a table, and has mended what is wrong in it.
func (d *Doctor) scan(ctx context.Context, scan repair.Scan) error {
	var at repair.Cursor
	for {
		found, err := scan.Next(ctx, at)
		if err != nil {
			return err
		}
		byKind := make(map[finding.Kind][]repair.Fault)
		var order []finding.Kind
		for _, f := range found.Faults {
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
		d.Progress(scan.Table, found.Share)
		if found.Done {
			return nil
		}
		at = found.Next
	}
}

// mend has faults of one kind mended, if that is wanted and can be done.
func (d *Doctor) mend(ctx context.Context, kind finding.Kind, faults []repair.Fault) error {
	if !d.Repair || kind.Mend() == "" {
		return nil
	}
	mended, left, err := d.Records.Mend(ctx, faults, d.Sequencer)
	d.report.mended(kind, mended, left)
	return err
}

// ranges finds tables that have used much of their ids.
func (d *Doctor) ranges(ctx context.Context) (err error) {
	d.report.Ranges, err = d.Records.Ranges(ctx)
	for _, r := range d.report.Ranges {
		if r.Share >= 0.5 {
			d.report.add(finding.IDsRunOut,
				fmt.Sprintf("%s has used %.0f %% of its ids", r.Table, 100*r.Share))
		}
	}
	return err
}

// commitsAtOnce is how many commits are applied at a time.
const commitsAtOnce = 500

// commits finds commits whose counters were not applied, and has them applied.
func (d *Doctor) commits(ctx context.Context) error {
	for first := true; ; first = false {
		d.Progress("IMProxyCommit", 0)
		some, all, err := d.Records.Commits(ctx, commitsAtOnce)
		if err != nil {
			return err
		}
		if first {
			d.report.addMany(finding.OldCommit, all, func(i int) string {
				return "commit " + some[i].ID.String()
			}, len(some))
		}
		if !d.Repair || len(some) == 0 {
			return nil
		}
		if d.Copy != nil {
			if err := d.Copy.Apply(ctx, some); err != nil {
				d.report.mended(finding.OldCommit, 0, []string{err.Error()})
				return nil // Redis is away, which is a finding of its own
			}
		}
		if err := d.Records.SweptCommits(ctx, some); err != nil {
			return err
		}
		d.report.mended(finding.OldCommit, len(some), nil)
	}
}
