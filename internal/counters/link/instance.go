package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Defaults of an Instance.
const (
	defaultConnectTimeout = 200 * time.Millisecond
	defaultCallTimeout    = 500 * time.Millisecond

	// stallTimeout is after how long without an answer a connection is given up. Without it a frozen server would hold
	// a call for ten seconds.
	stallTimeout = time.Second
	// Refresh is the time between two questions for who is the master now. Beside that it is told.
	Refresh     = 2 * time.Second
	connBuffer  = 64 << 10
	maxPipeline = 1 << 20 // commands; larger ones than the client's own limit would get connections of their own
)

// Instance says where a Redis is and how to log in there: one server, a group under Sentinel, or a Cluster. Of Addr,
// Sentinels and Cluster exactly one is set.
//
// There is one connection to each server, on which everything is pipelined.
type Instance struct {
	Addr string // host:port of a single server
	DB   int    // the database; 0 on a Cluster

	Sentinels                          []string // host:port of each sentinel
	SentinelMaster                     string   // the name by which they know the master
	SentinelUsername, SentinelPassword string

	Cluster []string // host:port of some nodes

	Username, Password string
	TLS                *tls.Config // nil: none

	ConnectTimeout time.Duration // 0: 200 ms
	CallTimeout    time.Duration // 0: 500 ms
}

// String is the address, for logs; it holds no secret.
func (i Instance) String() string {
	switch {
	case len(i.Cluster) > 0:
		return "cluster " + strings.Join(i.Cluster, ",")
	case len(i.Sentinels) > 0:
		return fmt.Sprintf("%s/%d of sentinels %s", i.SentinelMaster, i.DB, strings.Join(i.Sentinels, ","))
	default:
		return fmt.Sprintf("%s/%d", i.Addr, i.DB)
	}
}

// Identity is equal for instances that can share connections. It holds secrets.
func (i Instance) Identity() string {
	return fmt.Sprintf("%s %q %q %q %q %p %v %v", i, i.Username, i.Password, i.SentinelUsername, i.SentinelPassword,
		i.TLS, i.ConnectTimeout, i.CallTimeout)
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

// Check says what is wrong with the options; it asks no server.
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

// Client connects, with a client of its own. Connecting is bounded by ConnectTimeout, and the greeting
// and every other exchange by CallTimeout. The caller closes it.
func (i Instance) Client() (rueidis.Client, error) {
	opt := i.options()
	opt.ConnWriteTimeout = i.CallTimeout
	return rueidis.NewClient(opt)
}

// options are what the client library is told.
func (i Instance) options() rueidis.ClientOption {
	opt := rueidis.ClientOption{
		TLSConfig: i.TLS, Username: i.Username, Password: i.Password, SelectDB: i.DB,
		InitAddress: []string{i.Addr}, ForceSingleClient: true,
		ConnWriteTimeout: stallTimeout,
		DisableRetry:     true, // what timed out may have been done
		DisableCache:     true,
		ClientSetInfo:    rueidis.DisableClientSetInfo,
		BlockingPipeline: maxPipeline,
		// One connection to a server, on which all is pipelined. Of several, each would be found dead by itself.
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
