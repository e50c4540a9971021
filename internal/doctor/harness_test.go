package doctor_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/doctor"
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
	"github.com/teamtalk-go/dbproxy/internal/records"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(servers.Around(m)) }

// world is a store at work, and a connection of its own to its tables, to do what original servers
// do.
type world struct {
	*testing.T
	store *records.Store
	raw   testdb.Raw
	seq   chat.Sequencer
	copy  doctor.Copy // nil: none
	apply func(commits ...chat.Commit) error
}

// onEngines runs a test on a store of each kind.
func onEngines(t *testing.T, test func(w *world)) {
	t.Parallel()
	for _, e := range testdb.Engines {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, e))
		})
	}
}

func logTo(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func newWorld(t *testing.T, e testdb.Engine) *world {
	t.Helper()
	store, raw := e.Open(t, t.TempDir(), records.Options{Log: logTo(t)})
	return &world{T: t, store: store, raw: raw, seq: counters.Embedded{Records: store},
		apply: func(...chat.Commit) error { return nil }}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// doctor is a doctor for the world.
func (w *world) doctor() *doctor.Doctor {
	w.Helper()
	examination, err := repair.Examine(w.Context(), w.store)
	w.must(err)
	return &doctor.Doctor{Records: examination, Sequencer: w.seq, Copy: w.copy}
}

// examine is what a doctor finds, as "kind count" or, repaired, "kind count/mended".
func (w *world) examine(change func(*doctor.Doctor)) []string {
	w.Helper()
	d := w.doctor()
	if change != nil {
		change(d)
	}
	report, err := d.Run(w.Context())
	w.must(err)
	return brief(report)
}

func brief(report *doctor.Report) (found []string) {
	for _, f := range report.Findings {
		line := fmt.Sprint(f.Kind, " ", f.Count)
		if f.Mended > 0 {
			line += fmt.Sprint("/", f.Mended)
		}
		found = append(found, line)
	}
	return found
}

func mending(d *doctor.Doctor) { d.Repair = true }

// wantFound examines, repairs, and examines again.
func (w *world) wantFound(found, repaired, left []string) {
	w.Helper()
	before := w.audit()
	if got := w.examine(nil); !slices.Equal(got, found) {
		w.Errorf("found %q, want %q", got, found)
	}
	if got := w.examine(mending); !slices.Equal(got, repaired) {
		w.Errorf("repaired %q, want %q", got, repaired)
	}
	if got := w.examine(nil); !slices.Equal(got, left) {
		w.Errorf("left %q, want %q", got, left)
	}
	if after := w.audit(); !slices.Equal(after, before) {
		w.Errorf("the contents were\n%q\nand are\n%q", before, after)
	}
}

// audit is all that must never change: what was written, by whom, to whom, in which state; times
// and ids aside.
func (w *world) audit() (all []string) {
	w.Helper()
	for i := range 8 {
		all = append(all, w.raw.Rows(fmt.Sprintf("SELECT fromId,toId,content,type,status,updated "+
			"FROM IMMessage_%d", i))...)
		all = append(all, w.raw.Rows(fmt.Sprintf("SELECT groupId,userId,content,type,status,"+
			"updated FROM IMGroupMessage_%d", i))...)
	}
	slices.Sort(all)
	return all
}

// message is a row as an original server leaves it.
func (w *world) message(relation, from, to int, id int64, created int, content string) {
	w.Helper()
	w.raw.Run(fmt.Sprintf("INSERT INTO IMMessage_%d "+
		"(relateId,fromId,toId,msgId,content,type,status,updated,created) VALUES "+
		"(?,?,?,?,?,1,0,?,?)", relation%8),
		relation, from, to, id, content, created, created)
}

func (w *world) groupMessage(group, from int, id int64, created int, content string) {
	w.Helper()
	w.raw.Run(fmt.Sprintf("INSERT INTO IMGroupMessage_%d "+
		"(groupId,userId,msgId,content,type,status,updated,created) VALUES (?,?,?,?,17,0,?,?)",
		group%8),
		group, from, id, content, created, created)
}

func (w *world) relation(id, a, b, status, updated int) {
	w.Helper()
	w.raw.Run("INSERT INTO IMRelationShip (id,smallId,bigId,status,created,updated) VALUES "+
		"(?,?,?,?,1,?)", id, a, b, status, updated)
}

func (w *world) session(id, user, peer, kind, status, updated int) {
	w.Helper()
	w.raw.Run("INSERT INTO IMRecentSession (id,userId,peerId,type,status,created,updated) VALUES "+
		"(?,?,?,?,?,1,?)", id, user, peer, kind, status, updated)
}

// group is an original's group, with members who joined at a time.
func (w *world) group(id, joined int, members ...int) {
	w.Helper()
	w.raw.Run("INSERT INTO IMGroup "+
		"(id,name,avatar,creator,type,userCnt,status,version,lastChated,updated,created) VALUES "+
		"(?,'g','',1,1,?,0,1,0,1,1)", id, len(members))
	for _, m := range members {
		w.member(id, m, 0, joined)
	}
}

func (w *world) member(group, user, status, joined int) {
	w.Helper()
	w.raw.Run("INSERT INTO IMGroupMember (groupId,userId,status,created,updated) VALUES "+
		"(?,?,?,1,?)", group, user, status, joined)
}

// send stores messages as a proxy does, a batch, and returns their ids.
func (w *world) send(drafts ...chat.Draft) (ids []uint32) {
	w.Helper()
	b := chat.Batch{ID: chat.NewCommitID(), Now: uint32(time.Now().Unix()), Drafts: drafts}
	receipt, err := w.store.Append(w.Context(), b, w.seq)
	w.must(err)
	w.must(w.apply(chat.Commit{ID: b.ID, Changes: receipt.Changes}))
	w.must(w.store.Applied(w.Context(), []chat.CommitID{b.ID}))
	for _, s := range receipt.Stored {
		w.must(s.Err)
		ids = append(ids, s.ID)
	}
	return ids
}

func text(from, to uint32, content string) chat.Draft {
	return chat.Draft{Talk: chat.PairTalk(from, to), From: from, Type: chat.PairText,
		Content: content, Time: 1000}
}

func inGroup(from, group uint32, content string) chat.Draft {
	return chat.Draft{Talk: chat.GroupTalk(group), From: from, Type: chat.GroupText,
		Content: content, Time: 1000}
}

// page is a talk as its readers see it, newest first.
func (w *world) page(talk chat.Talk) string {
	w.Helper()
	messages, err := testdb.Page(w.Context(), w.store, talk, chat.PageQuery{Count: 1000})
	w.must(err)
	var out []string
	for _, m := range messages {
		out = append(out, fmt.Sprintf("%d:%s@%d", m.ID, m.Data, m.Created))
	}
	return strings.Join(out, " ")
}

func (w *world) wantPage(talk chat.Talk, want string) {
	w.Helper()
	if got := w.page(talk); got != want {
		w.Errorf("%s is\n%s\nwant\n%s", talk, got, want)
	}
}

// until runs work beside the test until the function it returns is called, which returns its error.
func until(work func(ctx context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	return func() error { cancel(); return <-ended }
}
