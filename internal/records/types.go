package records

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// passing says which types of one kind of row are told to peers. The protocol has a list of them
// for a required field, and a peer in C++ cannot parse an answer with a number that is not in the
// list. Other servers store others. These are left out of answers, but for those that an operator
// has named.
type passing struct {
	of   string  // "messages"
	key  string  // the option that names more: "MessageTypes (--message-types)"
	list []uint8 // never changed
	log  *slog.Logger

	mu   sync.Mutex
	told []int64 // guarded by mu: the types of which the log says that they are left out
}

// mostTold is of how many types the log tells at most.
const mostTold = 256

// passingMessages are the types of messages that every peer knows, and those that opt names.
func passingMessages(opt Options) *passing {
	list := append([]uint8{
		uint8(chat.PairText), uint8(chat.PairVoice), uint8(chat.GroupText), uint8(chat.GroupVoice),
	}, opt.MessageTypes...)
	return &passing{of: "messages", key: "MessageTypes (--message-types)", list: list, log: opt.Log}
}

// passingGroups are likewise the types of groups.
func passingGroups(opt Options) *passing {
	list := append([]uint8{uint8(chat.NormalGroup), uint8(chat.TemporaryGroup)}, opt.GroupTypes...)
	return &passing{of: "groups", key: "GroupTypes (--group-types)", list: list, log: opt.Log}
}

// in is the list as a statement has it: "(1,2)".
func (p *passing) in() string {
	var list []string
	for _, t := range p.list {
		list = append(list, fmt.Sprint(t))
	}
	return "(" + strings.Join(list, ",") + ")"
}

// pass returns a type as a peer may be told of it: 0 when it is left out. The log tells of each
// such type once.
func (p *passing) pass(typ int64) uint8 {
	if 0 < typ && typ <= math.MaxUint8 && slices.Contains(p.list, uint8(typ)) {
		return uint8(typ)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.told, typ) && len(p.told) < mostTold {
		p.told = append(p.told, typ)
		p.log.Warn(p.of+" of a type that the protocol does not have are left out of answers",
			"type", typ, "mend", "nothing needs to be done; "+p.key+
				" may name types that all your servers and clients know")
	}
	return 0
}
