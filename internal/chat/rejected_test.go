package chat_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// TestWhatADatabaseRefusesIsItsOwnFault changes tables as forks and administrators do, so that the
// database refuses what the rules allow. Nobody is told that it was the caller's fault, or that it
// was done.
func TestWhatADatabaseRefusesIsItsOwnFault(t *testing.T) {
	refuse := func(on string) string {
		return fmt.Sprintf("CREATE TRIGGER t BEFORE %s FOR EACH ROW SIGNAL SQLSTATE '45000' SET "+
			"MESSAGE_TEXT='no'", on)
	}
	for name, test := range map[string]struct {
		spoil, mend string
		do          func(*spoiled) error
		kind        chat.Kind
	}{
		"a column without default": {"ALTER TABLE IMMessage_1 ADD extra int NOT NULL",
			"ALTER TABLE IMMessage_1 DROP extra", (*spoiled).send, chat.Unavailable},
		"the same of a group": {"ALTER TABLE IMGroupMessage_1 ADD extra int NOT NULL",
			"ALTER TABLE IMGroupMessage_1 DROP extra", (*spoiled).inGroup, chat.Unavailable},
		"a trigger": {refuse("INSERT ON IMMessage_1"), "DROP TRIGGER t",
			(*spoiled).send, chat.Unavailable},
		"a trigger with a state of its own": {"CREATE TRIGGER t BEFORE INSERT ON IMMessage_1 FOR " +
			"EACH ROW SIGNAL SQLSTATE 'AB123' " +
			"SET MYSQL_ERRNO=31000", "DROP TRIGGER t", (*spoiled).send, chat.Unavailable},
		"a trigger on sessions": {refuse("INSERT ON IMRecentSession"), "DROP TRIGGER t",
			(*spoiled).first, chat.Unavailable},
		"a trigger on people": {refuse("UPDATE ON IMUser"), "DROP TRIGGER t", (*spoiled).sign,
			chat.Unavailable},
		"a check": {"ALTER TABLE IMMessage_1 ADD CONSTRAINT c CHECK (msgId<2)",
			"ALTER TABLE IMMessage_1 DROP CONSTRAINT c", (*spoiled).send, chat.Unavailable},
		"a unique key": {"ALTER TABLE IMGroup ADD UNIQUE u (type)",
			"ALTER TABLE IMGroup DROP KEY u", (*spoiled).create,
			chat.Unavailable},
		"a column too small": {"ALTER TABLE IMRecentSession MODIFY peerId tinyint unsigned NOT " +
			"NULL",
			"ALTER TABLE IMRecentSession MODIFY peerId int unsigned NOT NULL", (*spoiled).first,
			chat.Unavailable},
		"ids that do not count": {"ALTER TABLE IMGroup MODIFY id int NOT NULL",
			"ALTER TABLE IMGroup MODIFY id int NOT NULL AUTO_INCREMENT", (*spoiled).create,
			chat.Unavailable},
		"ids that are all 0": {"ALTER TABLE IMGroup MODIFY id int NOT NULL DEFAULT 0",
			"ALTER TABLE IMGroup MODIFY id int NOT NULL AUTO_INCREMENT", (*spoiled).create,
			chat.Unavailable},
		"relations that are all 0": {"ALTER TABLE IMRelationShip MODIFY id int NOT NULL DEFAULT 0",
			"ALTER TABLE IMRelationShip MODIFY id int NOT NULL AUTO_INCREMENT", (*spoiled).first,
			chat.Unavailable},
		"sessions that are all 0": {"ALTER TABLE IMRecentSession MODIFY id int NOT NULL DEFAULT 0",
			"ALTER TABLE IMRecentSession MODIFY id int NOT NULL AUTO_INCREMENT", (*spoiled).first,
			chat.Unavailable},
		"sounds that are all 0": {"ALTER TABLE IMAudio MODIFY id int NOT NULL DEFAULT 0",
			"ALTER TABLE IMAudio MODIFY id int NOT NULL AUTO_INCREMENT", (*spoiled).voice,
			chat.Unavailable},
		"a path too long": {"ALTER TABLE IMAudio MODIFY path varchar(2)",
			"ALTER TABLE IMAudio MODIFY path varchar(255)", (*spoiled).voice, chat.Unavailable},
		// A text is the caller's: it may send a shorter one, or other characters.
		"a narrow content": {"ALTER TABLE IMMessage_1 MODIFY content varchar(10) COLLATE " +
			"utf8mb4_bin",
			"ALTER TABLE IMMessage_1 MODIFY content varchar(4096) COLLATE utf8mb4_bin",
			(*spoiled).send, chat.Invalid},
		"a narrow content in other letters": {"ALTER TABLE IMMessage_1 CHANGE content Content " +
			"varchar(10) COLLATE utf8mb4_bin",
			"ALTER TABLE IMMessage_1 CHANGE Content content varchar(4096) COLLATE utf8mb4_bin",
			(*spoiled).send, chat.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := &spoiled{start(t, engines[1], nil), 0}
			w.user(1, nil)
			w.group = w.world.group(1, 2)
			w.says(1, 2, "x")
			w.raw.Run(test.spoil)
			err := test.do(w)
			if chat.KindOf(err) != test.kind ||
				errors.Is(err, chat.ErrRejected) != (test.kind == chat.Unavailable) {
				t.Errorf("kind %v, want %v: %v", chat.KindOf(err), test.kind, err)
			}
			t.Log(err)
			w.raw.Run(test.mend)
			if err := test.do(w); err != nil {
				t.Errorf("when it was mended: %v", err)
			}
		})
	}
}

// spoiled is a world with user 1, a message between 1 and 2, and a group of theirs.
type spoiled struct {
	*world
	group uint32
}

func (w *spoiled) send() error {
	_, err := w.world.send(w.pairText(1, 2, "longer than ten"))
	return err
}

func (w *spoiled) inGroup() error {
	_, err := w.world.send(w.groupText(1, w.group, "x"))
	return err
}

// first sends the first message of a pair.
func (w *spoiled) first() error {
	_, err := w.world.send(w.pairText(700, 701, "x"))
	return err
}

func (w *spoiled) voice() error {
	_, err := w.world.send(w.pairVoice(1, 2, 3, "sound"))
	return err
}

func (w *spoiled) create() error {
	id, _, err := w.svc.CreateGroup(w.ctx, chat.NewGroup{
		Creator: 1, Type: chat.NormalGroup, Name: "x", Members: []uint32{1},
	})
	if (id == 0) != (err != nil) {
		w.Errorf("a group has id %d: %v", id, err)
	}
	return err
}

func (w *spoiled) sign() error { return w.svc.SetSignature(w.ctx, 1, "x") }

// TestAColumnOfATriggersTable has the name of ours, and lacks a character: the sender cannot help
// it.
func TestAColumnOfATriggersTable(t *testing.T) {
	w := &spoiled{start(t, engines[1], nil), 0}
	w.user(1, nil)
	w.raw.Run("CREATE TABLE audit (content varchar(4096) CHARACTER SET latin1)")
	w.raw.Run("CREATE TRIGGER t BEFORE INSERT ON IMMessage_1 " +
		"FOR EACH ROW INSERT INTO audit VALUES (NEW.content)")
	w.says(1, 2, "x")
	_, err := w.world.send(w.pairText(1, 2, "😀"))
	if wantKind(w.world, err, chat.Unavailable); !errors.Is(err, chat.ErrRejected) {
		t.Errorf("told as %v", err)
	}
}

// TestMessagesThatTheStorageRefusesAreTrouble has a trigger refuse messages: they are trouble until
// others are stored, and their neighbours are stored at once.
func TestMessagesThatTheStorageRefusesAreTrouble(t *testing.T) {
	rule(t, func(w *world) {
		w.refuseRows("bad")
		w.says(1, 2, "good")
		_, err := w.send(w.pairText(1, 2, "bad"))
		if wantKind(w, err, chat.Unavailable); !errors.Is(err, chat.ErrRejected) {
			w.Errorf("told as %v", err)
		}
		if what, failing := w.svc.Failing(); !failing || what.Count != 1 ||
			!errors.Is(what.Err, chat.ErrRejected) {
			w.Errorf("failing: %v, %+v", failing, what)
		}
		w.says(1, 2, "good")
		w.advance(seconds(10))
		if what, failing := w.svc.Failing(); failing {
			w.Errorf("still failing: %+v", what)
		}
	})
}
