package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

const (
	people   = 1000
	password = "bench-secret"
)

// side is a proxy to be measured, on a store of its own with a thousand people.
type side struct {
	name string
	addr string
	pool *sqldb.Pool // its MySQL; nil: it is embedded
	*bench.Bench
}

// durable is what makes a MariaDB store as one in service does: a commit is on the disk when it
// returns.
func durable() []string {
	return []string{"--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync",
		"--innodb-log-file-size=512M", "--innodb-buffer-pool-size=512M", "--skip-log-bin"}
}

// onMySQL starts a binary on a database of its own on a server, and, with counts, on a Redis of its
// own.
func onMySQL(
	t *testing.T, name, binary string, server *servers.DatabaseServer, counts bool,
) *side {
	t.Helper()
	db := server.New(t)
	conf := storeOf(t, binary, db, counts)
	pool, err := sqldb.OpenMySQLPool(sqldb.MySQL{Addr: fmt.Sprintf("%s:%d", db.Host, db.Port),
		Database: db.Name, User: db.User, Password: db.Password}, sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	p := rig.StartWith(t, harness.Options{Binary: binary, Config: conf})
	return &side{name: name, addr: p.Addr, pool: pool}
}

// storeOf fills a database with people, and returns a configuration with it and, with counts, with
// a Redis of its own.
func storeOf(t *testing.T, binary string, db *servers.Database, counts bool) (conf string) {
	t.Helper()
	shared := harness.Config{MySQL: rig.MySQLOf(db), Msfs: "127.0.0.1"}
	if counts {
		shared.Redis = rig.HostAndPort(servers.StartRedis(t))
	}
	conf = rig.WriteConfig(t, shared)
	do(t, binary, "", "migrate", "--yes", "--config", conf)
	do(t, binary, company(), "user", "import", "-", "--config", conf)
	return conf
}

// embedded starts a binary on a directory of its own.
func embedded(t *testing.T, name, binary string) *side {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	do(t, binary, "", "migrate", "--data", data)
	do(t, binary, company(), "user", "import", "-", "--data", data)
	p := rig.StartWith(t, harness.Options{Binary: binary, Data: data})
	return &side{name: name, addr: p.Addr}
}

// company is people as "dbproxy user import" reads them. In a new store their ids begin with 1.
func company() string {
	var text strings.Builder
	text.WriteString("name,password\n")
	for i := range people {
		fmt.Fprintf(&text, "bench%d,%s\n", i+1, password)
	}
	return text.String()
}

// do runs a command of a binary.
func do(t *testing.T, binary, stdin string, args ...string) {
	t.Helper()
	if _, err := harness.Run(t.Context(), binary, stdin, args...); err != nil {
		t.Fatal(err)
	}
}

// options are those of a load on the side.
func (s *side) options() bench.Options {
	o := bench.Defaults()
	o.Addrs, o.Users, o.Password = []string{s.addr}, bench.Users{First: 1, Last: people}, password
	return o
}

// prepare prepares the side's store for profiles.
func (s *side) prepare(t *testing.T, o bench.Options, profiles []bench.Profile) {
	t.Helper()
	var err error
	if s.Bench, err = bench.Prepare(t.Context(), o, profiles); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
}

// buildOf builds the binary of a revision of the project.
func buildOf(t *testing.T, revision string) string {
	t.Helper()
	dir := t.TempDir()
	script := `git archive "$1" | tar -x -C "$2" && cd "$2" && ` +
		`CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$2/dbproxy-base" ./cmd/dbproxy`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", revision, dir)
	cmd.Dir, cmd.Stderr = rig.Root(), os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("building revision %s: %v", revision, err)
	}
	return filepath.Join(dir, "dbproxy-base")
}

// run runs a profile on the side, and reports what failed.
func (s *side) run(ctx context.Context, t *testing.T, p bench.Profile) *bench.Result {
	t.Helper()
	r, err := s.Run(ctx, p)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	if trouble := r.Trouble(); trouble != "" {
		t.Errorf("%s: %s: %s", s.name, r.Profile, trouble)
	}
	return r
}
