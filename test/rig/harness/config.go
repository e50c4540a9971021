package harness

import (
	"fmt"
	"strings"
)

// Config is a dbproxyserver.conf in the making, with all keys that an original wants.
type Config struct {
	MySQL   MySQL
	Replica MySQL // zero: the same as MySQL
	// Redis is how the cache instances are reached, by the second half of the keys: {"host": …,
	// "port": …}, or {"cluster": …}, or {"sentinels": …, "sentinel_master": …}; nil: without Redis.
	Redis map[string]string
	Msfs  string   // the file server's URL
	More  []string // lines that count before the others
}

// MySQL is one of its databases.
type MySQL struct {
	Host                     string
	Port                     int
	Database, User, Password string
}

// String is the file. As in the originals' example, the cache instances are databases of one Redis:
// 1, and for "sync", which nothing uses, 2.
func (c Config) String() string {
	if c.Replica == (MySQL{}) {
		c.Replica = c.MySQL
	}
	lines := append(append([]string{"# as an original reads it"}, c.More...),
		"AdminListen=off", "ListenIP=127.0.0.1", "ListenPort=10600 # for message servers",
		"ThreadNum=48",
		"MsfsSite="+c.Msfs, "aesKey=12345678901234567890123456789012",
		"DBInstances=teamtalk_master,teamtalk_slave")
	add := func(instance, key string, value any) {
		lines = append(lines, fmt.Sprintf("%s_%s=%v", instance, key, value))
	}
	for _, db := range []struct {
		name string
		MySQL
	}{{"teamtalk_master", c.MySQL}, {"teamtalk_slave", c.Replica}} {
		add(db.name, "host", db.Host)
		add(db.name, "port", db.Port)
		add(db.name, "dbname", db.Database)
		add(db.name, "username", db.User)
		add(db.name, "password", db.Password)
		add(db.name, "maxconncnt", 16)
	}
	if c.Redis == nil {
		return strings.Join(lines, "\n") + "\n"
	}
	lines = append(lines, "CacheInstances=unread,group_set,token,sync,group_member")
	for _, cache := range []string{"unread", "group_set", "token", "sync", "group_member"} {
		for key, value := range c.Redis {
			add(cache, key, value)
		}
		db := 1
		if cache == "sync" {
			db = 2
		}
		add(cache, "db", db)
		add(cache, "maxconncnt", 16)
	}
	return strings.Join(lines, "\n") + "\n"
}
