package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// rowsPerCommit is how many people one transaction imports: so many that the time of commits does
// not matter, and so few that no proxy has to wait for long.
const rowsPerCommit = 500

// Plan is what an import will do. Make it with MakePlan.
type Plan struct {
	Add    []Row
	Change []Row // of people who exist already
	Same   int   // how many people exist and are as their line says
	Bad    []Bad // lines that cannot be imported, ascending

	store       Store
	departments map[string]uint32 // ids, by how cells name the departments
	ids         map[string]uint32 // of those in Change, by name
}

// Lines is how many lines the plan is about.
func (p *Plan) Lines() int { return len(p.Add) + len(p.Change) + p.Same + len(p.Bad) }

// MakePlan decides what happens to each row of a file. bad has the lines of the file that are known
// to be bad. A name that exists makes a line bad unless update is set; then that person gets what
// the line says, and empty cells change nothing.
func MakePlan(ctx context.Context, s Store, rows []Row, bad []Bad, update bool) (*Plan, error) {
	p := &Plan{Bad: slices.Clone(bad), store: s, departments: make(map[string]uint32),
		ids: make(map[string]uint32)}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Name()
	}
	there, err := inService(ctx, s, names)
	if err != nil {
		return nil, err
	}
	departments, err := s.AllDepartments(ctx)
	if err != nil {
		return nil, err
	}
	lines := make(map[string]int) // where a name came first
	for _, r := range rows {
		old, exists := there[r.Name()]
		wrong := p.findDepartment(departments, r)
		if first := lines[r.Name()]; first > 0 {
			wrong = append(wrong, fmt.Sprintf("line %d has the name %q already", first, r.Name()))
		} else {
			lines[r.Name()] = r.Line
			if exists && !update {
				wrong = append(wrong, fmt.Sprintf("there is a user named %q already, with the id "+
					"%d", r.Name(), old.ID))
			}
		}
		if !exists && r.cells["password"] == "" {
			wrong = append(wrong, "the password is empty")
		}
		changed := old
		if err := p.fill(&changed, r); err != nil {
			wrong = append(wrong, err.Error())
		}
		switch {
		case len(wrong) > 0:
			p.Bad = append(p.Bad, Bad{r.Line, strings.Join(wrong, "; ")})
		case !exists:
			p.Add = append(p.Add, r)
		case changed == old:
			p.Same++
		default:
			p.Change = append(p.Change, r)
			p.ids[r.Name()] = old.ID
		}
	}
	slices.SortStableFunc(p.Bad, func(a, b Bad) int { return cmp.Compare(a.Line, b.Line) })
	return p, nil
}

// inService returns those people with one of the names who can log in; of several with one name the
// one who does.
func inService(ctx context.Context, s Store, names []string) (map[string]chat.User, error) {
	users, err := s.Accounts(ctx, nil, names)
	there := make(map[string]chat.User)
	for _, u := range users {
		if u.Status == chat.InService {
			there[u.Name] = u
		}
	}
	return there, err
}

// findDepartment notes the id of the department that a row names, or returns what is wrong with it.
func (p *Plan) findDepartment(all []chat.Department, r Row) (wrong []string) {
	cell := r.cells["department"]
	if _, known := p.departments[cell]; cell == "" || known {
		return nil
	}
	d, err := findDepartment(all, cell)
	if err != nil {
		return []string{err.Error()}
	}
	p.departments[cell] = d.ID
	return nil
}

// fill gives a user, new or not, what the row says.
func (p *Plan) fill(u *chat.User, r Row) error {
	isNew, old := u.ID == 0, *u
	if isNew {
		*u = chat.User{Name: r.Name(), Nick: r.Name(), Domain: r.Name()}
	}
	for _, f := range chat.UserFields() {
		cell := r.cells[f.Name]
		switch at := f.At(u).(type) {
		case *string:
			*at = cmp.Or(cell, *at)
		case *uint32:
			if cell == "" {
				continue
			}
			n, err := p.number(f, cell)
			if err != nil {
				return err
			}
			*at = n
		}
	}
	if typed := r.cells["password"]; typed != "" && (isNew || !u.HasPassword(typed)) {
		u.SetPassword(typed)
	}
	if isNew {
		return chat.CheckUser(*u)
	}
	return chat.CheckUserChange(old, *u)
}

// number reads the cell of a field that is a number and that people know by a word.
func (p *Plan) number(f chat.UserField, cell string) (uint32, error) {
	if f.Name == "department" {
		return p.departments[cell], nil
	}
	sex, err := ParseSex(cell)
	if err != nil {
		err = fmt.Errorf("%s %w", f.Name, err)
	}
	return sex, err
}

// Done is what an import did.
type Done struct{ Added, Changed int }

// Run does what the plan says, for some hundred people in each transaction, and calls progress
// after each with how many people are done. What was done before an error stays.
func (p *Plan) Run(ctx context.Context, progress func(done int)) (d Done, err error) {
	for rows := range slices.Chunk(p.Add, rowsPerCommit) {
		users := make([]chat.User, len(rows))
		for i, r := range rows {
			if err := p.fill(&users[i], r); err != nil {
				return d, err
			}
		}
		if err := p.store.AddUsers(ctx, users); err != nil {
			return d, err
		}
		d.Added += len(rows)
		progress(d.Added)
	}
	for rows := range slices.Chunk(p.Change, rowsPerCommit) {
		byID := make(map[uint32]Row, len(rows))
		ids := make([]uint32, len(rows))
		for i, r := range rows {
			ids[i] = p.ids[r.Name()]
			byID[ids[i]] = r
		}
		n, err := p.store.ChangeUsers(ctx, ids, func(u *chat.User) error {
			return p.fill(u, byID[u.ID])
		})
		if err != nil {
			return d, err
		}
		d.Changed += n
		progress(d.Added + d.Changed)
	}
	return d, nil
}
