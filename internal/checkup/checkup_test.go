package checkup_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

func TestTheWorstGradeCounts(t *testing.T) {
	good, doubt := checkup.Goodf("a", "%d of them", 3), checkup.Unseen("b", errors.New("closed"))
	for want, findings := range map[checkup.Grade][]checkup.Finding{
		checkup.Good:     {good},
		checkup.Doubtful: {good, doubt, good},
		checkup.Wrong:    {doubt, checkup.Fault("c", "gone", "bring it back"), good},
	} {
		if got := checkup.Worst([]checkup.Subject{{Findings: []checkup.Finding{good}},
			{Findings: findings}}); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if got := checkup.Worst(nil); got != checkup.Good {
		t.Errorf("of nothing: %v", got)
	}
}

func TestGradesAreWords(t *testing.T) {
	text, err := json.Marshal([]checkup.Grade{checkup.Good, checkup.Doubtful, checkup.Wrong, 9})
	if err != nil || string(text) != `["good","doubtful","wrong","grade 9"]` {
		t.Errorf("%s, %v", text, err)
	}
}
