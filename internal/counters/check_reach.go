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
		return fmt.Sprintf("%s refuses: %s", where, hush(said)), mendOfRefusal(c.Instance, c.names, said, places)
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
