package voice_test

import (
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
)

func TestCheckupOfMsfs(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	if f := m.Checkup(t.Context()); f.Grade != checkup.Good || f.Mend != "" {
		t.Errorf("%+v", f)
	}
	s.Trouble(msfs.Trouble{Down: true})
	if f := m.Checkup(t.Context()); f.Grade != checkup.Doubtful || !strings.Contains(f.Text, m.Site()) || !strings.Contains(f.Mend, "MsfsSite") {
		t.Errorf("%+v", f)
	}
}
