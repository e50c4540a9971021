package link

// Command is one command of a pipeline. All its keys are in one slot of a Cluster.
type Command struct {
	Name   string  // empty for a script
	Script *Script // nil for all others
	Keys   []string
	Args   []string
}

// Plain is a command on one key.
func Plain(name, key string, args ...string) Command {
	return Command{Name: name, Keys: []string{key}, Args: args}
}

// Run is a script on a key and its companion.
func Run(s *Script, key string, args ...string) Command {
	return Command{Script: s, Keys: []string{key, Companion(key)}, Args: args}
}

// Companion is the key in which we note what we did to another. On a Cluster it is in the same
// slot.
func Companion(key string) string { return "dbproxy:{" + key + "}" }

// reads reports whether the command changes nothing.
func (c Command) reads() bool {
	switch c.Name {
	case "GET", "HGET", "HGETALL", "HMGET":
		return true
	default:
		return false
	}
}
