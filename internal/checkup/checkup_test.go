package checkup_test

import (
	"encoding/json"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
)

func TestGradesAreWords(t *testing.T) {
	text, err := json.Marshal([]checkup.Grade{checkup.Good, checkup.Doubtful, checkup.Wrong, 9})
	if err != nil || string(text) != `["good","doubtful","wrong","grade 9"]` {
		t.Errorf("%s, %v", text, err)
	}
}
