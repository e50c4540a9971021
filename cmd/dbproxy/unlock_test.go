package main

import (
	"strings"
	"testing"

	engines "github.com/teamtalk-go/dbproxy/test/rig/servers"
	"github.com/teamtalk-go/dbproxy/test/rig/testdb"
)

func TestWhoIsLockedOutIsNotKnownWithoutRedis(t *testing.T) {
	t.Parallel()
	db, redis := testdb.New(t), engines.StartRedis(t)
	conf := originalConf(t, db, redis)
	execute(t, "secret\n", "user", "add", "ann", "--config", conf)
	redis.Kill(t)
	if out := execute(t, "", "user", "show", "ann", "--config", conf); !strings.Contains(out,
		"LOCKED OUT  not known: Redis is away, each proxy counts for itself\n") {
		t.Errorf("shown:\n%s", out)
	}
	if out := execute(t, "", "user", "show", "ann", "--config", conf,
		"--json"); !strings.Contains(out, `"locked_until": null,`) {
		t.Errorf("shown:\n%s", out)
	}
	out, _, err := try(t, "", "user", "unlock", "ann", "--config", conf)
	if err == nil || !strings.HasPrefix(err.Error(), "user not unlocked: Redis unread,") ||
		!strings.HasSuffix(err.Error(),
			"; while Redis is away each proxy counts failed logins for itself") {
		t.Errorf("unlocked: %q, %v", out, err)
	}
}
