package link

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// Client is a connection to a server, as its CLIENT LIST has it.
type Client struct {
	ID      string // which the server gives no other connection
	Addr    string // of the program at the other end
	Name    string // what that program calls itself; often empty
	Command string // what it asked for last
	Idle    time.Duration
}

// String says who it is, for people.
func (c Client) String() string {
	name := "without a name"
	if c.Name != "" {
		name = fmt.Sprintf("named %.40q", c.Name)
	}
	return fmt.Sprintf("%s, %s, whose last command was %.30q %s ago", c.Addr, name, c.Command,
		c.Idle)
}

// Same reports whether both are one connection.
func (c Client) Same(other Client) bool { return c.ID == other.ID && c.Addr == other.Addr }

// Strangers returns who else is connected to the instance's database, on every node of a Cluster:
// without those who have our name, replicas and masters of the servers, and Sentinels. own are the
// connections that asked, where the server tells them: without a name they are among those found.
func (l *Link) Strangers(ctx context.Context) (found, own []Client, err error) {
	l.mu.Lock()
	client, why := l.client, l.why
	l.mu.Unlock()
	if why != nil {
		return nil, nil, l.awayError(why)
	}
	nodes := map[string]rueidis.Client{"": client}
	if len(l.Cluster) > 0 {
		nodes = client.Nodes()
	}
	for _, addr := range slices.Sorted(maps.Keys(nodes)) {
		asking, cancel := context.WithTimeout(ctx, l.CallTimeout)
		said := nodes[addr].DoMulti(asking, client.B().ClientList().Build(),
			client.B().ClientId().Build())
		cancel()
		list, err := said[0].ToString()
		if err != nil {
			return nil, nil, chat.Errorf(chat.Unavailable, "CLIENT LIST of Redis %s (%s): %w: %s",
				strings.Join(l.opt.Roles, ", "), cmp.Or(addr, l.String()), Hush(err),
				Mend(l.Instance, l.opt.Roles, err))
		}
		id, _ := said[1].AsInt64() // 0 of old servers
		others, asked := strangers(list, l.DB, strconv.FormatInt(id, 10))
		found, own = append(found, others...), append(own, asked...)
	}
	return found, own, nil
}

// strangers reads a CLIENT LIST, and finds who has asked for it by an id.
func strangers(list string, db int, id string) (found, own []Client) {
	for line := range strings.Lines(strings.TrimPrefix(list, "txt:")) {
		values := make(map[string]string)
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			values[name] = value
		}
		seconds, _ := strconv.Atoi(values["idle"]) // 0 where it is none
		c := Client{values["id"], values["addr"], values["name"], values["cmd"],
			time.Duration(seconds) * time.Second}
		if c.ID == id {
			own = append(own, c)
		}
		if values["db"] != strconv.Itoa(db) || strings.ContainsAny(values["flags"], "SM") ||
			c.Name == ClientName || strings.HasPrefix(c.Name, "sentinel-") {
			continue
		}
		found = append(found, c)
	}
	return found, own
}
