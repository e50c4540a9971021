package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// Database is a database of its own on a server, with a user who has all rights on it and none
// elsewhere.
type Database struct {
	Host           string
	Port           int
	User, Password string
	Name           string
	// the database for a user who may do everything, and in statements separated by semicolons
	Admin *sql.DB

	server *DatabaseServer
}

// DSN is the database for its user as go-sql-driver wants it; params are key=value, joined by &,
// and may be empty.
func (b *Database) DSN(params string) string {
	return fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?%s", b.User, b.Password, b.Host, b.Port, b.Name, params)
}

// New makes an empty database, utf8mb4, with a random name. On the shared server it is dropped when
// the test ends.
func (d *DatabaseServer) New(t testing.TB) *Database {
	t.Helper()
	b, err := d.create()
	must(t, err)
	t.Cleanup(func() {
		b.Admin.Close()
		if !d.shared {
			return // all of the server goes, and perhaps it does not run
		}
		if err := d.exec("", "DROP DATABASE `"+b.Name+"`",
			"DROP USER '"+b.User+"'@'%'"); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (d *DatabaseServer) create() (*Database, error) {
	// the user's too: nothing in it that GRANT takes for a pattern
	name := "test" + strings.ToLower(rand.Text())[:16]
	b := &Database{Host: host, Port: d.Port(), User: name, Password: rand.Text(), Name: name,
		server: d}
	err := d.exec("", "CREATE DATABASE `"+name+"` CHARACTER SET utf8mb4",
		"CREATE USER '"+name+"'@'%' IDENTIFIED BY '"+b.Password+"'",
		"GRANT ALL PRIVILEGES ON `"+name+"`.* TO '"+name+"'@'%'")
	if err != nil {
		return nil, err
	}
	b.Admin, err = d.open(name)
	return b, err
}

// On is the same database on another server that has the same users: a replica. Its Admin is closed
// when the test ends.
func (b *Database) On(t testing.TB, replica *DatabaseServer) *Database {
	t.Helper()
	other := *b
	var err error
	other.Port, other.server = replica.Port(), replica
	other.Admin, err = replica.open(b.Name)
	must(t, err)
	t.Cleanup(func() { other.Admin.Close() })
	return &other
}

// Clone makes a database with the tables and rows of another one on this server; triggers, views
// and foreign keys stay behind.
func (d *DatabaseServer) Clone(t testing.TB, template *Database) *Database {
	t.Helper()
	b := d.New(t)
	must(t, b.copy(template))
	return b
}

// Filled is New with what fill does to it. fill is called once for each key of this server; all
// databases are clones of the first one.
func (d *DatabaseServer) Filled(t testing.TB, key string, fill func(*Database)) *Database {
	t.Helper()
	return d.Clone(t, d.template(t, key, fill))
}

func (d *DatabaseServer) template(t testing.TB, key string, fill func(*Database)) *Database {
	t.Helper()
	d.templatesMu.Lock()
	defer d.templatesMu.Unlock()
	if b := d.templates[key]; b != nil {
		return b
	}
	b, err := d.create()
	must(t, err)
	defer b.Admin.Close()
	fill(b)
	d.templates[key] = b
	return b
}

func (b *Database) copy(template *Database) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := b.Admin.QueryContext(ctx, `SELECT table_name FROM information_schema.tables
		WHERE table_schema = ? AND table_type = 'BASE TABLE'`, template.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	statements := []string{"SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"}
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		from := "`" + template.Name + "`.`" + table + "`"
		statements = append(statements, "CREATE TABLE `"+table+"` LIKE "+from,
			"INSERT INTO `"+table+"` SELECT * FROM "+from)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return b.server.exec(b.Name, statements...)
}
