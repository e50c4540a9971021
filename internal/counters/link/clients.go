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

// Strangers returns who else is connected to the instance's database, on every node of a Cluster:
// without those who have our name, replicas and masters of the servers, and Sentinels.
func (l *Link) Strangers(ctx context.Context) (found []Client, err error) {
	l.mu.Lock()
	client, why := l.client, l.why
	l.mu.Unlock()
	if why != nil {
		return nil, l.awayError(why)
	}
	nodes := map[string]rueidis.Client{"": client}
	if len(l.Cluster) > 0 {
		nodes = client.Nodes()
	}
	for _, addr := range slices.Sorted(maps.Keys(nodes)) {
		asking, cancel := context.WithTimeout(ctx, l.CallTimeout)
		list, err := nodes[addr].Do(asking, client.B().ClientList().Build()).ToString()
		cancel()
		if err != nil {
			return nil, chat.Errorf(chat.Unavailable, "CLIENT LIST of Redis %s (%s): %w: %s",
				strings.Join(l.opt.Roles, ", "), cmp.Or(addr, l.String()), Hush(err),
				Mend(l.Instance, l.opt.Roles, err))
		}
		found = append(found, strangers(list, l.DB)...)
	}
	return found, nil
}

// strangers reads a CLIENT LIST.
func strangers(list string, db int) (found []Client) {
	for line := range strings.Lines(strings.TrimPrefix(list, "txt:")) {
		values := make(map[string]string)
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			values[name] = value
		}
		name := values["name"]
		if values["db"] != strconv.Itoa(db) || strings.ContainsAny(values["flags"], "SM") ||
			name == ClientName || strings.HasPrefix(name, "sentinel-") {
			continue
		}
		seconds, _ := strconv.Atoi(values["idle"]) // 0 where it is none
		found = append(found, Client{values["addr"], name, values["cmd"],
			time.Duration(seconds) * time.Second})
	}
	return found
}
