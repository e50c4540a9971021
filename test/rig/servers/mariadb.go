package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// admin is the user of a server who may do everything; there is no root.
const admin = "tests"

// DatabaseServer is a running MariaDB.
type DatabaseServer struct {
	Engine
	args     []string
	password string            // admin's
	session  map[string]string // variables of admin's connections

	templatesMu sync.Mutex // held while a template is made
	templates   map[string]*Database
}

// MariaDB returns the server that all tests of this process share; the first call starts it.
func MariaDB(t testing.TB) *DatabaseServer {
	t.Helper()
	s, err := ours.sharedMariaDB()
	must(t, err)
	return s
}

func (s *sandbox) sharedMariaDB() (*DatabaseServer, error) {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	s.mu.Lock()
	shared := s.shared
	s.mu.Unlock()
	if shared != nil {
		return shared, nil
	}
	d := newMariaDB(nil)
	d.shared = true
	if err := d.setUp(false, d.fill); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = d
	return d, nil
}

// sharedMu is held while the shared server is started.
var sharedMu sync.Mutex

// StartMariaDB starts a server for this test alone. args are more arguments of mariadbd, after
// ours, such as --server-id or --log-bin. What was committed survives a Kill. For speed nothing is
// synced to the disk; the settings that operators check are innodb_flush_log_at_trx_commit=2 and
// sync_binlog=0, unless args say otherwise.
func StartMariaDB(t testing.TB, args ...string) *DatabaseServer {
	t.Helper()
	d := newMariaDB(args)
	d.begin(t, false, d.fill)
	return d
}

// RestartWith is Restart with more arguments of mariadbd, from now on; of two that contradict each
// other the later counts.
func (d *DatabaseServer) RestartWith(t testing.TB, args ...string) {
	t.Helper()
	d.own(t)
	d.args = append(d.args[:len(d.args):len(d.args)], args...)
	d.Restart(t)
}

func newMariaDB(args []string) *DatabaseServer {
	d := &DatabaseServer{args: args, password: rand.Text(), templates: map[string]*Database{}}
	d.Engine = Engine{name: "mariadb", argv: d.commandLine, ready: d.serves}
	return d
}

// fill puts the system's tables into the directory of a new server, and what to do at every start:
// away with root, who has no password.
func (d *DatabaseServer) fill(dir string) error {
	template, err := ours.initialised()
	if err != nil {
		return err
	}
	// A starting server removes temporary tables that it finds, also those of others: it needs a
	// place of its own.
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(template)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "init.sql"), []byte("SET SESSION sql_log_bin = 0;\n"+
		"CREATE OR REPLACE USER '"+admin+"'@'%' IDENTIFIED BY '"+d.password+"';\n"+
		"GRANT ALL PRIVILEGES ON *.* TO '"+admin+"'@'%' WITH GRANT OPTION;\n"+
		"DROP USER IF EXISTS 'root'@'localhost', 'root'@'127.0.0.1', 'root'@'::1';\n"), 0o600)
}

// initialised returns a data directory as mariadb-install-db makes it. That takes up to seconds: so
// once per process.
func (s *sandbox) initialised() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.template != "" {
		return s.template, nil
	}
	binary, err := find("mariadb-install-db")
	if err != nil {
		return "", err
	}
	dir, err := s.dirLocked("template")
	if err != nil {
		return "", err
	}
	// With --rpm it does not touch the owner of the system's own PAM plugin, which it otherwise
	// does for root.
	tmp, err := s.dirLocked("tmp")
	if err != nil {
		return "", err
	}
	args := append([]string{"--no-defaults", "--auth-root-authentication-method=normal",
		"--skip-test-db",
		"--skip-name-resolve", "--rpm", "--cross-bootstrap", "--datadir=" + dir, "--tmpdir=" + tmp},
		small...)
	out, err := exec.Command(binary, append(args, asUser()...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", binary, err, out)
	}
	s.template = dir
	return dir, nil
}

// small is what makes the server's files small and quick. InnoDB's files without sync lose nothing
// but by a crash of the whole machine.
var small = []string{"--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M",
	"--innodb-flush-method=nosync",
	"--loose-aria-log-file-size=8M", "--loose-sync-frm=0"}

// asUser is what mariadbd needs to run as root.
func asUser() []string {
	if os.Geteuid() == 0 {
		return []string{"--user=root"}
	}
	return nil
}

func (d *DatabaseServer) commandLine(e *Engine) ([]string, error) {
	binary, err := find("mariadbd")
	if err != nil {
		return nil, err
	}
	argv := append([]string{binary, "--no-defaults", "--datadir=" + filepath.Join(e.dir, "data"),
		"--tmpdir=" + filepath.Join(e.dir, "tmp"),
		"--init-file=" + filepath.Join(e.dir, "init.sql"),
		"--socket=mariadb.sock", "--pid-file=mariadb.pid",
		"--bind-address=" + host, fmt.Sprintf("--port=%d", e.port.number), "--skip-name-resolve",
		"--performance-schema=0", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
		"--max-connections=1000",
		"--innodb-buffer-pool-load-at-startup=0", "--innodb-buffer-pool-dump-at-shutdown=0",
		"--character-set-server=utf8mb4"}, small...)
	argv = append(argv, asUser()...)
	return append(argv, d.args...), nil
}

// Socket is the path of its socket.
func (d *DatabaseServer) Socket() string { return filepath.Join(d.dir, "data", "mariadb.sock") }

// serves proves that our server serves: nobody else's knows that password.
func (d *DatabaseServer) serves(*Engine) error {
	db, err := d.open("")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

// open opens a database as admin; the empty name is none.
func (d *DatabaseServer) open(database string) (*sql.DB, error) {
	return d.openWith(database, d.session)
}

// openWith is open with variables of its own.
func (d *DatabaseServer) openWith(database string, session map[string]string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = admin, d.password, "tcp", d.Addr(), database
	c.MultiStatements, c.Params = true, session
	c.Logger = &mysql.NopLogger{}
	// It is said on every connection: a server may have been told not to listen to the handshake.
	if err := c.Apply(mysql.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// Admin opens the server for a user who may do everything, and in statements separated by
// semicolons. It is in no database. It is closed when the test ends.
func (d *DatabaseServer) Admin(t testing.TB) *sql.DB {
	t.Helper()
	db, err := d.open("")
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// exec executes statements as admin.
func (d *DatabaseServer) exec(database string, statements ...string) error {
	db, err := d.open(database)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text := strings.Join(statements, ";\n")
	if _, err := db.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}
