package redis_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/counters/link"
	"github.com/teamtalk-go/dbproxy/internal/counters/redis"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

// TestConnectionsHaveAName asks how a server knows our connections: by name, unless it names none.
func TestConnectionsHaveAName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args, acl []string
		named     bool
	}{
		"as it is":         {nil, nil, true},
		"an old one":       {[]string{"--rename-command", "HELLO", ""}, nil, true},
		"may not be named": {nil, []string{"+@all", "-client|setname"}, true}, // but by HELLO
		"an old one, may not be named": {[]string{"--rename-command", "HELLO", ""},
			[]string{"+@all", "-client|setname"}, false},
		"an old one without CLIENT": {[]string{"--rename-command", "HELLO", "",
			"--rename-command", "CLIENT", "HIDDEN"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := servers.StartRedis(t, c.args...)
			i := at(r)
			if c.acl != nil {
				r.Do(t, append([]string{"ACL", "SETUSER", "proxy", "reset", "on", ">x", "~*"},
					c.acl...)...)
				i.Username, i.Password = "proxy", "x"
			}
			copied, err := redis.Open(all(i))
			if err != nil || len(copied.Away()) > 0 {
				t.Fatal(err, copied.Away())
			}
			t.Cleanup(copied.Close)
			command := "CLIENT"
			if slices.Contains(c.args, "HIDDEN") {
				command = "HIDDEN"
			}
			answer := r.Do(t, command, "LIST")
			list, err := answer.ToString()
			if err != nil || strings.Contains(list, " name=dbproxy ") != c.named {
				t.Errorf("%s %v", list, err)
			}
		})
	}
}

// TestStrangers asks who else is connected to a database, where replicas and Sentinels are, too.
func TestStrangers(t *testing.T) {
	t.Parallel()
	group := servers.Sentinel(t)
	i := patient(link.Instance{Sentinels: group.Addrs(), SentinelMaster: servers.MasterName})
	copied, err := redis.Open(redis.Options{Unread: i, GroupSet: i, Token: i, GroupMember: i})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(copied.Close)
	// Connections of the rig may be there for a moment.
	alone := func() bool {
		found, _, unknown := copied.Strangers(t.Context())
		return len(found)+len(unknown) == 0
	}
	await(t, "nobody else", alone)
	master := link.Instance{Addr: group.Master(t).Addr()}
	originalAt(t, master).do("GET", "x")
	master.DB = 1
	originalAt(t, master).do("EXISTS", "x")
	found, _, unknown := copied.Strangers(t.Context())
	asked := func(command string) bool {
		return slices.ContainsFunc(found, func(c link.Client) bool { return c.Command == command })
	}
	if !asked("get") || asked("exists") || len(unknown) > 0 {
		t.Errorf("strangers: %v %v", found, unknown)
	}
}

// TestNobodyIsAStrangerToItself asks a server that names no connections, by two of our own.
func TestNobodyIsAStrangerToItself(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t, "--rename-command", "HELLO", "")
	r.Do(t, "ACL", "SETUSER", "proxy", "reset", "on", ">x", "~*", "+@all", "-client|setname")
	i := at(r)
	i.Username, i.Password = "proxy", "x"
	other := i
	other.CallTimeout *= 2 // so that it has a connection of its own
	copied, err := redis.Open(redis.Options{Unread: i, GroupSet: i, Token: other, GroupMember: i})
	if err != nil || len(copied.Away()) > 0 {
		t.Fatal(err, copied.Away())
	}
	t.Cleanup(copied.Close)
	// Connections of the rig may be there for a moment.
	await(t, "nobody else", func() bool {
		found, unnamed, unknown := copied.Strangers(t.Context())
		return len(found)+len(unknown) == 0 && unnamed
	})
	originalAt(t, at(r)).do("GET", "x")
	found, _, _ := copied.Strangers(t.Context())
	asked := slices.DeleteFunc(slices.Clone(found),
		func(c link.Client) bool { return c.Command != "get" })
	if len(asked) != 1 {
		t.Errorf("strangers: %v", found)
	}
}
