package link

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"
)

// Script is a Lua script, which servers know by its hash.
type Script struct{ text, sha string }

// NewScript makes a script. work is what it does to one key: a function without a name that finds
// the key and its companion in KEYS, its arguments in ARGV, and returns the answer. It is called
// for one command after the other. Where it fails, the error is the answer of that command, and the
// next ones are done nevertheless. helpers are functions that it uses.
func NewScript(helpers, work string) *Script {
	text := `local keys, args, results = KEYS, ARGV, {}
local KEYS, ARGV
` + helpers + `
local function work()
` + work + `
end
local at = 1
for i = 1, #keys, 2 do
  KEYS, ARGV = {keys[i], keys[i + 1]}, {}
  local n = tonumber(args[at])
  for k = 1, n do ARGV[k] = args[at + k] end
  at = at + 1 + n
  local ok, result = pcall(work)
  if not ok and type(result) == 'string' then result = redis.error_reply(result) end
  results[#results + 1] = result or false
end
return results
`
	sum := sha1.Sum([]byte(text))
	return &Script{text, hex.EncodeToString(sum[:])}
}

// mostArgs is how many keys and arguments one call of a script has, unless a single command has
// more. A server serves nobody else while it runs a script: this many take it a millisecond.
const mostArgs = 1024

// call is what goes to a server as one command: a plain command, or a script with the keys and
// arguments of several.
type call struct {
	Command
	commands int // how many of the caller's
}

// calls makes the fewest calls of commands, in their order. Commands that follow each other and
// have one script share a call, unless they are to be apart: the nodes of a Cluster have but some
// of the keys each.
func calls(commands []Command, apart bool) (all []call) {
	for i, c := range commands {
		if c.Script == nil {
			all = append(all, call{c, 1})
			continue
		}
		size := len(c.Keys) + 1 + len(c.Args)
		joins := !apart && i > 0 && commands[i-1].Script == c.Script
		if last := len(all) - 1; !joins || len(all[last].Keys)+len(all[last].Args)+size > mostArgs {
			all = append(all, call{Command: Command{Script: c.Script}})
		}
		to := &all[len(all)-1]
		to.commands++
		to.Keys = append(to.Keys, c.Keys...)
		to.Args = append(append(to.Args, strconv.Itoa(len(c.Args))), c.Args...)
	}
	return all
}

// ask sends calls in one pipeline, scripts with their text or by their hash, and returns the answer
// of each of their commands. An error says that there are none.
func ask(
	ctx context.Context, client rueidis.Client, all []call, text bool,
) ([]rueidis.RedisMessage, error) {
	built := make([]rueidis.Completed, len(all))
	for i, c := range all {
		built[i] = c.build(client.B(), text)
	}
	return spread(all, client.DoMulti(ctx, built...))
}

// Try executes a command by itself, with text a script by its text, and returns what the server has
// against it.
func Try(ctx context.Context, client rueidis.Client, c Command, text bool) error {
	answers, err := ask(ctx, client, calls([]Command{c}, true), text)
	if err != nil {
		return err
	}
	return answers[0].Error()
}

// build makes a call for the client library. With text a script is sent with its text, else by its
// hash alone.
func (c call) build(b rueidis.Builder, text bool) rueidis.Completed {
	switch {
	case c.Script == nil:
		return b.Arbitrary(c.Name).Keys(c.Keys...).Args(c.Args...).Build()
	case text:
		b := b.Arbitrary("EVAL", c.Script.text, strconv.Itoa(len(c.Keys)))
		return b.Keys(c.Keys...).Args(c.Args...).Build()
	default:
		b := b.Arbitrary("EVALSHA", c.Script.sha, strconv.Itoa(len(c.Keys)))
		return b.Keys(c.Keys...).Args(c.Args...).Build()
	}
}

// spread returns the answers of the commands of calls, given those of the calls. An error that a
// server has for a whole call is that of each of its commands.
func spread(calls []call, results []rueidis.RedisResult) (all []rueidis.RedisMessage, _ error) {
	for i, c := range calls {
		m, err := results[i].ToMessage()
		if err != nil && results[i].NonRedisError() != nil {
			return nil, err
		}
		if c.Script == nil || err != nil {
			for range c.commands {
				all = append(all, m)
			}
			continue
		}
		each, err := m.ToArray()
		if err != nil || len(each) != c.commands {
			return nil, fmt.Errorf("a script has no answers to its %d commands", c.commands)
		}
		all = append(all, each...)
	}
	return all, nil
}
