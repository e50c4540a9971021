package link

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/teamtalk-go/dbproxy/internal/advice"
)

// IsDenied reports whether an error says that the user may not use a command or a key.
func IsDenied(err error) bool {
	return err != nil && (strings.HasPrefix(err.Error(), "NOPERM") ||
		strings.Contains(err.Error(), "-NOPERM") ||
		strings.Contains(err.Error(), "ACL failure") ||
		strings.Contains(err.Error(), "can't run this command") ||
		strings.Contains(err.Error(), "can't access"))
}

// IsMissing reports whether an error says that the server lacks a command that every Redis has. Its
// rename-command may have taken it away, or the server is another program.
func IsMissing(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "unknown command") ||
		strings.Contains(err.Error(), "Unknown Redis command called from"))
}

// namedCommand finds the command in "unknown command 'EVALSHA', with args …" and in "no permissions
// to run the 'hset' command".
var namedCommand = regexp.MustCompile("(?:unknown command|run the) ['`]?([A-Za-z|]+)")

// CommandOf is the command that an error is about. Where the error does not say, it is "one that
// our scripts use".
func CommandOf(err error) string {
	if found := namedCommand.FindStringSubmatch(err.Error()); found != nil {
		return strings.ToUpper(found[1])
	}
	return "one that our scripts use"
}

// Grant is the command that gives our user the rights that it needs.
func (i Instance) Grant() string {
	return "ACL SETUSER " + i.User() + " ~* +@read +@write +@scripting +@connection +info +time " +
		"+config|get"
}

// User is the name under which the server knows us.
func (i Instance) User() string {
	if i.Username == "" {
		return "default"
	}
	return i.Username
}

// keyNamed is a key of the configuration: that of the first of an instance's names. It adds which
// other names have such a key, too.
func keyNamed(names []string, rest string) string {
	if len(names) == 1 {
		return names[0] + "_" + rest
	}
	return fmt.Sprintf("%s_%s (and that of %s)", names[0], rest, strings.Join(names[1:], ", "))
}

// Mend is what to do about an instance that cannot be used. names are what the configuration calls
// it.
func Mend(i Instance, names []string, err error) string {
	if _, said := rueidis.IsRedisErr(err); said {
		return MendRefusal(i, names, err)
	}
	return cmp.Or(advice.Mend(err), "see whether it runs, and what its log says")
}

// MendRefusal is what to do about an error that a server itself answered. names are what the
// configuration calls the instance; where, if given, are the keys that say where it is.
func MendRefusal(i Instance, names []string, err error, where ...string) string {
	has := func(texts ...string) bool {
		said := func(text string) bool { return strings.Contains(err.Error(), text) }
		return slices.ContainsFunc(texts, said)
	}
	switch {
	case has("WRONGPASS", "invalid username-password", "invalid password"):
		return fmt.Sprintf("the server has another password, or no such user: "+
			"mend %s_username and %s", names[0], keyNamed(names, "password"))
	case has("NOAUTH", "operation not permitted"):
		return fmt.Sprintf("the server wants a password: set %s, and %s_username "+
			"if it is not for the default user", keyNamed(names, "password"), names[0])
	case has("without any password configured", "no password is set"):
		return "take " + keyNamed(names, "password") + " out, or give the server one"
	case has("DB index"):
		return "mend " + names[0] + "_db, or raise \"databases\" in its configuration"
	case has("cluster support disabled"):
		return fmt.Sprintf("it is no Cluster: name it in %[1]s_host and %[1]s_port "+
			"in place of %[1]s_cluster", names[0])
	case has("SELECT is not allowed in cluster mode"):
		return "it is a Cluster: name its nodes in " + names[0] + "_cluster"
	case has("DENIED"):
		return "it is in protected mode: give it a password, " +
			"and have it listen for this machine (bind)"
	case IsDenied(err):
		return "the user may not do all that it must: " + i.Grant()
	case IsMissing(err):
		return fmt.Sprintf("the server does not know the command %s: give it back "+
			"(rename-command in its configuration), or name a Redis in %s_host and %s_port",
			CommandOf(err), names[0], names[0])
	case has("No such master"):
		return "mend " + names[0] + "_sentinel_master"
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
	case len(where) > 0:
		return "see its log, or mend " + where[0]
	default:
		return "see its log"
	}
}

// cannotServe are the first words of errors by which a server says that it cannot serve now.
var cannotServe = []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH",
	"WRONGPASS", "NOPERM", "OOM",
	"MISCONF", "NOREPLICAS", "BUSY"}

// broken returns the first error among results that says that a server cannot serve now. Errors
// about a single command are left out.
func broken(results ...rueidis.RedisMessage) error {
	for _, r := range results {
		err := r.Error()
		if err == nil || rueidis.IsRedisNil(err) {
			continue
		}
		e, ok := rueidis.IsRedisErr(err)
		if !ok || IsMissing(e) || IsDenied(e) {
			return err
		}
		word, _, _ := strings.Cut(e.Error(), " ")
		if slices.Contains(cannotServe, word) {
			return err
		}
		for _, word := range cannotServe { // older servers, in what a script ran into
			if strings.Contains(e.Error(), " -"+word+" ") {
				return err
			}
		}
	}
	return nil
}
