package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"serve", "user", "department", "list", "add", "ListenIP"}
	for word, want := range map[string]string{
		"serv": "serve", "sreve": "serve", "SERVE": "serve", "dep": "department", "lst": "list",
		"a": "add",
		"x": "", "": "", "elephant": "", "us": "user", "listenip": "ListenIP",
		"LISTEN_IP": "ListenIP",
	} {
		if got := strings.Join(Nearest(word, names), " "); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
	if n := Slips("小明", "小名"); n != 1 {
		t.Errorf("%d slips between two characters, want 1", n)
	}
}

func TestDidYouMeanNamesThreeAtMost(t *testing.T) {
	if got, want := DidYouMean([]string{"a", "b", "c",
		"d"}), `did you mean "a" or "b" or "c"?`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
