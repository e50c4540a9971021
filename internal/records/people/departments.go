package people

import (
	"context"
	"math"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/records/replica"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// AddDepartment makes a department and returns its id. The kind of the error is NotFound when its
// parent does not exist (0 means none) and, unless sameName is set, NotAllowed when there is an
// open department of that name under the same parent.
func (r Roster) AddDepartment(
	ctx context.Context, d chat.Department, sameName bool,
) (id uint32, err error) {
	if err := chat.CheckDepartment(d); err != nil {
		return 0, err
	}
	err = r.changeAlone(ctx, departmentMark, func(tx sqldb.Tx) error {
		if err := departmentExists(ctx, tx, d.Parent); err != nil {
			return err
		}
		all, err := departments(ctx, tx, r.db.ForUpdate())
		if err != nil {
			return err
		}
		if err := sameDepartment(d, all); err != nil && !sameName {
			return err
		}
		at, err := r.nextDepartmentChange(ctx, tx)
		if err != nil {
			return err
		}
		id, err = tx.InsertID(ctx, "IMDepart", "INSERT INTO IMDepart "+
			"(departName,priority,parentId,status,created,updated) VALUES (?,?,?,0,?,?)",
			d.Name, d.Priority, d.Parent, r.now(), at)
		return err
	})
	return id, r.wroteDepartment(err)
}

// ChangeDepartment calls change for a department and stores what it changed, with a new updated; it
// reports whether that was anything. change may be called again, when the transaction has to be
// repeated. The kind of the error is NotFound when the department or its parent does not exist, and
// Invalid when it would stand above itself. Unless sameName is set, it is NotAllowed when another
// open department has its new name under its parent, or its name under its new parent, or its name
// and it is to be open again.
func (r Roster) ChangeDepartment(
	ctx context.Context, id uint32, sameName bool, change func(*chat.Department) error,
) (changed bool, err error) {
	err = r.changeAlone(ctx, departmentMark, func(tx sqldb.Tx) error {
		all, err := departments(ctx, tx, r.db.ForUpdate())
		if err != nil {
			return err
		}
		parents := make(map[uint32]uint32, len(all))
		var old chat.Department
		for _, d := range all {
			parents[d.ID] = d.Parent
			if d.ID == id {
				old = d
			}
		}
		if old.ID == 0 {
			return chat.Errorf(chat.NotFound, "there is no department %d", id)
		}
		d := old
		if err := change(&d); err != nil {
			return err
		}
		if changed = d != old; !changed {
			return nil
		}
		if err := mayBe(d, old, parents); err != nil {
			return err
		}
		opened := d.Status == 0 && old.Status != 0
		if (opened || d.Name != old.Name || d.Parent != old.Parent) && !sameName {
			if err := sameDepartment(d, all); err != nil {
				return err
			}
		}
		at, err := r.nextDepartmentChange(ctx, tx)
		if err != nil {
			return err
		}
		_, err = sqldb.Exec(ctx, tx,
			"UPDATE IMDepart SET departName=?,priority=?,parentId=?,status=?,updated=? WHERE id=?",
			d.Name, int32(d.Priority), int32(d.Parent), int32(d.Status), at, id)
		return err
	})
	return changed && err == nil, r.wroteDepartment(err)
}

// wroteDepartment is wrote of a department.
func (r Roster) wroteDepartment(err error) error {
	if err == nil {
		r.replica.Wrote([]replica.Subject{replica.AllDepartments})
	}
	return err
}

// sameDepartment returns an error if another of all departments has the name and the parent of d,
// and is open.
func sameDepartment(d chat.Department, all []chat.Department) error {
	for _, other := range all {
		if other.ID != d.ID && other.Name == d.Name && other.Parent == d.Parent &&
			other.Status == 0 {
			return chat.Errorf(chat.NotAllowed,
				"there is a department named %q already, with the id %d", d.Name, other.ID)
		}
	}
	return nil
}

// mayBe refuses a department that cannot be what old becomes, given the parent of each.
func mayBe(d, old chat.Department, parents map[uint32]uint32) error {
	if err := chat.CheckDepartmentChange(old, d); err != nil || d.Parent == old.Parent {
		return err
	}
	if _, exists := parents[d.Parent]; d.Parent != 0 && !exists {
		return chat.Errorf(chat.NotFound, "there is no department %d", d.Parent)
	}
	above := d.Parent
	for range parents { // no chain is longer; one that runs in a circle already is not ours to mend
		if above == d.ID {
			return chat.Errorf(chat.Invalid,
				"department %d would stand above itself: %d is at or below it", d.ID, d.Parent)
		}
		above = parents[above]
	}
	return nil
}

// AllDepartments returns every department, of any status, ascending by id.
func (r Roster) AllDepartments(ctx context.Context) ([]chat.Department, error) {
	all, err := departments(ctx, r.db, "")
	return all, r.db.Fail("reading departments", err)
}

// Headcounts returns how many people who have not left each department has, by its id. Departments
// without anybody are missing, and 0 stands for people without a department.
func (r Roster) Headcounts(ctx context.Context) (map[uint32]int, error) {
	counts := make(map[uint32]int)
	const query = "SELECT departId,COUNT(*) FROM IMUser WHERE COALESCE(status,0)<>3" +
		" GROUP BY departId"
	err := sqldb.Each(ctx, r.db, query, nil, sqldb.Into(counts))
	return counts, r.db.Fail("counting people", err)
}

// SelectDepartments reads departments, up to the condition: see ScanDepartment.
const SelectDepartments = "SELECT id,departName,parentId,priority,status,updated FROM IMDepart"

func departments(
	ctx context.Context, q sqldb.Querier, lock string,
) (all []chat.Department, err error) {
	query := SelectDepartments + " ORDER BY id" + lock
	err = sqldb.Each(ctx, q, query, nil, func(scan sqldb.Scanner) error {
		d, err := ScanDepartment(scan)
		all = append(all, d)
		return err
	})
	return all, err
}

// ScanDepartment reads a row of SelectDepartments. Some of the numbers are signed in the original's
// tables; one that does not fit becomes the nearest one that does.
func ScanDepartment(scan sqldb.Scanner) (d chat.Department, err error) {
	var parent, priority, status int64
	err = scan(&d.ID, &d.Name, &parent, &priority, &status, &d.Updated)
	signed := func(n int64) uint32 { return uint32(min(max(n, math.MinInt32), math.MaxUint32)) }
	d.Parent, d.Priority, d.Status = signed(parent), signed(priority), signed(status)
	return d, err
}

// nextDepartmentChange returns the time to note for a change, in Unix seconds: now, or a little
// more when several changes fall in one second. Clients ask for departments changed after the
// latest change they know, so that they would miss the same time twice.
func (r Roster) nextDepartmentChange(ctx context.Context, q sqldb.Querier) (uint32, error) {
	var last uint32
	err := sqldb.Each(ctx, q, "SELECT COALESCE(MAX(updated),0) FROM IMDepart", nil,
		func(scan sqldb.Scanner) error { return scan(&last) })
	return max(r.now(), min(last, math.MaxUint32-1)+1), err
}

// departmentExists returns an error of the kind NotFound when there is no department with an id; 0,
// which means none, passes.
func departmentExists(ctx context.Context, q sqldb.Querier, id uint32) error {
	if id == 0 {
		return nil
	}
	n := 0
	err := sqldb.Each(ctx, q, "SELECT COUNT(*) FROM IMDepart WHERE id=?", []any{id},
		func(scan sqldb.Scanner) error { return scan(&n) })
	if err == nil && n == 0 {
		err = chat.Errorf(chat.NotFound, "there is no department %d", id)
	}
	return err
}
