package checkup_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/counters"
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
	"github.com/teamtalk-go/dbproxy/internal/records/tables"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

// TestCheckFindsTablesOfAnotherShape has tables as forks have them. Each is reported, and what is
// said to mend it does.
func TestCheckFindsTablesOfAnotherShape(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	for _, c := range []struct {
		change string
		item   string
		grade  checkup.Grade
		words  []string
	}{
		{"ALTER TABLE IMMessage_3 MODIFY msgId smallint unsigned NOT NULL", "numbers",
			checkup.Wrong, []string{"IMMessage_3.msgId (smallint"}},
		{"ALTER TABLE IMGroup MODIFY lastChated mediumint NOT NULL DEFAULT 0", "numbers",
			checkup.Wrong, []string{"IMGroup.lastChated"}},
		{"ALTER TABLE IMRecentSession MODIFY updated varchar(20) NOT NULL DEFAULT ''", "numbers",
			checkup.Wrong, []string{"IMRecentSession.updated"}},
		{"ALTER TABLE IMAudio MODIFY created datetime NOT NULL DEFAULT NOW()", "numbers",
			checkup.Wrong, []string{"IMAudio.created (datetime"}},
		{"ALTER TABLE IMUser MODIFY updated float NOT NULL", "numbers", checkup.Wrong,
			[]string{"IMUser.updated (float"}},
		{"ALTER TABLE IMDepart MODIFY priority tinyint NOT NULL DEFAULT 0", "numbers",
			checkup.Doubtful, []string{"IMDepart.priority"}},
		{"ALTER TABLE IMUser MODIFY push_shield_status tinyint NOT NULL DEFAULT 0", "numbers",
			checkup.Doubtful, []string{"push_shield_status"}},
		{"ALTER TABLE IMRelationShip MODIFY id int NOT NULL", "ids", checkup.Wrong,
			[]string{"IMRelationShip.id", "not counted"}},
		{"ALTER TABLE IMGroupMember MODIFY id smallint NOT NULL AUTO_INCREMENT", "ids",
			checkup.Wrong, []string{"IMGroupMember.id (smallint"}},
		{"ALTER TABLE IMUser MODIFY id int unsigned NOT NULL", "ids", checkup.Doubtful,
			[]string{"IMUser.id"}},
		{"ALTER TABLE IMMessage_1 MODIFY id int NOT NULL, DROP PRIMARY KEY", "ids", checkup.Wrong,
			[]string{"no primary key", "IMMessage_1.id"}},
		{"ALTER TABLE IMMessage_2 DROP PRIMARY KEY, ADD KEY (id), ADD PRIMARY KEY " +
			"(relateId,msgId,id,status)", "ids", checkup.Doubtful,
			[]string{"IMMessage_2 (its primary key)"}},
		{"ALTER TABLE IMProxyTalk DROP PRIMARY KEY, ADD PRIMARY KEY (a,b,kind)", "ids",
			checkup.Wrong, []string{"IMProxyTalk"}},
		{"ALTER TABLE IMMessage_0 MODIFY content varchar(1024) NOT NULL", "texts", checkup.Doubtful,
			[]string{"IMMessage_0.content (varchar(1024))"}},
		{"ALTER TABLE IMGroup MODIFY name char(32) CHARACTER SET utf8 COLLATE utf8_bin NOT NULL " +
			"DEFAULT ''", "texts", checkup.Doubtful, []string{"IMGroup.name", "COLLATE utf8"}},
		{"ALTER TABLE IMTransmitFile MODIFY taskId bigint NULL", "texts", checkup.Wrong,
			[]string{"IMTransmitFile.taskId"}},
		{"ALTER TABLE IMUser MODIFY phone bigint NOT NULL DEFAULT 0", "texts", checkup.Doubtful,
			[]string{"IMUser.phone"}},
		{"ALTER TABLE IMUser MODIFY nick varchar(32) COLLATE utf8mb4_bin NULL", "empty values",
			checkup.Doubtful, []string{"IMUser.nick", "UPDATE IMUser SET nick=''"}},
		{"ALTER TABLE IMMessage_7 ADD COLUMN app varchar(20) NOT NULL", "columns of others",
			checkup.Wrong, []string{"IMMessage_7.app (varchar(20))", "SET DEFAULT ''"}},
		{"ALTER TABLE IMGroup ADD COLUMN tenant int NOT NULL, ADD COLUMN notice text NOT NULL, " +
			"ADD COLUMN since timestamp NOT NULL", "columns of others",
			checkup.Wrong, []string{"IMGroup.notice", "IMGroup.since", "IMGroup.tenant"}},
		{"ALTER TABLE IMUser ADD COLUMN mac varchar(20) NOT NULL", "columns of others",
			checkup.Doubtful, []string{"IMUser.mac"}},
		{"ALTER TABLE IMGroup ADD UNIQUE KEY one (name(20))", "unique keys", checkup.Doubtful,
			[]string{"IMGroup(name)"}},
		{"ALTER TABLE IMGroupMember ADD CONSTRAINT who FOREIGN KEY (groupId) REFERENCES " +
			"IMProxyTalk (a)", "foreign keys", checkup.Doubtful, []string{"who"}},
		{"CREATE TRIGGER watching BEFORE INSERT ON IMAudio FOR EACH ROW SET NEW.size=NEW.size+1",
			"triggers", checkup.Doubtful, []string{"watching (BEFORE INSERT IMAudio)"}},
	} {
		if c.item == "foreign keys" {
			exec(t, b.Admin, "ALTER TABLE IMProxyTalk ADD KEY for_it (a)")
		}
		exec(t, b.Admin, c.change)
		found := ofMaster(t, testdb.Patient(b))
		want(t, found, c.item, c.grade, c.words...)
		for _, f := range found {
			if f.Item != c.item && f.Grade != checkup.Good && f.Item != "durability" &&
				f.Item != "characters" && f.Item != "collation" {
				t.Errorf("%s: also %+v", c.change, f)
			}
			if f.Item == c.item && f.Item != "triggers" {
				exec(t, b.Admin, f.Mend)
			}
		}
		if c.item == "triggers" {
			exec(t, b.Admin, "DROP TRIGGER watching")
		}
		for _, f := range ofMaster(t, testdb.Patient(b)) {
			if f.Item == c.item && f.Grade != checkup.Good {
				t.Errorf("%s: still %+v", c.change, f)
			}
		}
	}
	if found := checkup.CheckShape(t.Context(), testdb.Patient(b),
		checkup.CheckOptions{}); len(found) != 0 {
		t.Errorf("left: %+v", found)
	}
}

// TestCheckTakesTablesThatAreAsGood has tables of forks with which everything works.
func TestCheckTakesTablesThatAreAsGood(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	for _, change := range []string{
		"ALTER TABLE IMGroupMessage_1 MODIFY msgId bigint NOT NULL, MODIFY status int NOT NULL, " +
			"MODIFY created int unsigned NOT NULL",
		"ALTER TABLE IMMessage_1 MODIFY content mediumtext CHARACTER SET utf8mb4 COLLATE " +
			"utf8mb4_bin, MODIFY type tinyint(4) NOT NULL",
		"ALTER TABLE IMMessage_2 DROP PRIMARY KEY, ADD PRIMARY KEY (id,created)",
		"ALTER TABLE IMGroup MODIFY id bigint unsigned NOT NULL AUTO_INCREMENT, ADD COLUMN note " +
			"text NULL, ADD COLUMN tenant int NOT NULL DEFAULT 3",
		"ALTER TABLE IMRecentSession ADD COLUMN kind enum('a','b') NOT NULL, " +
			"ADD COLUMN twice int AS (userId*2) VIRTUAL",
		"ALTER TABLE IMRecentSession CHANGE userId USERID int unsigned NOT NULL, RENAME KEY " +
			"idx_userId_peerId_type TO IDX_USERID_PEERID_TYPE",
	} {
		exec(t, b.Admin, change)
	}
	found := checkup.CheckShape(t.Context(), testdb.Patient(b), checkup.CheckOptions{})
	if len(found) > 0 {
		t.Errorf("%+v", found)
	}
	want(t, ofMaster(t, testdb.Patient(b)), "tables", checkup.Good)
	s := openMySQL(t, b)
	if stmts, err := tables.Missing(t.Context(), s.DB()); err != nil || len(stmts) > 0 {
		t.Errorf("%q, %v", stmts, err)
	}
	if _, err := s.Create(t.Context(), chat.NewGroup{Creator: 1, Type: chat.NormalGroup, Name: "g",
		Members: []uint32{1}}, 9); err != nil {
		t.Error(err)
	}
	for range 2 {
		if r, err := s.Append(t.Context(), oneText(1, 2, "x"), counters.Embedded{}); err != nil ||
			r.Stored[0].Err != nil {
			t.Errorf("%+v, %v", r.Stored, err)
		}
	}
}

// suites are the tables of an original's database.
func suites(t *testing.T, b *servers.Database) (names []string) {
	t.Helper()
	for _, name := range testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE '%'") {
		if !strings.HasPrefix(strings.ToLower(name), "improxy") {
			names = append(names, name)
		}
	}
	return names
}

func TestTablesInOtherLettersAreNamedAndNotMadeAgain(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	for _, name := range testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE 'IMProxy%'") {
		exec(t, b.Admin, "DROP TABLE "+name)
	}
	for _, name := range suites(t, b) {
		exec(t, b.Admin, fmt.Sprintf("RENAME TABLE %s TO %s", name, strings.ToLower(name)))
	}
	before := testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE '%'")
	s := openMySQL(t, b)
	for what, ask := range map[string]func() ([]string, error){
		"all": func() ([]string, error) { return tables.Missing(t.Context(), s.DB()) },
		"own": func() ([]string, error) { return tables.MissingOwn(t.Context(), s.DB()) },
		"run": func() ([]string, error) { return tables.Migrate(t.Context(), s.DB()) },
	} {
		stmts, err := ask()
		if err == nil || chat.KindOf(err) != chat.NotAllowed || !strings.Contains(err.Error(),
			"imuser TO IMUser") {
			t.Errorf("%s: %d statements, %v", what, len(stmts), err)
		}
	}
	if after := testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE '%'"); len(after) != len(before) {
		t.Errorf("made %q", after)
	}
	found := checkup.CheckMaster(t.Context(), testdb.Patient(b),
		checkup.CheckOptions{MakesOwn: true})
	want(t, found, "tables", checkup.Wrong, "imuser", "lower_case_table_names",
		"RENAME TABLE imuser TO IMUser", "immessage_7 TO IMMessage_7")
	for _, f := range found {
		if f.Item == "tables" {
			_, rename, _ := strings.Cut(f.Mend, "stopped: ")
			exec(t, b.Admin, rename)
		}
	}
	want(t, ofMaster(t, testdb.Patient(b)), "tables", checkup.Good)

	// Beside the right one it does no harm, but there may be rows in it that somebody misses.
	exec(t, b.Admin, "CREATE TABLE imuser LIKE IMUser")
	want(t, ofMaster(t, testdb.Patient(b)), "tables", checkup.Good)
	want(t, ofMaster(t, testdb.Patient(b)), "twins", checkup.Doubtful, "imuser", "IMUser")
}

func TestAServerThatFoldsNamesOfTables(t *testing.T) {
	t.Parallel()
	b := servers.StartMariaDB(t, "--lower-case-table-names=1",
		"--innodb-default-row-format=compact", "--max-allowed-packet=1M").New(t)
	withTables(t, b)
	for _, item := range []string{"tables", "own tables", "rights", "engine"} {
		want(t, ofMaster(t, testdb.Patient(b)), item, checkup.Good)
	}
	if found := checkup.CheckShape(t.Context(), testdb.Patient(b),
		checkup.CheckOptions{}); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	s := openMySQL(t, b)
	if stmts, err := tables.Missing(t.Context(), s.DB()); err != nil || len(stmts) > 0 {
		t.Errorf("%q, %v", stmts, err)
	}
	exec(t, b.Admin, "ALTER TABLE imuser DROP COLUMN sign_info")
	want(t, ofMaster(t, testdb.Patient(b)), "tables", checkup.Wrong, "IMUser.sign_info")
	if ran, err := tables.Migrate(t.Context(), s.DB()); err != nil || len(ran) != 1 {
		t.Errorf("ran %q", ran)
	}
	if r, err := s.Append(t.Context(), oneText(1, 2, "x"), counters.Embedded{}); err != nil ||
		r.Stored[0].ID != 1 {
		t.Errorf("%+v, %v", r.Stored, err)
	}
	e, err := repair.Examine(t.Context(), s)
	if err != nil || !e.Ready() {
		t.Fatal(err)
	}
	ranges, err := e.Ranges(t.Context())
	if err != nil || len(ranges) == 0 {
		t.Errorf("%v, %v", ranges, err)
	}
}

// TestKeysFitOldServers: 767 bytes, without innodb_large_prefix or with rows of the format COMPACT.
func TestKeysFitOldServers(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	for _, name := range testdb.RawMySQL(t, b).Rows("SHOW TABLES LIKE 'IM%'") {
		exec(t, b.Admin, "ALTER TABLE "+name+" ROW_FORMAT=COMPACT")
	}
}

func TestViewsOfPeopleAreServed(t *testing.T) {
	t.Parallel()
	b := testdb.New(t)
	exec(t, b.Admin, "RENAME TABLE IMUser TO staff, IMDepart TO units")
	exec(t, b.Admin, "CREATE VIEW IMUser AS SELECT * FROM staff")
	exec(t, b.Admin, "CREATE VIEW IMDepart AS SELECT DISTINCT * FROM units")
	exec(t, b.Admin, "INSERT INTO staff (id,name,nick,password,salt) VALUES "+
		"(5,'eve','Eve','x','1')")
	exec(t, b.Admin, "INSERT INTO units (id,departName,updated) VALUES (2,'d',7)")
	found := ofMaster(t, testdb.Patient(b))
	wantGrades(t, slicesWithout(found, "durability", "max_allowed_packet"), checkup.Good)
	want(t, found, "views", checkup.Good, "IMUser, IMDepart", "migrate")
	s := openMySQL(t, b)
	if ran, err := tables.Migrate(t.Context(), s.DB()); err != nil || len(ran) > 0 {
		t.Errorf("ran %q", ran)
	}
	if stmt, err := tables.UserIndex(t.Context(), s.DB()); stmt != "" || err != nil {
		t.Errorf("%q, %v", stmt, err)
	}
	users, err := s.UsersChanged(t.Context(), 0)
	if err != nil || len(users) != 1 || users[0].Name != "eve" {
		t.Errorf("%+v, %v", users, err)
	}
	if err := s.SetSignature(t.Context(), 5, "hi", 9); err != nil {
		t.Error(err)
	}
	exec(t, b.Admin, "ALTER TABLE staff DROP COLUMN sign_info")
	exec(t, b.Admin, "CREATE OR REPLACE VIEW IMUser AS SELECT * FROM staff")
	want(t, ofMaster(t, testdb.Patient(b)), "tables", checkup.Wrong, "IMUser.sign_info")

	exec(t, b.Admin, "RENAME TABLE IMGroup TO rooms")
	exec(t, b.Admin, "CREATE VIEW IMGroup AS SELECT * FROM rooms")
	want(t, ofMaster(t, testdb.Patient(b)), "views", checkup.Wrong, "IMGroup", "written")
}

func slicesWithout(findings []checkup.Finding, items ...string) (left []checkup.Finding) {
	for _, f := range findings {
		if !strings.Contains(strings.Join(items, ","), f.Item) {
			left = append(left, f)
		}
	}
	return left
}

func TestRightsOfARoleCount(t *testing.T) {
	t.Parallel()
	b := servers.StartMariaDB(t).New(t)
	withTables(t, b)
	exec(t, b.Admin, "CREATE ROLE serving")
	exec(t, b.Admin, fmt.Sprintf("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON "+
		"`%s`.* TO serving", b.Name))
	exec(t, b.Admin, fmt.Sprintf("REVOKE ALL PRIVILEGES ON `%s`.* FROM '%s'@'%%'", b.Name, b.User))
	exec(t, b.Admin, fmt.Sprintf("GRANT serving TO '%s'@'%%'", b.User))
	want(t, ofMaster(t, testdb.Patient(b)), "reachable", checkup.Wrong, "denied",
		"SET DEFAULT ROLE")
	exec(t, b.Admin, fmt.Sprintf("SET DEFAULT ROLE serving FOR '%s'@'%%'", b.User))
	exec(t, b.Admin, "DROP TABLE IMProxyMark")
	found := checkup.CheckMaster(t.Context(), testdb.Patient(b),
		checkup.CheckOptions{MakesOwn: true})
	wantGrades(t, slicesWithout(found, "durability"), checkup.Good)
	exec(t, b.Admin, fmt.Sprintf("REVOKE CREATE, INDEX ON `%s`.* FROM serving", b.Name))
	want(t, ofMaster(t, testdb.Patient(b)), "rights to create", checkup.Doubtful,
		"may not CREATE, INDEX", "SET DEFAULT ROLE")
}

// TestRightsOnAViewCount has people of another database, whom the proxy's user sees only through a
// view.
func TestRightsOnAViewCount(t *testing.T) {
	t.Parallel()
	b, people := testdb.New(t), testdb.New(t)
	exec(t, b.Admin, "DROP TABLE IMUser")
	exec(t, b.Admin, "CREATE VIEW IMUser AS SELECT * FROM `"+people.Name+"`.IMUser")
	found := slicesWithout(ofMaster(t, testdb.Patient(b)), "durability", "max_allowed_packet")
	wantGrades(t, found, checkup.Good)
	want(t, found, "rights", checkup.Good, "on all tables")

	exec(t, b.Admin, "RENAME TABLE IMDepart TO units")
	exec(t, b.Admin, "CREATE DEFINER=nobody@localhost VIEW IMDepart AS SELECT * FROM units")
	want(t, ofMaster(t, testdb.Patient(b)), "rights", checkup.Wrong, "IMDepart: ",
		"make the view anew")
	exec(t, b.Admin, "CREATE OR REPLACE VIEW IMDepart AS SELECT * FROM units")
	exec(t, people.Admin, "DROP TABLE IMUser")
	want(t, ofMaster(t, testdb.Patient(b)), "rights", checkup.Wrong, "IMUser: ", "invalid table",
		"make the view anew")
}
