package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
)

// Replica starts a read-only replica of master, which applies everything delay seconds after it was
// committed there. It waits until the replica has what master has and replicates. master must have
// been started with --server-id=1 and --log-bin; its databases' users are the replica's, too: see
// Database.On. args are more arguments of mariadbd.
func Replica(t testing.TB, master *DatabaseServer, delay int, args ...string) *DatabaseServer {
	t.Helper()
	var logs bool
	must(t, master.Admin(t).QueryRow("SELECT @@log_bin").Scan(&logs))
	if !logs {
		t.Fatal("the master has no binary log: start it with --server-id=1 and --log-bin")
	}
	d := newMariaDB(nil)
	d.name = "mariadb-replica"
	d.args = append([]string{"--read-only=1", "--log-bin=binlog", "--relay-log=relay"}, args...)
	d.argv = func(e *Engine) ([]string, error) {
		argv, err := d.commandLine(e)
		return append(argv, fmt.Sprintf("--server-id=%d", e.port.number)), err
	}
	d.begin(t, false, d.fill)
	must(t,
		d.exec("",
			fmt.Sprintf(
				"CHANGE MASTER TO MASTER_HOST = '%s', MASTER_PORT = %d, MASTER_USER = '%s', "+
					"MASTER_PASSWORD = '%s', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1",
				host, master.Port(), admin, master.password), "START SLAVE"))
	d.CatchUp(t, master)
	must(t, d.exec("", "STOP SLAVE", fmt.Sprintf("CHANGE MASTER TO MASTER_DELAY = %d", delay),
		"START SLAVE"))
	must(t, await("the replication", func() error { return d.replicates(t.Context()) }))
	return d
}

// CatchUp waits until this replica has applied all that master has committed by now.
func (d *DatabaseServer) CatchUp(t testing.TB, master *DatabaseServer) {
	t.Helper()
	var position string
	must(t, master.Admin(t).QueryRowContext(t.Context(),
		"SELECT @@gtid_binlog_pos").Scan(&position))
	replica := d.Admin(t)
	must(t, await("the replica", func() error {
		var late int
		if err := replica.QueryRowContext(t.Context(), "SELECT MASTER_GTID_WAIT(?, 1)",
			position).Scan(&late); err != nil {
			return err
		}
		if late != 0 {
			return errors.Join(fmt.Errorf("it is not yet at %s", position),
				d.replicates(t.Context()))
		}
		return nil
	}))
}

// replicates returns what keeps this replica from replicating, nil: nothing.
func (d *DatabaseServer) replicates(ctx context.Context) error {
	db, err := d.open("")
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SHOW SLAVE STATUS")
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if !rows.Next() {
		return errors.Join(errors.New("it is no replica"), rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	status := map[string]string{}
	for i, name := range names {
		status[name] = values[i].String
	}
	if status["Slave_IO_Running"] != "Yes" || status["Slave_SQL_Running"] != "Yes" {
		return fmt.Errorf("it does not replicate: receiving %s %s, applying %s %s",
			status["Slave_IO_Running"],
			status["Last_IO_Error"], status["Slave_SQL_Running"], status["Last_SQL_Error"])
	}
	return nil
}
