package bench

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

var (
	pictures = flag.String("pictures", "",
		"have TestGrowth measure proxies on MySQL, and write pictures into a `directory`")
	dimensions = flag.String("dimensions", "", "the `dimensions`, separated by blanks")
	most       = flag.String("most", "0", "leave out points above a `number`")
)

// TestGrowth is "make bench-growth". Without flags it tries the least points of all dimensions on
// the embedded store, and looks at what comes of them.
func TestGrowth(t *testing.T) {
	args := []string{"bench", "growth", "--password-stdin", "--users", "1-28000"}
	if *pictures == "" {
		s, _, _ := newSide(t)
		dir := t.TempDir()
		lasts := "250ms"
		if rig.UnderRace {
			lasts = "1s"
		}
		args = append(args, "--most", "10", "--for", lasts, "--warmup", "0s", "--svg", dir,
			"--addr", s.addr, "--addr", s.addr)
		out, err := harness.Run(t.Context(), rig.Binary, password+"\n", args...)
		if err != nil {
			t.Fatal(err)
		}
		checkGrowth(t, out, dir)
		return
	}
	conf := storeOf(t, rig.Binary, servers.StartMariaDB(t, durable()...).New(t), true)
	for range 3 {
		p := rig.StartWith(t, harness.Options{Config: conf,
			Args: []string{"--max-connections", "10100"}})
		args = append(args, "--addr", p.Addr)
	}
	args = append(args, "--svg", *pictures, "--for", *lasts, "--most", *most)
	growth := exec.CommandContext(t.Context(), rig.Binary,
		append(args, strings.Fields(*dimensions)...)...)
	growth.Stdin, growth.Stdout, growth.Stderr = strings.NewReader(password+"\n"), os.Stdout,
		os.Stderr
	if err := growth.Run(); err != nil {
		t.Error(err)
	}
}

// checkGrowth checks the table and the pictures of all dimensions.
func checkGrowth(t *testing.T, out, dir string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if len(line) > 81 && !strings.HasPrefix(line, "127.0.0.1:") {
			t.Errorf("a line is wider than 80: %s", line)
		}
	}
	for dimension, last := range map[string]string{"talks": "10", "group-size": "10",
		"sessions": "10", "rows": "10", "conns": "10", "inflight": "10", "proxies": "2"} {
		_, table, _ := strings.Cut(out, "\n"+dimension+" ")
		table, _, _ = strings.Cut(table, "\n\n")
		row := regexp.MustCompile(`(?m)^ +` + last + `( +[0-9.,]+){4,6}$`)
		if !row.MatchString(table) {
			t.Errorf("%s lacks %s:\n%s", dimension, last, out)
		}
		picture, err := os.Open(filepath.Join(dir, dimension+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		defer picture.Close()
		texts := make(map[string]bool)
		for parts := xml.NewDecoder(picture); ; {
			part, err := parts.Token()
			if errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", picture.Name(), err)
			}
			if text, is := part.(xml.CharData); is {
				texts[string(text)] = true
			}
		}
		for _, text := range []string{dimension, "answers/s", "p99 in ms", last} {
			if !texts[text] {
				t.Errorf("%s lacks %s", picture.Name(), text)
			}
		}
	}
}
