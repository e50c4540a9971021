package checkup_test

import (
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/voice"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
)

func TestCheckOfMsfs(t *testing.T) {
	t.Parallel()
	s, err := msfs.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	m, err := voice.OpenMsfs(s.URL(), patience)
	if err != nil {
		t.Fatal(err)
	}
	if f := checkup.CheckMsfs(t.Context(), m); f.Grade != checkup.Good || f.Mend != "" {
		t.Errorf("%+v", f)
	}
	s.Trouble(msfs.Trouble{Down: true})
	f := checkup.CheckMsfs(t.Context(), m)
	if f.Grade != checkup.Doubtful || !strings.Contains(f.Text, m.Site()) ||
		!strings.Contains(f.Mend, "MsfsSite") {
		t.Errorf("%+v", f)
	}
}
