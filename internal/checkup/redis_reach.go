package checkup

import (
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/advice"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// unreachable reports which instance could not be reached, why, and what to do.
func (c *redisCheck) unreachable(err error) Finding {
	text, mend := c.whyUnreachable(err)
	return Fault("reachable", text, mend)
}

// whyUnreachable says why the instance could not be reached, and what to do about it.
func (c *redisCheck) whyUnreachable(err error) (text, mend string) {
	where, keys := c.Addr, c.key("host")+" and "+c.key("port")
	switch {
	case len(c.Sentinels) > 0:
		where, keys = strings.Join(c.Sentinels, ", "), c.key("sentinels")
	case len(c.Cluster) > 0:
		where, keys = strings.Join(c.Cluster, ", "), c.key("cluster")
	}
	if said, ok := rueidis.IsRedisErr(err); ok {
		text = fmt.Sprintf("%s refuses: %s", where, link.Hush(said))
		return text, link.MendRefusal(c.Instance, c.names, said, keys)
	}
	text, mend = advice.Server{
		Program: "Redis", Where: where, Bind: "bind", Waited: c.ConnectTimeout + c.CallTimeout,
		Address: keys, Timeouts: c.key("connect_timeout") + " and " + c.key("call_timeout"),
		TLS: c.key("tls"), CA: c.key("tls_ca"), ServerName: c.key("tls_servername"),
	}.Network(err)
	if text == "" {
		text = fmt.Sprintf("%s: %v", where, err)
		mend = fmt.Sprintf("see whether Redis works there, with TLS as %s says; mend %s",
			c.key("tls"), keys)
	}
	return text, mend
}
