package finding_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
)

// TestEveryKindIsTold holds the list together: each constant has its text and grade, the grades
// come in order, no two kinds share a name, and docs/doctor.md names each.
func TestEveryKindIsTold(t *testing.T) {
	page, err := os.ReadFile("../../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	rank := map[finding.Severity]int{finding.Wrong: 1, finding.Doubtful: 2, finding.Note: 3}
	names := make(map[string]finding.Kind)
	worst := 1
	for _, k := range finding.All() {
		name := k.String()
		if name == "" || k.What() == "" || rank[k.Severity()] == 0 {
			t.Errorf("kind %d lacks a name, a text or a severity: %q, %q, %q", k, name, k.What(),
				k.Severity())
			continue
		}
		if other, taken := names[name]; taken {
			t.Errorf("kinds %d and %d are both %q", other, k, name)
		}
		names[name] = k
		if rank[k.Severity()] < worst {
			t.Errorf("%s is %q and stands below kinds that are less bad", name, k.Severity())
		}
		worst = rank[k.Severity()]
		if !regexp.MustCompile(`\b` + name + `\b`).Match(page) {
			t.Errorf("docs/doctor.md does not name %s", name)
		}
	}
}
