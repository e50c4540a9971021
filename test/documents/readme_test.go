//go:build !race

package documents

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// buildPatience is how long "make run" may take on a machine that has never built this before.
const buildPatience = 5 * time.Minute

// defaultAddr is where serve listens when it is not told.
const defaultAddr = "127.0.0.1:10600"

// TestReadme does what the README says, as a newcomer would: every code block marked sh is run, in
// order, by a bash of its own, in a fresh directory that has what git tracks. What serves is left
// running beside the blocks after it, and stopped with Ctrl-C at the end; commands that it prints
// to be tried are tried, too. The MySQL and Redis that it speaks of are servers of the test's: the
// environment puts them above what a configuration says. A comment right above a block may say more
// about it:
//
//	<!-- test: prints 18 01 -->      its output must match this regular expression
//	<!-- test: by hand it asks -->   only a person can run it, and why
func TestReadme(t *testing.T) {
	blocks := readBlocks(t, filepath.Join(rig.Root(), "README.md"))
	for _, b := range blocks {
		if b.serves() {
			b.awaitFree(t)
		}
	}
	r := &newcomer{t: t, dir: checkout(t), env: ownServers(t)}
	defer r.stop()
	for _, b := range blocks {
		if b.byHand != "" {
			continue
		}
		t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) { r.do(t, b) })
	}
	t.Run("targets", r.lookUpTargets)
	for i, b := range r.printed(blocks) {
		t.Run(fmt.Sprintf("printed %d", i+1), func(t *testing.T) { r.do(t, b) })
	}
}

// shellBlock is a piece of shell script that a reader is asked to run.
type shellBlock struct {
	line   int // of the README; 0: printed by a program
	script string
	byHand string         // why only a person can run it, "" if the test can
	prints *regexp.Regexp // what its output must match, or nil
}

// The lines that matter to the test.
var (
	fenceBegin = regexp.MustCompile("^```sh$")
	remark     = regexp.MustCompile(`^<!-- test: (by hand|prints) (.+) -->$`)
	// stays is a command that does not end by itself, unless it is sent to the background.
	stays      = regexp.MustCompile(`(?m)^\s*(make run\b|(\S*/)?dbproxy (serve|tail)\b)[^&\n]*$`)
	serves     = regexp.MustCompile(`(?m)^\s*(make run\b|(\S*/)?dbproxy serve\b)`)
	listenFlag = regexp.MustCompile(`--listen[ =](\S+)`)
	// slow are targets that would run this test again, or take minutes: they are only looked up.
	slow = regexp.MustCompile(`(?m)^(\s*)make (test|race|bench|fuzz|lint|faults)\b`)
	// target is one that is named in a sentence.
	target = regexp.MustCompile("`make ([a-z-]+)`")
	// fetch is how one comes by the directory that the test has made already.
	fetch = regexp.MustCompile(`(?m)^\s*(git clone|cd dbproxy)\b.*$`)
	// offered is a line of a program's output that asks to be typed.
	offered = regexp.MustCompile(`^\s+(?:\$ )?((?:.*[|( ])?bin/dbproxy .+)$`)
)

// readBlocks returns the blocks of a document.
func readBlocks(t *testing.T, file string) (blocks []shellBlock) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		if !fenceBegin.MatchString(lines[i]) {
			continue
		}
		b := shellBlock{line: i + 1}
		for above := i - 1; above >= 0; above-- {
			m := remark.FindStringSubmatch(lines[above])
			if m == nil {
				break
			}
			if m[1] == "by hand" {
				b.byHand = m[2]
			} else {
				b.prints = regexp.MustCompile(m[2])
			}
		}
		for i++; i < len(lines) && lines[i] != "```"; i++ {
			b.script += lines[i] + "\n"
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no code blocks marked sh", file)
	}
	return blocks
}

func (b shellBlock) serves() bool { return b.byHand == "" && serves.MatchString(b.script) }

// origin says where the block stands, for messages.
func (b shellBlock) origin() string {
	if b.line == 0 {
		return "printed by a command of README.md, to be tried"
	}
	return fmt.Sprintf("README.md:%d", b.line)
}

// addr is where the block's proxy listens.
func (b shellBlock) addr() string {
	if m := listenFlag.FindStringSubmatch(b.script); m != nil {
		return m[1]
	}
	return defaultAddr
}

// awaitFree waits until nobody listens where the block's proxy will: the same test of another clone
// will be over soon.
func (b shellBlock) awaitFree(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(rig.Patience); ; time.Sleep(200 * time.Millisecond) {
		ln, err := net.Listen("tcp", b.addr())
		if err == nil {
			ln.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf(
				"%s serves on %s, and that cannot be had: %v\nStop what listens there, and run "+
					"this test again.", b.origin(), b.addr(), err)
		}
	}
}

// checkout copies what git tracks, changes that are not committed included, to a directory of its
// own.
func checkout(t *testing.T) string {
	t.Helper()
	list, err := exec.CommandContext(t.Context(), "git", "-C", rig.Root(), "ls-files",
		"-z").Output()
	if err != nil || len(list) == 0 {
		t.Fatalf("not in a git repository, so nobody says which files belong to it: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "dbproxy")
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		from, to := filepath.Join(rig.Root(), name), filepath.Join(dir, name)
		info, err := os.Stat(from)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and that not committed
		}
		var content []byte
		if err == nil {
			content, err = os.ReadFile(from)
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, content, info.Mode().Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// newcomer does what the README says. Its methods belong to the test's goroutine.
type newcomer struct {
	t       *testing.T
	dir     string
	env     []string // beside that of the test
	started []*shell // what may still run
}

// ownServers starts MySQL and Redis and returns what has any configuration use them.
func ownServers(t *testing.T) (env []string) {
	t.Helper()
	db, redis := servers.MariaDB(t).New(t), servers.StartRedis(t)
	set := func(instance, key, value string) {
		env = append(env, "DBPROXY_"+strings.ToUpper(instance)+"_"+key+"="+value)
	}
	for _, name := range []string{"teamtalk_master", "teamtalk_slave"} {
		set(name, "HOST", db.Host)
		set(name, "PORT", strconv.Itoa(db.Port))
		set(name, "DBNAME", db.Name)
		set(name, "USERNAME", db.User)
		set(name, "PASSWORD", db.Password)
	}
	for _, name := range []string{"unread", "group_set", "token", "group_member"} {
		set(name, "HOST", redis.Host())
		set(name, "PORT", strconv.Itoa(redis.Port()))
	}
	return append(env, "DBPROXY_ADMINLISTEN=off")
}

// do runs a block, or starts it if it stays.
func (r *newcomer) do(t *testing.T, b shellBlock) {
	staying := stays.MatchString(b.script)
	for _, s := range r.started {
		if staying && s.script == b.script {
			return // it runs already
		}
	}
	s, err := r.start(b)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case b.serves() && staying:
		err = s.awaitListening(b.addr())
	case staying:
		err = s.await(time.Second)
		if errors.Is(err, errStillRunning) {
			err = nil
		}
	default:
		err = s.await(rig.Patience)
	}
	if err != nil {
		t.Errorf(
			"%s: %v\n%s\n--- printed:\n%s\n--- (in a directory that has what git tracks, and "+
				"nothing else)", b.origin(), err, b.script, s.output())
	} else if b.prints != nil && !b.prints.MatchString(s.output()) {
		t.Errorf("%s: what it prints does not match %q:\n%s", b.origin(), b.prints, s.output())
	}
}

// lookUpTargets asks make for every target that the README's sentences name.
func (r *newcomer) lookUpTargets(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(r.dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range target.FindAllStringSubmatch(string(text), -1) {
		cmd := exec.CommandContext(t.Context(), "make", "-n", m[1])
		cmd.Dir = r.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("make %s, which README.md names: %v\n%s", m[1], err, out)
		}
	}
}

// printed are the commands that programs still running have printed to be tried, but for those that
// the README has.
func (r *newcomer) printed(known []shellBlock) (blocks []shellBlock) {
	var all strings.Builder
	for _, b := range known {
		all.WriteString(b.script)
	}
	for _, s := range r.started {
		for line := range strings.Lines(s.output()) {
			m := offered.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m != nil && !strings.Contains(all.String(), m[1]+"\n") {
				all.WriteString(m[1] + "\n")
				blocks = append(blocks, shellBlock{script: m[1] + "\n"})
			}
		}
	}
	return blocks
}

// stop ends all that still runs as Ctrl-C does, and what does not heed that for good.
func (r *newcomer) stop() {
	for _, s := range slices.Backward(r.started) {
		if err := s.stop(); err != nil {
			r.t.Errorf("%v\n%s\n--- printed:\n%s", err, s.script, s.output())
		}
	}
}
