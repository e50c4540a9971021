package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Defaults of an Instance.
const (
	defaultConnectTimeout = 200 * time.Millisecond
	defaultCallTimeout    = 500 * time.Millisecond

	// stallTimeout is how long a connection may be without an answer before it is closed. Without
	// it a frozen server would hold a call for ten seconds.
	stallTimeout = time.Second
	// Refresh is the time between two questions for who is the master now. Sentinels and Clusters
	// also tell of themselves.
	Refresh    = 2 * time.Second
	connBuffer = 64 << 10 // bytes
	// maxPipeline is how many commands a pipeline may have. For larger ones than its own limit the
	// client library would make more connections.
	maxPipeline = 1 << 20
)

// Instance says where a Redis is and how to log in there: one server, a group under Sentinel, or a
// Cluster. Of Addr, Sentinels and Cluster exactly one is set.
//
// There is one connection to each server. All commands go through it in pipelines.
type Instance struct {
	Addr string // HOST:PORT of a single server
	DB   int    // the database; 0 on a Cluster

	Sentinels                          []string // HOST:PORT of each Sentinel
	SentinelMaster                     string   // the name by which they know the master
	SentinelUsername, SentinelPassword string

	Cluster []string // HOST:PORT of some nodes

	Username, Password string
	TLS                *tls.Config // nil: none

	ConnectTimeout time.Duration // 0: 200 ms
	CallTimeout    time.Duration // 0: 500 ms
}

// String is the address, for people. It holds no secret.
func (i Instance) String() string {
	switch {
	case len(i.Cluster) > 0:
		return "cluster " + strings.Join(i.Cluster, ",")
	case len(i.Sentinels) > 0:
		return fmt.Sprintf("%s/%d of sentinels %s", i.SentinelMaster, i.DB,
			strings.Join(i.Sentinels, ","))
	default:
		return fmt.Sprintf("%s/%d", i.Addr, i.DB)
	}
}

// Identity is equal for instances that can share connections. It holds secrets.
func (i Instance) Identity() string {
	return fmt.Sprintf("%s %q %q %q %q %p %v %v", i, i.Username, i.Password,
		i.SentinelUsername, i.SentinelPassword, i.TLS, i.ConnectTimeout, i.CallTimeout)
}

// WithDefaults is the instance with timeouts in place of those that are not set.
func (i Instance) WithDefaults() Instance {
	if i.ConnectTimeout <= 0 {
		i.ConnectTimeout = defaultConnectTimeout
	}
	if i.CallTimeout <= 0 {
		i.CallTimeout = defaultCallTimeout
	}
	return i
}

// Check returns what is wrong with the options; nil: nothing. It asks no server.
func (i Instance) Check() error {
	ways := 0
	for _, addrs := range [][]string{{i.Addr}, i.Sentinels, i.Cluster} {
		addrs = slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return a == "" })
		if len(addrs) > 0 {
			ways++
		}
		for _, a := range addrs {
			if _, _, err := net.SplitHostPort(a); err != nil {
				return fmt.Errorf("%q is no HOST:PORT: %w", a, err)
			}
		}
	}
	switch {
	case ways != 1:
		return errors.New("it needs either an address, sentinels, or the nodes of a cluster")
	case len(i.Sentinels) > 0 && i.SentinelMaster == "":
		return errors.New("with sentinels it needs the name of their master")
	case len(i.Cluster) > 0 && i.DB != 0:
		return errors.New("a Redis Cluster has database 0 only")
	case i.DB < 0:
		return fmt.Errorf("there is no database %d", i.DB)
	}
	return nil
}

// Client connects, with a client of its own. Connecting is bounded by ConnectTimeout, and the
// greeting and every other exchange by CallTimeout. The caller closes it.
func (i Instance) Client() (rueidis.Client, error) {
	opt := i.options()
	opt.ConnWriteTimeout = i.CallTimeout
	return connect(opt)
}

// ClientName is the name that servers know our connections by.
const ClientName = "dbproxy"

// connect makes a client whose connections have our name; if a server refuses to name them, one
// whose connections have none.
func connect(opt rueidis.ClientOption) (rueidis.Client, error) {
	opt.ClientName = ClientName
	client, err := rueidis.NewClient(opt)
	if _, said := rueidis.IsRedisErr(err); !said || !unnamed.MatchString(err.Error()) {
		return client, err
	}
	if client != nil {
		client.Close()
	}
	opt.ClientName = ""
	return rueidis.NewClient(opt)
}

// unnamed is what a server says that refuses to name a connection.
var unnamed = regexp.MustCompile("(?i)setname|['`]client")

// options are the options for the client library.
func (i Instance) options() rueidis.ClientOption {
	opt := rueidis.ClientOption{
		TLSConfig: i.TLS, Username: i.Username, Password: i.Password, SelectDB: i.DB,
		InitAddress: []string{i.Addr}, ForceSingleClient: true,
		ConnWriteTimeout: stallTimeout,
		DisableRetry:     true, // what timed out may have been done
		DisableCache:     true,
		ClientSetInfo:    rueidis.DisableClientSetInfo,
		BlockingPipeline: maxPipeline,
		// One connection to a server. If there were several, each would have to be found dead by
		// itself.
		PipelineMultiplex: -1,

		ReadBufferEachConn: connBuffer, WriteBufferEachConn: connBuffer,
	}
	opt.Dialer.Timeout = i.ConnectTimeout
	switch {
	case len(i.Sentinels) > 0:
		opt.InitAddress, opt.ForceSingleClient = i.Sentinels, false
		opt.Sentinel = rueidis.SentinelOption{
			MasterSet: i.SentinelMaster, Username: i.SentinelUsername, Password: i.SentinelPassword,
			TLSConfig: i.TLS, Dialer: opt.Dialer, TopologyRefreshInterval: Refresh,
		}
	case len(i.Cluster) > 0:
		opt.InitAddress, opt.ForceSingleClient = i.Cluster, false
		opt.ClusterOption.ShardsRefreshInterval = Refresh
	}
	return opt
}
