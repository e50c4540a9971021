package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize = 32 << 10 // bytes read at a time
	underWay  = 1024     // pieces that are delayed at a time, per direction
)

// link is one connection of a client, and its own to the server. Four goroutines serve it: in each
// direction one reads and one, a queue behind it, writes.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	ctx    context.Context // ended when the link is cut
	cancel context.CancelFunc
	once   sync.Once // the cut

	toServer, toClient chan piece

	muted       atomic.Bool   // nothing goes to the client any more
	abandoned   atomic.Bool   // half-open: nothing goes to the server, either
	answered    atomic.Bool   // the server said something that was not passed on
	serverEnded chan struct{} // closed when nothing more can come from the server

	mu     sync.Mutex // guards server
	server *net.TCPConn

	prepared preparations
}

// piece is what one write passes on, and what is to be done beside.
type piece struct {
	due  time.Time
	data []byte
	shot *Shot // hold: wait before it; before, after: the end of the connection comes with it
	end  error // the sender's end: io.EOF or what its reader got instead; nil: it goes on
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	l := &link{proxy: p, client: client, serverEnded: make(chan struct{}),
		toServer: make(chan piece, underWay), toClient: make(chan piece, underWay)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// cut closes both sides, by a reset or by an end.
func (l *link) cut(reset bool) {
	l.once.Do(func() {
		l.cancel()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, c := range []*net.TCPConn{l.client, l.server} {
			if c == nil {
				continue
			}
			if reset {
				_ = c.SetLinger(0) // it fails if the peer was faster
			}
			c.Close()
		}
	})
}

// abandon closes the server's side only.
func (l *link) abandon() {
	l.muted.Store(true)
	l.abandoned.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		l.server.Close()
	}
}

// run serves the link until both sides have ended or it is cut.
func (l *link) run(target string) {
	defer l.cut(false)
	if !l.dial(target) {
		l.cut(true)
		return
	}
	var tasks sync.WaitGroup
	tasks.Go(l.readClient)
	tasks.Go(l.readServer)
	tasks.Go(l.writeServer)
	tasks.Go(l.writeClient)
	tasks.Wait()
}

func (l *link) dial(target string) bool {
	var d net.Dialer
	c, err := d.DialContext(l.ctx, "tcp", target)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = c.(*net.TCPConn)
	if l.ctx.Err() != nil || l.abandoned.Load() { // meanwhile: nobody has closed it
		c.Close()
	}
	return true
}

// readClient reads requests, finds those that are shot at, and queues all for the server.
func (l *link) readClient() {
	defer close(l.toServer)
	var s splitter
	var stream []byte // what is not queued yet: the beginning of a request
	chunk := make([]byte, chunkSize)
	for {
		n, err := l.client.Read(chunk)
		if !l.proxy.thawed(l.ctx) {
			return
		}
		stream = append(stream, chunk[:n]...)
		rest, ok := l.requests(&s, stream)
		if !ok {
			return
		}
		if err != nil {
			l.put(l.toServer, piece{data: stream[rest:], end: err})
			return
		}
		stream = append(stream[:0], stream[rest:]...)
	}
}

// requests queues the requests of a stream that are whole, and returns where the rest begins;
// false: nothing more of this client is wanted.
func (l *link) requests(s *splitter, stream []byte) (rest int, ok bool) {
	sent, at := 0, 0
	for at < len(stream) {
		n, r := s.split(stream[at:])
		if n == 0 {
			break
		}
		if r.prepares != nil {
			l.prepared.ask(r.prepares)
		}
		if r.executes != 0 {
			r.query = l.prepared.text(r.executes)
		}
		shot := l.proxy.aim(r)
		if shot == nil {
			at += n
			continue
		}
		l.put(l.toServer, piece{data: stream[sent:at]})
		sent = at
		at += n
		switch shot.kind {
		case before:
			l.put(l.toServer, piece{shot: shot})
			return 0, false
		case after:
			for n > 0 && at < len(stream) {
				n, _ = s.split(stream[at:])
				at += n
			}
			l.put(l.toServer, piece{data: stream[sent:at], shot: shot})
			return 0, false
		case hold:
			l.put(l.toServer, piece{data: stream[sent:at], shot: shot})
			sent = at
		}
	}
	l.put(l.toServer, piece{data: stream[sent:at]})
	return at, true
}

// readServer reads answers and queues them for the client.
func (l *link) readServer() {
	defer close(l.toClient)
	defer close(l.serverEnded)
	chunk := make([]byte, chunkSize)
	for {
		n, err := l.server.Read(chunk)
		l.prepared.answer(chunk[:n])
		switch {
		case l.muted.Load():
			if n > 0 {
				l.answered.Store(true)
			}
		case !l.proxy.thawed(l.ctx):
			return
		default:
			l.put(l.toClient, piece{data: chunk[:n], end: err})
		}
		if err != nil {
			return
		}
	}
}

// put queues a copy of a piece, unless it is empty or the link is cut.
func (l *link) put(queue chan<- piece, p piece) {
	if len(p.data) == 0 && p.shot == nil && p.end == nil {
		return
	}
	p.data, p.due = bytes.Clone(p.data), l.proxy.due()
	select {
	case queue <- p:
	case <-l.ctx.Done():
		p.release()
	}
}

// release lets whoever waits for a held piece go on.
func (p piece) release() {
	if p.shot != nil && p.shot.kind == hold {
		p.shot.held.Done()
	}
}

// ripe waits until a piece may go on; false: the link is cut.
func (l *link) ripe(p piece) bool {
	if wait := time.Until(p.due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.ctx.Done():
		}
	}
	return l.proxy.thawed(l.ctx)
}

// writeServer passes on what clients sent. A server that takes it no more has reset the connection,
// and so does the link. A link that is cut discards it.
func (l *link) writeServer() {
	for p := range l.toServer {
		if l.ripe(p) {
			l.deliver(p)
		}
		p.release()
	}
}

func (l *link) deliver(p piece) {
	if p.shot != nil {
		if p.shot.kind != hold {
			l.finish(p)
			return
		}
		p.shot.fire()
		select {
		case <-p.shot.released:
		case <-l.ctx.Done():
		}
		if l.ctx.Err() != nil {
			return
		}
	}
	_, err := l.server.Write(p.data)
	if err == nil && p.end != nil {
		err = l.server.CloseWrite() // after a reset, too: it could overtake what was held
	}
	if err != nil && (!l.abandoned.Load() || p.end != nil) {
		l.cut(true)
	}
}

// finish writes a piece, ends the stream to the server and cuts the link when the server has closed
// its side: it does when it has read the end, and so has executed everything before it.
func (l *link) finish(p piece) {
	l.muted.Store(true)
	_, err := l.server.Write(p.data)
	if err == nil {
		err = l.server.CloseWrite()
	}
	if err == nil {
		select {
		case <-l.serverEnded:
		case <-l.ctx.Done():
		}
	}
	l.cut(true)
	if p.shot.kind == before || l.answered.Load() {
		p.shot.fire()
	}
}

// writeClient passes on answers. A client that takes them no more may have commands that are held:
// its own reader ends the link, after them.
func (l *link) writeClient() {
	for p := range l.toClient {
		if !l.ripe(p) || l.muted.Load() {
			continue
		}
		_, err := l.client.Write(p.data)
		switch {
		case err != nil:
			l.muted.Store(true)
		case errors.Is(p.end, io.EOF):
			_ = l.client.CloseWrite() // it fails if the client is gone: as good
		case p.end != nil:
			l.cut(true)
		}
	}
}
