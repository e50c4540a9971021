package counters

import (
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/advice"
	"github.com/teamtalk-go/dbproxy/internal/checkup"
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
	if said, ok := rueidis.IsRedisErr(err); ok {
		text = fmt.Sprintf("%s refuses: %s", where, hush(said))
		return text, mendOfRefusal(c.Instance, c.names, said, places)
	}
	text, mend = advice.Server{
		Program: "Redis", Where: where, Bind: "bind", Waited: c.ConnectTimeout + c.CallTimeout,
		Place: places, Timeouts: c.key("connect_timeout") + " and " + c.key("call_timeout"),
		TLS: c.key("tls"), CA: c.key("tls_ca"), ServerName: c.key("tls_servername"),
	}.Network(err)
	if text == "" {
		text = fmt.Sprintf("%s: %v", where, err)
		mend = fmt.Sprintf("see whether Redis works there, with TLS as %s says; mend %s", c.key("tls"), places)
	}
	return text, mend
}
