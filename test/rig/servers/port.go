package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// busOffset is how much higher the port of a cluster's node for the other nodes is.
const busOffset = 10000

// port is a port of 127.0.0.1 for one server, which keeps it when the server is restarted. It is
// below those that systems choose by themselves, and it is ours in all test processes: each that
// wants it first listens on the same port of another loopback address.
type port struct {
	number int
	held   []net.Listener
}

// freePort finds a port on which nobody listens; with bus, the cluster bus's port is free, too.
func freePort(bus bool) (*port, error) {
	var last error
	for range 200 {
		p := &port{number: 10000 + rand.IntN(12000)}
		if last = p.hold(p.number); last == nil && bus {
			last = p.hold(p.number + busOffset)
		}
		if last == nil {
			return p, nil
		}
		p.release()
	}
	return nil, fmt.Errorf("found no free port on 127.0.0.1: %w", last)
}

func (p *port) hold(number int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(number)))
	switch {
	case err == nil:
		p.held = append(p.held, l)
	case errors.Is(err, syscall.EADDRNOTAVAIL): // a system with one loopback address: then without
	default:
		return err
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(number))); err != nil {
		return err
	}
	return l.Close()
}

func (p *port) release() {
	for _, l := range p.held {
		l.Close()
	}
	p.held = nil
}
