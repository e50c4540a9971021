package counters

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// unreachable reports which instance could not be reached, why, and what to do.
func (c *redisCheck) unreachable(err error) checkup.Finding {
	text, mend := c.whyUnreachable(err)
	return checkup.Fault("reachable", text, mend)
}

func (c *redisCheck) whyUnreachable(err error) (text, mend string) {
	where, places := c.Addr, c.key("host")+" and "+c.key("port")
	switch {
	case len(c.Sentinels) > 0:
		where, places = strings.Join(c.Sentinels, ", "), c.key("sentinels")
	case len(c.Cluster) > 0:
		where, places = strings.Join(c.Cluster, ", "), c.key("cluster")
	}
	var (
		dns     *net.DNSError
		network net.Error
		cert    *tls.CertificateVerificationError
		name    x509.HostnameError
	)
	if said, ok := rueidis.IsRedisErr(err); ok {
		text := hush(said).Error()
		return fmt.Sprintf("%s refuses: %s", where, text), c.mendOfRefusal(text, places)
	}
	switch {
	case descriptors.Mend(err) != "":
		return fmt.Sprintf("%s: %v", where, err), descriptors.Mend(err)
	case errors.As(err, &dns):
		return fmt.Sprintf("no address is known for %s: %s", dns.Name, dns.Err), "mend " + places + ", or the name service"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + where, "start Redis there, have it listen on that address (bind), or mend " + places
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer from %s within %v", where, c.ConnectTimeout+c.CallTimeout),
			fmt.Sprintf("see whether it hangs, or a firewall drops what is sent to it; mend %s, or raise %s and %s",
				places, c.key("connect_timeout"), c.key("call_timeout"))
	case errors.As(err, &cert), errors.As(err, &name):
		return fmt.Sprintf("the certificate of %s is not accepted: %v", where, err),
			fmt.Sprintf("name who signed it in %s, or the name it is for in %s", c.key("tls_ca"), c.key("tls_servername"))
	default:
		return fmt.Sprintf("%s: %v", where, err), fmt.Sprintf("see whether Redis works there, with TLS as %s says; mend %s", c.key("tls"), places)
	}
}

// mendOfRefusal is what to do about what a server says to who comes in.
func (c *redisCheck) mendOfRefusal(said, places string) string {
	has := func(text string) bool { return strings.Contains(said, text) }
	switch {
	case has("WRONGPASS"), has("NOAUTH"), has("invalid username-password"), has("invalid password"):
		return fmt.Sprintf("mend %s and %s", c.key("username"), c.key("password"))
	case has("without any password configured"), has("no password is set"):
		return "take " + c.key("password") + " out, or give the server one"
	case has("DB index"):
		return "mend " + c.key("db") + ", or raise \"databases\" in its configuration"
	case has("cluster support disabled"):
		return "it is no Cluster: name it in " + c.key("host") + " and " + c.key("port") + " in place of " + c.key("cluster")
	case has("SELECT is not allowed in cluster mode"):
		return "it is a Cluster: name its nodes in " + c.key("cluster")
	case has("DENIED"):
		return "it is in protected mode: give it a password, and have it listen for this machine (bind)"
	case has("NOPERM"):
		return "ACL SETUSER " + c.user() + " ~* +@read +@write +@scripting +@connection +info +time"
	case has("No such master"):
		return "mend " + c.key("sentinel_master")
	default:
		return mendOfServer(errors.New(said), places)
	}
}

// mendOfServer is what to do about a server that cannot serve.
func mendOfServer(err error, places ...string) string {
	has := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch {
	case has("LOADING"):
		return "wait until it has loaded its data"
	case has("max number of clients"):
		return "raise maxclients of the server"
	case has("MISCONF"):
		return "it cannot write to its disk: see its log"
	case has("OOM"):
		return "it is full: raise maxmemory"
	case has("READONLY"):
		return "it is a replica: name the master"
	case has("NOREPLICAS"):
		return "it wants more replicas (min-replicas-to-write): start them"
	case has("CLUSTERDOWN"):
		return "see CLUSTER NODES for what is down"
	case len(places) > 0:
		return "see its log, or mend " + places[0]
	default:
		return "see its log"
	}
}
