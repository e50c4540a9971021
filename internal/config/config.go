// Package config reads the configuration of a dbproxy that works on MySQL and Redis: the original's
// dbproxyserver.conf as it is, keys of our own beside the original's, and environment variables
// above both. Every mistake is told in one error, each with its line and its mend.
//
// The doc comments and tags of Config's fields are the one place where a key is described. The
// parser follows the tags; docs/configuration.md and dbproxyserver.conf.example are made of both,
// by "go generate". A comment begins with "NAME is", which the documents leave out. Tags:
//
//	key       the name in the file, "" for the field's name; in Database, Cache and TLS what
//	          follows the instance's name and "_"
//	required  "true": must be given, as every key with an example must; "false": need not, though
//	          the example has it
//	default   what holds when it is absent, written as in the file
//	min, max  bounds of a number, size or time, inclusive
//	atoi      "true" on a number of the original's: read as it does, digits and then anything
//	oneof     the values that are allowed, separated by blanks
//	form      what else a text must be: see forms
//	sep       what separates the values of a list
//	example   what the example file has instead of the default
//	instance  on a Database or Cache: the name of the instance
//	flag      on one of the Limits: "-" where "dbproxy serve" has no flag of it
package config

import (
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // ShieldTimeZone must not depend on what the system has installed
)

//go:generate go test -count=1 -run TestDocumentsAreCurrent . -update

// File is the name of the configuration in the working directory, as the original has it.
const File = "dbproxyserver.conf"

// Config is the whole configuration. Load makes it; it is not changed afterwards.
type Config struct {
	// ListenIP is the addresses to listen on, separated by ";": IP addresses of this machine, or
	// names of it. 0.0.0.0 is all of IPv4, :: all there is; what another one covers is left out.
	// The protocol trusts its callers, so let only TeamTalk's servers reach it.
	ListenIP []string `key:"" sep:";" form:"host" example:"127.0.0.1"`
	// ListenPort is the port to listen on, the same for every address. 0 takes a free one, for
	// tests.
	ListenPort int `key:"" atoi:"true" min:"0" max:"65535" example:"10600"`
	// ThreadNum is how many reads run at once, at the most; more of them wait. (The original's
	// worker threads; writes need none here, as many of them share a commit.) More than the
	// master's and replica's connections helps little.
	ThreadNum int `key:"" atoi:"true" min:"1" max:"10000" example:"48"`
	// MsfsSite is the address of the file server that keeps the sound of voice messages. A bare
	// host, with or without a port, means http://HOST/.
	MsfsSite string `key:"" form:"site" example:"127.0.0.1"`
	// AESKey is the key, exactly 32 characters, of the label that stands for a voice message in
	// lists. It must be the one that the clients have; the example's is that of TeamTalk's own
	// clients.
	AESKey Secret `key:"aesKey" form:"aes" example:"12345678901234567890123456789012"`
	// ShieldTimeZone is the time zone of the night, 22:00 to 07:59, in which who asked for it gets
	// no push: an IANA name such as Asia/Shanghai, UTC, or Local for the zone of the process. All
	// proxies should have the same.
	ShieldTimeZone *time.Location `key:"" default:"Local"`
	// AdminListen is HOST:PORT of the administration over HTTP: metrics, health, profiles; without
	// HOST, on all addresses. It asks nobody for a password, so keep it away from other networks.
	// "off" disables it. Where the default is taken by another program, the proxy goes without.
	AdminListen string `key:"" default:"127.0.0.1:10601" form:"listen"`
	// LogLevel is the least level that is logged.
	LogLevel slog.Level `key:"" default:"info" oneof:"debug info warn error"`
	// LogFileSize is how large log/default.log may get before it becomes log/default.log.1, and
	// that one log/default.log.2, and so on. There is such a log only where dbproxy runs as
	// db_proxy_server.
	LogFileSize Size `key:"" default:"64MiB" min:"1KiB" max:"1TiB"`
	// LogFileCount is how many such logs are kept beside log/default.log. The oldest goes when
	// there is one more.
	LogFileCount int `key:"" default:"10" min:"0" max:"1000"`

	Limits Limits

	// DBInstances is the names of the databases, separated by ",": teamtalk_master, and
	// teamtalk_slave when there is a replica to read from. Other names are passed over.
	DBInstances []string `key:"" sep:"," example:"teamtalk_master,teamtalk_slave"`
	// Master is the database that is written.
	Master Database `instance:"teamtalk_master"`
	// Slave is the replica that is read where a moment's delay does no harm. It may be left out:
	// then the master is read.
	Slave Database `instance:"teamtalk_slave"`

	// CacheInstances is the names of the Redis instances, separated by ",": unread, group_set,
	// token, group_member and sync, which nothing uses and which may be left out. Other names are
	// passed over. Without this key the proxy works without Redis, on a database that was made for
	// that, or taken over from Redis (see docs/migration.md); on others it does not start.
	CacheInstances []string `key:"" sep:"," required:"false" example:"unread,group_set,token,sync,group_member"`
	// Unread is message ids and unread counters.
	Unread Cache `instance:"unread" example:"db=1"`
	// GroupSet is who muted a group.
	GroupSet Cache `instance:"group_set" example:"db=1"`
	// Token is push tokens.
	Token Cache `instance:"token" example:"db=1"`
	// Sync is used by nothing, in the original neither. No connection is made to it.
	Sync Cache `instance:"sync" example:"db=2"`
	// GroupMember is members of groups.
	GroupMember Cache `instance:"group_member" example:"db=1"`

	path string // of the file; "" if there is none
	// every key's value and where it comes from, in the order of the declarations
	settings []Setting
}

// Limits bound what a request, the process and its stop may take, and which rows of others are told
// to peers.
type Limits struct {
	// RequestTimeout is how long a request may take. One that waited longer is not executed any
	// more.
	RequestTimeout time.Duration `key:"" default:"5s" min:"100ms" max:"5m"`
	// DrainTimeout is how long the proxy may take, once it is told to stop, to finish what it has.
	DrainTimeout time.Duration `key:"" default:"4s" min:"100ms" max:"5m"`
	// MsfsTimeout is how long a call of the file server may take.
	MsfsTimeout time.Duration `key:"" default:"2s" min:"10ms" max:"5m" flag:"-"`
	// MaxFrame is how long a frame may be, its header included. A longer request ends its
	// connection; a longer answer is not sent, as nobody can ask for the rest of a list, and the
	// log says how much it takes.
	MaxFrame Size `key:"" default:"16MiB" min:"64KiB" max:"1GiB"`
	// MaxPending is how many bytes of requests and answers the process holds before it stops
	// reading; below 34MiB pages of messages are read one at a time. Each page reserves 4MiB, so
	// that at 64MiB 6, at 256MiB 30 are read at once, of all connections together. Half of
	// MaxPending is there for all connections in equal parts, the other half for those that need
	// more. docs/operations.md says how much memory that makes in all.
	MaxPending Size `key:"" default:"256MiB" min:"1MiB" max:"1TiB"`
	// ConnectionShare is how much of MaxPending one connection may hold, in percent. While it holds
	// that much nothing more is read from it; but one frame is always let through, however long.
	ConnectionShare int `key:"" default:"12" min:"1" max:"100"`
	// MaxConnections is how many connections are served at once; one more takes the place of one
	// that has asked nothing for QuietTimeout, or is closed. Where the limit of open files allows
	// fewer, fewer are served.
	MaxConnections int `key:"" default:"1024" min:"1" max:"1000000"`
	// QuietTimeout is how long a connection may ask nothing before it may be closed for a new one
	// when all are taken. Heartbeats do not count.
	QuietTimeout time.Duration `key:"" default:"2m" min:"1s" max:"240h"`
	// MaxInFlight is how many requests of one connection may be under way. While there are as many,
	// it is not read.
	MaxInFlight int `key:"" default:"1024" min:"1" max:"1000000"`
	// MinSendRate is how many bytes a second a peer must send of a frame that it has begun, or it
	// is closed; 0: any. It is measured over RateWindow.
	MinSendRate Size `key:"" default:"16KiB" min:"0" max:"1GiB"`
	// MinTakeRate is how many bytes a second a peer must take of answers that wait for it, or it is
	// closed; 0: any. It is measured over RateWindow.
	MinTakeRate Size `key:"" default:"16KiB" min:"0" max:"1GiB"`
	// RateWindow is how long a peer may be below MinSendRate or MinTakeRate before it is closed.
	RateWindow time.Duration `key:"" default:"10s" min:"1s" max:"1h"`
	// MessageTypes is the types of message, separated by commas, that are told to peers beside the
	// protocol's 1, 2, 17, 18. Messages of other types, as forks of TeamTalk store them, are
	// counted and left out of answers, since a peer that does not know the type cannot read the
	// answer at all. Name only those that all your servers and clients know.
	MessageTypes Types `key:"" min:"1" max:"255"`
	// GroupTypes is the types of group, separated by commas, that are told to peers beside the
	// protocol's 1 and 2. What MessageTypes says of messages goes for groups.
	GroupTypes Types `key:"" min:"1" max:"255"`
}

// Database is one of the MySQL databases.
type Database struct {
	// Host is the name or IP address of the server, or the path of its socket on this machine,
	// which begins with "/", such as /run/mysqld/mysqld.sock. localhost is reached over TCP, at
	// NAME_port; the original's C client takes the socket then. Where MySQL listens to that alone,
	// or lets the user in through that alone, name its path.
	Host string `key:"host" form:"server" example:"127.0.0.1"`
	// Port is its port. Not needed with a socket, and then not used.
	Port int `key:"port" atoi:"true" min:"1" max:"65535" example:"3306"`
	// Name is the name of the database on it.
	Name string `key:"dbname" example:"teamtalk"`
	// User is who logs in.
	User string `key:"username" example:"teamtalk"`
	// Password is the password of that user.
	Password Secret `key:"password" example:"CHANGE-ME"`
	// MaxConns is how many connections are open at once, at the most. Of the master's, half and at
	// most eight store messages, so that it has two at least.
	MaxConns int `key:"maxconncnt" atoi:"true" min:"1" max:"10000" example:"16"`
	// MultiStatements is whether the connections that store messages send several statements as one
	// text, which saves round trips. "auto": yes, but not to a node of Galera, which may abort a
	// transaction in the midst of a text, nor where the server does not say whether it is one (each
	// connection asks for @@wsrep_on). "on": also where it does not say. "off": never, for what
	// stands in between and takes no such texts, as ProxySQL and vtgate do. A node of Galera never
	// gets such texts. For teamtalk_slave it changes nothing.
	MultiStatements string `key:"multi_statements" default:"auto" oneof:"auto on off"`
	// MaxIdle is how many connections are kept open while nothing needs them; 0: all of
	// NAME_maxconncnt.
	MaxIdle int `key:"maxidlecnt" default:"0" min:"0" max:"10000"`
	// ConnLifetime is how old a connection gets before it is replaced; 0s: as old as it likes.
	ConnLifetime time.Duration `key:"conn_lifetime" default:"30m" min:"0s" max:"240h"`
	// ConnIdleTime is how long a connection may be idle before it is closed; 0s: as long as it
	// likes. It must be below the server's wait_timeout.
	ConnIdleTime time.Duration `key:"conn_idle_time" default:"5m" min:"0s" max:"240h"`
	// ConnectTimeout is how long connecting may take, login included.
	ConnectTimeout time.Duration `key:"connect_timeout" default:"2s" min:"10ms" max:"5m"`
	// StatementTimeout is how long one statement may take.
	StatementTimeout time.Duration `key:"statement_timeout" default:"3s" min:"10ms" max:"5m"`
	// ReadTimeout is how long the server may be silent within a statement before the connection is
	// given up; 0s: no bound but NAME_statement_timeout.
	ReadTimeout time.Duration `key:"read_timeout" default:"0s" min:"0s" max:"5m"`
	// WriteTimeout is how long the server may take to accept what is sent; 0s: no bound but
	// NAME_statement_timeout.
	WriteTimeout time.Duration `key:"write_timeout" default:"0s" min:"0s" max:"5m"`
	TLS          TLS
}

// Cache is one of the Redis instances.
type Cache struct {
	// Host is the name or IP address of the server. Not needed with NAME_sentinels or NAME_cluster,
	// and then not used.
	Host string `key:"host" form:"host" example:"127.0.0.1"`
	// Port is its port. Not needed with NAME_sentinels or NAME_cluster, and then not used.
	Port int `key:"port" atoi:"true" min:"1" max:"65535" example:"6379"`
	// DB is the number of the Redis database. A Cluster has only 0: there it is ignored.
	DB int `key:"db" required:"true" atoi:"true" min:"0" max:"65535"`
	// MaxConns is how many connections the original opens. Here all calls of a server share one, so
	// it changes nothing.
	MaxConns int `key:"maxconncnt" atoi:"true" min:"1" max:"10000" example:"16"`
	// Username is who logs in, since Redis 6. Not needed for the default user.
	Username string `key:"username"`
	// Password is the password of that user.
	Password Secret `key:"password"`
	// ConnectTimeout is how long connecting may take.
	ConnectTimeout time.Duration `key:"connect_timeout" default:"200ms" min:"10ms" max:"5m"`
	// CallTimeout is how long a call may take, and waiting for others that go before it.
	CallTimeout time.Duration `key:"call_timeout" default:"500ms" min:"10ms" max:"5m"`
	// Sentinels is HOST:PORT of the Sentinels that know the server, separated by ";".
	Sentinels []string `key:"sentinels" sep:";" form:"address"`
	// SentinelMaster is the name that the Sentinels have for the server.
	SentinelMaster string `key:"sentinel_master"`
	// SentinelUsername is who logs in at the Sentinels.
	SentinelUsername string `key:"sentinel_username"`
	// SentinelPassword is the password at the Sentinels, when they have one. It is not
	// NAME_password.
	SentinelPassword Secret `key:"sentinel_password"`
	// Cluster is HOST:PORT of some nodes of a Redis Cluster, separated by ";". The others are
	// found.
	Cluster []string `key:"cluster" sep:";" form:"address"`
	TLS     TLS
}

// TLS is how connections to a server are encrypted.
type TLS struct {
	// Mode is whether connections are encrypted. "off": never. "preferred": when the server can
	// (databases only). "required": always, with whoever answers. "verify": always, and the server
	// must prove by its certificate that it is the one that was meant.
	Mode string `key:"tls" default:"off" oneof:"off preferred required verify"`
	// CA is a PEM file with the authorities that "verify" trusts instead of the system's.
	CA string `key:"tls_ca"`
	// Cert is a PEM file with our own certificate, for servers that want one. It needs
	// NAME_tls_key.
	Cert string `key:"tls_cert"`
	// Key is a PEM file with the private key of NAME_tls_cert.
	Key string `key:"tls_key"`
	// ServerName is the name that "verify" looks for in the server's certificate instead of its
	// host.
	ServerName string `key:"tls_servername" form:"host"`
}

// Path is the path of the file, as it was given to Load.
func (c *Config) Path() string { return c.path }

// Listen are the addresses to listen on, as HOST:PORT.
func (c *Config) Listen() []string {
	addrs := make([]string, len(c.ListenIP))
	for i, ip := range c.ListenIP {
		addrs[i] = net.JoinHostPort(ip, strconv.Itoa(c.ListenPort))
	}
	return addrs
}

// SameDatabase is whether master and replica are one database: then one pool, the master's, serves
// both.
func (c *Config) SameDatabase() bool {
	return c.Slave.Name == c.Master.Name && strings.EqualFold(c.Slave.Addr(), c.Master.Addr())
}

// NeedlessSlave is whether teamtalk_slave is given, though it is the database of teamtalk_master.
func (c *Config) NeedlessSlave() bool { return c.SameDatabase() && c.Given(slave+"_host") }

// NamedCache is a cache instance that is used, with its name.
type NamedCache struct {
	Name string // as in the file: "unread"
	Cache
}

// WithoutRedis is whether the proxy is to work without Redis.
func (c *Config) WithoutRedis() bool { return len(c.CacheInstances) == 0 }

// Caches are the instances that are used, in the order of the fields; Sync is not.
func (c *Config) Caches() []NamedCache {
	if c.WithoutRedis() {
		return nil
	}
	return []NamedCache{
		{"unread", c.Unread}, {"group_set", c.GroupSet}, {"token", c.Token},
		{"group_member", c.GroupMember},
	}
}

// Addr is HOST:PORT of the server, or the path of its socket.
func (d Database) Addr() string {
	if d.socket() {
		return d.Host
	}
	return net.JoinHostPort(d.Host, strconv.Itoa(d.Port))
}

func (d Database) socket() bool { return strings.HasPrefix(d.Host, "/") }

// Addrs are HOST:PORT of what to connect to first: the nodes of the Cluster, the Sentinels, or the
// server itself.
func (c Cache) Addrs() []string {
	switch {
	case len(c.Cluster) > 0:
		return c.Cluster
	case len(c.Sentinels) > 0:
		return c.Sentinels
	default:
		return []string{net.JoinHostPort(c.Host, strconv.Itoa(c.Port))}
	}
}

// Setting is a key that is used, and what holds for it.
type Setting struct {
	Key   string
	Value string // as it would stand in the file; "(hidden)" for secrets
	// From is "line 7" or "DBPROXY_LISTENPORT", with a secret's file behind it; "" for the default.
	From string
}

// Settings are all keys that are used, in the order of docs/configuration.md. They have no secrets.
func (c *Config) Settings() []Setting { return slices.Clone(c.settings) }

// Given reports whether a key was set, in the file or by its variable. Else its default holds.
func (c *Config) Given(key string) bool {
	return slices.ContainsFunc(c.settings, func(s Setting) bool {
		return s.Key == key && s.From != ""
	})
}
