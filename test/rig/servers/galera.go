package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Galera is a cluster of two MariaDB nodes, both of which take writes, and an arbitrator. The
// arbitrator has a vote and no data: without it, neither of two equal nodes could tell whether the
// other one is gone or it is cut off itself.
//
// A node that is killed or frozen is declared gone after 2 s. One that is restarted gets from the
// other node what it lacks; Restart returns when it has that, and takes part.
type Galera struct {
	Nodes      [2]*DatabaseServer
	Arbitrator *Engine

	members [3]*port // the nodes' and the arbitrator's for each other
	state   [2]*port // the nodes' for what they lack
	formed  bool     // there was a cluster
}

// galeraOptions are how soon the members notice that one does not answer, and how soon they find
// each other.
const galeraOptions = "evs.keepalive_period=PT0.25S;evs.inactive_check_period=PT0.25S;" +
	"evs.suspect_timeout=PT2S;evs.inactive_timeout=PT6S;evs.join_retrans_period=PT0.25S;" +
	"pc.announce_timeout=PT0.5S;pc.recovery=false"

// StartGalera starts a cluster for this test alone. args are more arguments of both nodes.
func StartGalera(t testing.TB, args ...string) *Galera {
	t.Helper()
	g := newGalera(args)
	t.Cleanup(g.release)
	for _, e := range g.engines() {
		t.Cleanup(func() { e.end(t) })
	}
	must(t, g.start())
	return g
}

// SharedGalera returns the cluster that all tests of this process share; the first call starts it.
func SharedGalera(t testing.TB) *Galera {
	t.Helper()
	g, err := ours.sharedGalera()
	must(t, err)
	return g
}

func (s *sandbox) sharedGalera() (*Galera, error) {
	sharedGaleraMu.Lock()
	defer sharedGaleraMu.Unlock()
	s.mu.Lock()
	g := s.galera
	s.mu.Unlock()
	if g != nil {
		return g, nil
	}
	g = newGalera(nil)
	for _, e := range g.engines() {
		e.shared = true
	}
	if err := g.start(); err != nil {
		g.release()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.galera = g
	return g, nil
}

// sharedGaleraMu is held while the shared cluster is started.
var sharedGaleraMu sync.Mutex

func newGalera(args []string) *Galera {
	g := new(Galera)
	for i := range g.Nodes {
		d := newMariaDB(args)
		if i > 0 { // they have the same users
			d.password = g.Nodes[0].password
		}
		d.name = fmt.Sprintf("galera-%d", i+1)
		// Its connections see what was committed at the other node.
		d.session = map[string]string{"wsrep_sync_wait": "15"}
		d.argv = func(e *Engine) ([]string, error) { return g.commandLine(i, e) }
		d.ready = func(*Engine) error { return d.synced() }
		d.joined = func() error { return g.joined(i) }
		g.Nodes[i] = d
	}
	g.Arbitrator = &Engine{name: "garbd", argv: g.arbitratorLine, ready: g.complete}
	return g
}

func (g *Galera) engines() []*Engine {
	return []*Engine{&g.Nodes[0].Engine, &g.Nodes[1].Engine, g.Arbitrator}
}

func (g *Galera) start() (err error) {
	for _, list := range [][]*port{g.members[:], g.state[:]} {
		for i := range list {
			if list[i], err = freePort(false); err != nil {
				return err
			}
		}
	}
	for _, d := range g.Nodes {
		if err := d.setUp(false, g.fill(d)); err != nil {
			return err
		}
		g.formed = true
	}
	if err := g.Arbitrator.setUp(false, nil); err != nil {
		return err
	}
	return g.Nodes[0].exec("", "CREATE DATABASE rig",
		"CREATE TABLE rig.proofs (id varchar(32) PRIMARY KEY) ENGINE=InnoDB")
}

// release gives back all ports.
func (g *Galera) release() {
	for _, e := range g.engines() {
		if e.port != nil {
			e.port.release()
		}
	}
	for _, list := range [][]*port{g.members[:], g.state[:]} {
		for _, p := range list {
			if p != nil {
				p.release()
			}
		}
	}
}

// addresses are those of all members, for each other.
func (g *Galera) addresses() string {
	var all []string
	for _, p := range g.members {
		all = append(all, net.JoinHostPort(host, strconv.Itoa(p.number)))
	}
	return "gcomm://" + strings.Join(all, ",")
}

// listening is the option that says where a member listens.
func (g *Galera) listening(member int) string {
	return fmt.Sprintf("gmcast.listen_addr=tcp://%s:%d;%s",
		host, g.members[member].number, galeraOptions)
}

// transfer is how a node gets all data of another one: it copies the directory. MariaDB's own
// scripts need more programs, look around once a second only, and do not work for every user.
const transfer = `#!/bin/sh
set -eu
bypass=
while [ $# -gt 0 ]; do
	case $1 in
	--role) role=$2; shift ;;
	--address) to=$2; shift ;;
	--datadir) data=${2%/}; shift ;;
	--parent) parent=$2; shift ;;
	--gtid) state=$2; shift ;;
	--gtid-domain-id) domain=$2; shift ;;
	--bypass) bypass=1 ;;
	--mysqld-args) break ;;
	esac
	shift
done
if [ "$role" = joiner ]; then
	rm -f "$data/sst.state"
	echo "ready $data"
	until [ -e "$data/sst.state" ]; do
		kill -0 "$parent"
		sleep 0.05
	done
	cat "$data/sst.state"
	rm "$data/sst.state"
	exit
fi
if [ -z "$bypass" ]; then
	echo "flush tables"
	until [ -e "$data/tables_flushed" ]; do sleep 0.05; done
	state=$(cat "$data/tables_flushed")
	rm "$data/tables_flushed"
	(cd "$to" && find . -mindepth 1 -maxdepth 1 ! -name 'gvwstate.dat' ! -name 'g*.cache' \
		! -name 'grastate.dat' -exec rm -rf {} +)
	(cd "$data" && tar -cf - --exclude=./galera.cache --exclude=./grastate.dat \
		--exclude=./gvwstate.dat .) | tar -C "$to" -xf -
fi
echo continue
echo "$state $domain" >"$to/sst.new"
mv "$to/sst.new" "$to/sst.state"
echo "done $state $domain"
`

// fill puts into a node's directory what it needs, and what to do at every start, by each node for
// itself.
func (g *Galera) fill(d *DatabaseServer) func(dir string) error {
	return func(dir string) error {
		if err := d.fill(dir); err != nil {
			return err
		}
		init := filepath.Join(dir, "init.sql")
		users, err := os.ReadFile(init)
		if err != nil {
			return err
		}
		users = append([]byte("SET SESSION wsrep_on = OFF;\n"), users...)
		if err := os.WriteFile(init, users, 0o600); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "wsrep_sst_copy"), []byte(transfer), 0o700)
	}
}

// commandLine is how a node is started: the first one begins the cluster, and who was a member says
// how far it came.
func (g *Galera) commandLine(node int, e *Engine) ([]string, error) {
	d := g.Nodes[node]
	argv, err := d.commandLine(e)
	if err != nil {
		return nil, err
	}
	provider, err := findProvider()
	if err != nil {
		return nil, err
	}
	argv = append([]string{"/usr/bin/env", "PATH=" + e.dir + ":" + os.Getenv("PATH")}, argv...)
	argv = append(argv, "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON",
		"--wsrep-provider="+provider, "--wsrep-cluster-name=tests",
		"--wsrep-cluster-address="+g.addresses(),
		"--wsrep-node-name="+e.name, "--wsrep-node-address="+host,
		"--wsrep-node-incoming-address="+e.Addr(),
		"--wsrep-sst-method=copy",
		"--wsrep-sst-receive-address="+host+":"+strconv.Itoa(g.state[node].number),
		fmt.Sprintf("--wsrep-provider-options=ist.recv_addr=%s:%d;gcache.size=64M;%s",
			host, g.state[node].number,
			g.listening(node)))
	argv = append(argv, d.args...) // once more: they count more than these
	saved := filepath.Join(e.dir, "data", "grastate.dat")
	switch _, err := os.Stat(saved); {
	case !g.formed:
		return append(argv, "--wsrep-new-cluster"), errors.Join(os.RemoveAll(saved))
	case errors.Is(err, os.ErrNotExist):
		return argv, nil
	}
	ask := append(argv[1:len(argv):len(argv)], "--wsrep-recover")
	out, err := exec.Command(argv[0], ask...).CombinedOutput()
	_, position, found := bytes.Cut(out, []byte("WSREP: Recovered position: "))
	if err != nil || !found {
		return nil, fmt.Errorf("asking %s how far it came: %w\n%s", e.name, err, out)
	}
	position, _, _ = bytes.Cut(position, []byte("\n"))
	return append(argv, "--wsrep-start-position="+string(position)), nil
}

func (g *Galera) arbitratorLine(e *Engine) ([]string, error) {
	binary, err := find("garbd")
	return []string{binary, "--name", e.name, "--group", "tests", "--address", g.addresses(),
		"--options", g.listening(len(g.Nodes))}, err
}

// findProvider returns the path of Galera's library.
func findProvider() (string, error) {
	for _, dir := range []string{
		"/usr/lib/galera", "/usr/lib64/galera-4", "/usr/lib64/galera", "/usr/lib",
	} {
		path := filepath.Join(dir, "libgalera_smm.so")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("libgalera_smm.so is not installed, which these tests need: " +
		"run test/install-servers, or install the package galera-4")
}

// synced returns what keeps a node from taking writes as all others do, nil: nothing.
func (d *DatabaseServer) synced() error {
	status, err := d.wsrep()
	if err == nil &&
		(status["wsrep_ready"] != "ON" || status["wsrep_local_state_comment"] != "Synced") {
		err = fmt.Errorf("the node is not synced: %v", status)
	}
	return err
}

// complete returns what keeps the cluster from being complete, nil: nothing.
func (g *Galera) complete(*Engine) error {
	for _, d := range g.Nodes {
		status, err := d.wsrep()
		if err != nil {
			return err
		}
		if size := status["wsrep_cluster_size"]; size != strconv.Itoa(len(g.members)) {
			return fmt.Errorf("the cluster has %s members", size)
		}
	}
	return nil
}

// wsrep is what a node says of itself and the cluster.
func (d *DatabaseServer) wsrep() (map[string]string, error) {
	db, err := d.openWith("", nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	rows, err := db.QueryContext(ctx, `SHOW STATUS WHERE variable_name IN
		('wsrep_ready', 'wsrep_local_state_comment', 'wsrep_cluster_size', 'wsrep_cluster_status')`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	status := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		status[name] = value
	}
	return status, rows.Err()
}

// proofWithin is how long a row may take from one node to the other. It takes milliseconds.
const proofWithin = 10 * time.Second

// joined returns what keeps a node from taking part in the cluster, though it says that it is
// synced; nil: nothing. Galera sometimes forgets a member that comes back: that one gets nothing
// any more, and its commits hang for ever. So a row is written at the other node, unless that one
// is gone, and must arrive; and one is written here.
func (g *Galera) joined(node int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*proofWithin)
	defer cancel()
	const write = "INSERT INTO rig.proofs VALUES (?)"
	d, other := g.Nodes[node], g.Nodes[1-node]
	here, err := d.openWith("", map[string]string{"wsrep_sync_wait": "0"})
	if err != nil {
		return err
	}
	defer here.Close()
	if other.synced() == nil {
		there, err := other.open("")
		if err != nil {
			return err
		}
		defer there.Close()
		proof := rand.Text()
		if _, err := there.ExecContext(ctx, write, proof); err != nil {
			return fmt.Errorf("writing at %s: %w", other.name, err)
		}
		for n := 0; n == 0; time.Sleep(10 * time.Millisecond) {
			const read = "SELECT COUNT(*) FROM rig.proofs WHERE id=?"
			if err := here.QueryRowContext(ctx, read, proof).Scan(&n); err != nil {
				return fmt.Errorf("reading what was written at %s: %w", other.name, err)
			}
		}
	}
	if _, err := here.ExecContext(ctx, write, rand.Text()); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// RestartEmpty is Restart of a node that has lost what it had: the other one copies all to it, and
// takes no writes meanwhile.
func (g *Galera) RestartEmpty(t testing.TB, node int) {
	t.Helper()
	d := g.Nodes[node]
	d.Kill(t)
	must(t, os.Remove(filepath.Join(d.dir, "data", "grastate.dat")))
	d.Restart(t)
}

// AwaitSize waits until a node sees so many members, and takes writes. It restarts the node of a
// complete cluster that says so and takes no part.
func (g *Galera) AwaitSize(t testing.TB, node, members int) {
	t.Helper()
	must(t, await("the cluster", func() error {
		status, err := g.Nodes[node].wsrep()
		if err == nil && status["wsrep_cluster_size"] != strconv.Itoa(members) {
			err = fmt.Errorf("the cluster is %v", status)
		}
		if err == nil {
			err = g.Nodes[node].synced()
		}
		return err
	}))
	if d := g.Nodes[node]; members == len(g.members) && !d.shared {
		d.takePart(t)
	}
}
