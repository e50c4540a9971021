package ops

import (
	"net"
	"sync"
)

// limited is a listener with so many connections at once. More of them wait, unaccepted, so that
// they take nothing of the process.
type limited struct {
	net.Listener
	places chan struct{} // one for each connection
	closed chan struct{}
	close  func()
}

func limit(ln net.Listener, connections int) net.Listener {
	closed := make(chan struct{})
	return &limited{ln, make(chan struct{}, connections), closed, sync.OnceFunc(func() {
		close(closed)
	})}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	leave := sync.OnceFunc(func() { <-l.places })
	if err != nil {
		leave()
		return nil, err
	}
	return &placed{conn, leave}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.close()
	return l.Listener.Close()
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (p *placed) Close() error {
	err := p.Conn.Close()
	p.leave()
	return err
}
