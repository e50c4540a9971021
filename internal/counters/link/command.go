package link

// Command is one command of a pipeline. On a Cluster all its keys are in one slot.
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

// GetAll is commands that get the values of keys, in their order: on a Cluster, where the keys are
// in different slots, one for each of them.
func (i Instance) GetAll(keys []string) (commands []Command) {
	if len(i.Cluster) == 0 && len(keys) > 0 {
		return []Command{{Name: "MGET", Keys: keys}}
	}
	for _, key := range keys {
		commands = append(commands, Plain("GET", key))
	}
	return commands
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
	case "GET", "MGET", "HGET", "HGETALL", "HMGET":
		return true
	default:
		return false
	}
}
