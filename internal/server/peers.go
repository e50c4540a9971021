package server

import (
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

const (
	nameEvery = 500 * time.Millisecond // how often watch asks who holds most
	// heldUpAfter is how long a connection must wait for memory, and get none, to count as held up.
	heldUpAfter = time.Second
	// lately is how long an ended or refused connection keeps Peers doubtful.
	lately = 30 * time.Second
	// renameAfter is the least time between two lines about the same trouble with different
	// addresses.
	renameAfter = time.Second
)

// address is where connections come from. All but its name is guarded by budget.mu.
type address struct {
	name  string
	conns int
	held  int64 // bytes of the budget
	over  int64 // of those, above the floors of its connections
	lines [kinds]line
}

// Holder is what the connections from one address hold.
type Holder struct {
	Address string // an IP address; empty: there is none
	Conns   int
	Bytes   int64 // of pending requests and of answers, above the floors
}

// Past is who held most when others went short, and when that was. Zero: not lately.
type Past struct {
	Holder
	At time.Time
}

// Peers is how peers get along with what they share: connections and memory.
type Peers struct {
	MostConns, MostBytes Holder // the addresses that have most connections, and most memory

	Connections, MaxConns int
	// Shared is how many bytes of the budget there are for whoever needs more than its floor, Taken
	// how many of them are used.
	Shared, Taken int64
	// Waiting is how many connections wait for memory, because they hold their share or because too
	// little is free. LongestWait is how long at the most one of them has got none.
	Waiting     int
	LongestWait time.Duration

	// HeldUp is whether memory is short: somebody has waited for a second and got none, nearly all
	// is used, or a connection was closed lately because it held what others waited for.
	HeldUp bool
	// Crowded is whether connections are short: nearly all are taken, or lately one was refused or
	// had to give its slot to a new one.
	Crowded bool

	Ended   Past // whose connection was closed last for others, and what that address held then
	Refused Past // who had most connections when one was last refused, or lost its slot
}

// addressOf is the address of a connection without its port.
func addressOf(nc net.Conn) string {
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().String()
	}
	return nc.RemoteAddr().String()
}

// enter counts a as a connection from the address of that name.
func (b *budget) enter(a *account, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addrs[name] == nil {
		b.addrs[name] = &address{name: name}
	}
	a.addr = b.addrs[name]
	a.addr.conns++
}

// exit takes a out of the count of its address; it is called once. What a holds may be released
// later.
func (b *budget) exit(a *account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.addr.conns--
	b.forget(a.addr)
}

// forget drops an address that has no connections and no memory. The caller holds mu.
func (b *budget) forget(addr *address) {
	if addr.conns == 0 && addr.held == 0 && b.addrs[addr.name] == addr {
		delete(b.addrs, addr.name)
	}
}

// holder is what the connections from the same address as a hold.
func (b *budget) holder(a *account) Holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.addr.holder()
}

// holder is what its connections hold. The caller holds mu.
func (a *address) holder() Holder { return Holder{a.name, a.conns, a.over} }

// peers tells what the budget knows of peers: who holds most, who waits, and how long.
func (b *budget) peers(now time.Time) (p Peers) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.addrs {
		h := a.holder()
		if m := p.MostConns; h.Conns > m.Conns || h.Conns == m.Conns && h.Conns > 0 &&
			h.Bytes > m.Bytes {
			p.MostConns = h
		}
		if m := p.MostBytes; h.Bytes > m.Bytes {
			p.MostBytes = h
		}
	}
	p.Shared, p.Taken, p.Waiting = b.shared, b.over, len(b.waiting)
	for a := range b.waiting {
		for w := range a.heads() {
			p.LongestWait = max(p.LongestWait, min(now.Sub(w.since), now.Sub(a.granted)))
		}
	}
	return p
}

// Peers tells how peers get along now.
func (s *Server) Peers() Peers {
	now := time.Now()
	p := s.budget.peers(now)
	s.mu.Lock()
	p.Connections = len(s.conns)
	s.mu.Unlock()
	p.MaxConns = s.cfg.MaxConns
	recent := func(last *atomic.Pointer[Past]) (p Past) {
		if last := last.Load(); last != nil && now.Sub(last.At) < lately {
			p = *last
		}
		return p
	}
	p.Ended, p.Refused = recent(&s.lastEnded), recent(&s.lastCrowded)
	p.HeldUp = p.shortOfMemory() || p.Ended != Past{}
	p.Crowded = p.shortOfConns() || p.Refused != Past{}
	return p
}

// shortOfMemory is whether memory is short now.
func (p *Peers) shortOfMemory() bool {
	return p.LongestWait >= heldUpAfter || p.Taken >= p.Shared-p.Shared/8
}

// shortOfConns is whether connections are short now.
func (p *Peers) shortOfConns() bool { return p.Connections >= p.MaxConns-p.MaxConns/10 }

// naming is what the log has said of peers. It belongs to the goroutine of watch.
type naming struct {
	memory, slots named
}

type named struct {
	holder string // empty: nothing is wrong
	at     time.Time
}

// name logs which address holds most, when one holds more than half of all or when there is too
// little for others, and logs when that is over. When the trouble is over, but was lately, it names
// the address that held most then.
func (n *naming) name(log *slog.Logger, p Peers, now time.Time) {
	m := p.MostBytes
	if !p.shortOfMemory() && m.Bytes <= p.Shared/2 {
		m = p.Ended.Holder // empty: nobody
	}
	if changed, over := n.memory.next(m.Address, now); over {
		log.Info("memory for requests and answers is there again")
	} else if changed {
		log.Warn("memory for requests and answers is short, or one address holds most of it",
			"address", m.Address, "bytes", m.Bytes, "connections", m.Conns, "taken", p.Taken,
			"limit", p.Shared, "waiting", p.Waiting)
	}
	m = p.MostConns
	if !p.shortOfConns() && m.Conns <= p.MaxConns/2 {
		m = p.Refused.Holder
	}
	if changed, over := n.slots.next(m.Address, now); over {
		log.Info("connections are there again")
	} else if changed {
		log.Warn("connections are short, or one address holds most of them", "address", m.Address,
			"connections", m.Conns, "open", p.Connections, "limit", p.MaxConns)
	}
}

// next takes the holder that is to be named now, "" for none. changed is whether that is to be
// logged, over whether there was a holder and is none any more.
func (n *named) next(holder string, now time.Time) (changed, over bool) {
	if holder == n.holder || holder != "" && n.holder != "" && now.Sub(n.at) < renameAfter {
		return false, false
	}
	n.holder, n.at = holder, now
	return true, holder == ""
}

// quietest is the connection whose slot a new one gets. Its peer has asked nothing for QuietTimeout
// and has nothing pending; of those, it is one from the address with most connections, and of these
// the one that has been quiet longest. A new connection never takes the slot of an address that has
// fewer connections than its own: so nobody who opens ever more pushes the others out. Nil: there
// is none. The caller holds mu.
func (s *Server) quietest(from string, now time.Time) (quietest *conn) {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	has := 0
	if addr := s.budget.addrs[from]; addr != nil {
		has = addr.conns
	}
	for c := range s.conns {
		if c.account.addr.name != from && c.account.addr.conns < has {
			continue
		}
		if c.account.held > 0 || now.Sub(c.lastAsked()) < s.cfg.QuietTimeout {
			continue
		}
		if quietest != nil {
			of, best := c.account.addr.conns, quietest.account.addr.conns
			if of < best || of == best && c.lastAsked().After(quietest.lastAsked()) {
				continue
			}
		}
		quietest = c
	}
	return quietest
}
