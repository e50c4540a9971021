package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// original has the shape of a file of the original: its keys, comments and habits.
const original = `#configure for db proxy server
ListenIP=127.0.0.1;10.0.0.5
ListenPort=10600
ThreadNum=48		# double the number of CPU core
MsfsSite=127.0.0.1

#configure for mysql
DBInstances=teamtalk_master,teamtalk_slave
#teamtalk_master
teamtalk_master_host=127.0.0.1
teamtalk_master_port=3306
teamtalk_master_dbname=teamtalk
teamtalk_master_username=root
teamtalk_master_password=s3=cret
teamtalk_master_maxconncnt=16

#teamtalk_slave
teamtalk_slave_host=127.0.0.1
teamtalk_slave_port=3307
teamtalk_slave_dbname=teamtalk
teamtalk_slave_username=reader
teamtalk_slave_password=other
teamtalk_slave_maxconncnt=8

#configure for redis
CacheInstances=unread,group_set,token,sync,group_member
unread_host=127.0.0.1
unread_port=6379
unread_db=1
unread_maxconncnt=16
group_set_host=127.0.0.1
group_set_port=6379
group_set_db=1
group_set_maxconncnt=16
sync_host=127.0.0.1
sync_port=6379
sync_db=2
sync_maxconncnt=1
token_host=127.0.0.1
token_port=6380
token_db=1
token_maxconncnt=16
group_member_host=127.0.0.1
group_member_port=6379
group_member_db=1
group_member_maxconncnt=48

#AES 密钥
aesKey=12345678901234567890123456789012
`

// loaded is a text that loads, with an environment.
func loaded(t *testing.T, text string, env ...string) (*Config, []Warning) {
	t.Helper()
	c, warnings, err := load("dbproxyserver.conf", []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	return c, warnings
}

func TestTheOriginalsFileWorksAsItIs(t *testing.T) {
	for name, text := range map[string]string{
		"as it is": original, "CRLF": strings.ReplaceAll(original, "\n", "\r\n"),
		"byte order mark": "\ufeff" + original,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), File)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, warnings, err := Load(path, nil, nil)
			if err != nil || len(warnings) > 0 {
				t.Fatal(warnings, err)
			}
			checkOriginal(t, c)
		})
	}
}

func checkOriginal(t *testing.T, c *Config) {
	t.Helper()
	if d := cmp.Diff([]string{"127.0.0.1:10600", "10.0.0.5:10600"}, c.Listen()); d != "" {
		t.Error(d)
	}
	if c.ThreadNum != 48 || c.MsfsSite != "http://127.0.0.1/" ||
		c.AESKey.Reveal() != "12345678901234567890123456789012" {
		t.Errorf("%d %s %s", c.ThreadNum, c.MsfsSite, c.AESKey.Reveal())
	}
	if c.ShieldTimeZone != time.Local || c.AdminListen != "127.0.0.1:10601" ||
		c.LogLevel != slog.LevelInfo {
		t.Errorf("%s %s %s", c.ShieldTimeZone, c.AdminListen, c.LogLevel)
	}
	limits := Limits{
		RequestTimeout: 5 * time.Second, DrainTimeout: 4 * time.Second,
		MsfsTimeout: 2 * time.Second,
		MaxFrame:    16 << 20, MaxPending: 256 << 20, MaxConnections: 1024, MaxInFlight: 1024,
		ConnectionShare: 12, QuietTimeout: 2 * time.Minute, MinSendRate: 16 << 10,
		MinTakeRate: 16 << 10,
		RateWindow:  10 * time.Second,
	}
	if d := cmp.Diff(limits, c.Limits); d != "" {
		t.Error(d)
	}
	slave := Database{
		Host: "127.0.0.1", Port: 3307, Name: "teamtalk", User: "reader", Password: "other",
		MaxConns: 8, MaxIdle: 8, MultiStatements: "auto",
		ConnLifetime: 30 * time.Minute, ConnIdleTime: 5 * time.Minute,
		ConnectTimeout:   2 * time.Second,
		StatementTimeout: 3 * time.Second, TLS: TLS{Mode: "off"},
	}
	if d := cmp.Diff(slave, c.Slave); d != "" {
		t.Error(d)
	}
	if c.Master.Password.Reveal() != "s3=cret" || c.Master.Addr() != "127.0.0.1:3306" ||
		c.SameDatabase() {
		t.Error(c.Master.Password.Reveal(), c.Master.Addr(), c.SameDatabase())
	}
	member := Cache{
		Host: "127.0.0.1", Port: 6379, DB: 1, MaxConns: 48, TLS: TLS{Mode: "off"},
		ConnectTimeout: 200 * time.Millisecond, CallTimeout: 500 * time.Millisecond,
	}
	if d := cmp.Diff(member, c.GroupMember); d != "" {
		t.Error(d)
	}
}

func TestOneDatabaseMayServeAsBoth(t *testing.T) {
	same, _ := loaded(t, strings.ReplaceAll(original, "3307", "3306"))
	if !same.SameDatabase() || !same.NeedlessSlave() || same.Slave.User != "reader" {
		t.Error("same host, port and name")
	}
	text := strings.ReplaceAll(original, "teamtalk_master,teamtalk_slave", "teamtalk_master")
	alone, warnings := loaded(t, text)
	if !alone.SameDatabase() || alone.NeedlessSlave() || alone.Slave != alone.Master {
		t.Error("without a replica the master is both")
	}
	want := []Warning{{"dbproxyserver.conf:18", 18,
		"the keys of teamtalk_slave are not used, as DBInstances does not name it"}}
	if d := cmp.Diff(want, warnings); d != "" {
		t.Error(d)
	}
	if strings.Contains(lines(alone), "slave") {
		t.Error("keys of the replica are shown")
	}
}

func TestSyncMayBeLeftOut(t *testing.T) {
	text := strings.ReplaceAll(original, "sync,", "")
	text = strings.ReplaceAll(text, "sync_", "# ")
	if _, warnings := loaded(t, text); len(warnings) > 0 {
		t.Error(warnings)
	}
}

func TestEveryWayToReachRedis(t *testing.T) {
	sentinel := strings.NewReplacer("unread_host=127.0.0.1", "unread_sentinels=a:26379; b:26379",
		"unread_port=6379",
		"unread_sentinel_master=mine\nunread_sentinel_username=u\n"+
			"unread_sentinel_password=p\nunread_password=q")
	c, warnings := loaded(t, sentinel.Replace(original))
	if len(warnings) > 0 || c.Unread.SentinelMaster != "mine" ||
		c.Unread.SentinelPassword.Reveal() != "p" {
		t.Errorf("%v %+v", warnings, c.Unread)
	}
	if d := cmp.Diff([]string{"a:26379", "b:26379"}, c.Unread.Addrs()); d != "" {
		t.Error(d)
	}
	cluster := strings.NewReplacer("unread_host=127.0.0.1", "unread_cluster=a:1;B:2",
		"unread_port=6379", "",
		"group_set_host=127.0.0.1", "group_set_cluster=b:2;A:1", "group_set_port=6379", "",
		"group_set_db=1", "group_set_db=0")
	_, warnings = loaded(t, cluster.Replace(original))
	if len(warnings) != 1 || !strings.Contains(warnings[0].Text, "unread_db is ignored") {
		t.Error(warnings)
	}
}

// TestMistakes compares the whole lists of mistakes and warnings of the files in testdata/mistakes
// with what stands beside them; -update writes it.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "mistakes", "*.conf"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var env []string
			for line := range strings.Lines(string(text)) {
				if set, ok := strings.CutPrefix(line, "#env "); ok {
					env = append(env, strings.TrimSpace(set))
				}
			}
			c, warnings, err := load(filepath.Base(path), text, env)
			var list *Error
			if c != nil || !errors.As(err, &list) {
				t.Fatalf("config %v, error %v", c, err)
			}
			got, _, _ := strings.Cut(err.Error(), "\n")
			for _, m := range list.Mistakes {
				got += "\n  " + m.Where + ": " + m.Text
			}
			got += "\n\nwarnings:\n"
			for _, w := range warnings {
				got += w.String() + "\n"
			}
			golden := strings.TrimSuffix(path, ".conf") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("%s (-want +got):\n%s", golden, d)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "x.conf")
	if _, _, err := Load(missing, nil, nil); !errors.Is(err, os.ErrNotExist) ||
		!strings.Contains(err.Error(), "config example") {
		t.Error(err)
	}
	if _, _, err := Load(t.TempDir(), nil, nil); err == nil {
		t.Error("a directory was read")
	}
	large := filepath.Join(t.TempDir(), "large.conf")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(large, nil, nil); err == nil ||
		!strings.Contains(err.Error(), "larger than 1MiB") {
		t.Error(err)
	}
}
