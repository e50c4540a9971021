// Package msfs is a stand-in for the suite's file server, msfs, in tests: a small server that keeps
// files in memory and has the original's quirks (SPEC 6). It reads raw connections, since a proper
// HTTP server would forgive too much.
//
//   - A connection has one request; it is closed after the answer, whatever the client would like.
//   - An upload is a POST with Content-Length (no chunks), of at most MaxBody bytes, in
//     multipart/form-data with an unquoted boundary: one part "file", with a Content-Type line and
//     a file name that has an extension and no underscore. What is otherwise gets an error_code
//     that is not 0, and is not kept.
//   - The 404 of a file that is not there has a status line, and then no headers.
package msfs

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxBody is how many bytes the body of a request may have, with what multipart/form-data puts
// around the file.
const MaxBody = 5 << 20

// patience is how long a client may take to send its request, or to close its end after the answer.
const patience = time.Minute

// Server is a running stand-in. Its methods may be called at any time from any goroutine.
type Server struct {
	listener net.Listener
	tasks    sync.WaitGroup
	closed   chan struct{}

	mu       sync.Mutex // guards what follows
	conns    map[net.Conn]struct{}
	files    map[string][]byte // by the path of their URL, without the first slash
	trouble  Trouble
	requests int
}

// Trouble is what is wrong with a server. The zero value is a healthy one.
type Trouble struct {
	// Down resets connections before anything is read from them.
	Down bool
	// Hold delays answers until it is closed; nil: no delay. What was asked for has happened
	// before.
	Hold <-chan struct{}
	// Answer is sent instead of any answer, as it is, when not nil.
	Answer []byte
	// Cut is after how many bytes of an answer the connection is reset; 0: never.
	Cut int
}

// Start starts a server on a TCP address such as 127.0.0.1:0.
func Start(addr string) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("starting the stand-in for msfs: %w", err)
	}
	s := &Server{
		listener: listener,
		closed:   make(chan struct{}),
		conns:    make(map[net.Conn]struct{}),
		files:    make(map[string][]byte),
	}
	s.tasks.Go(s.accept)
	return s, nil
}

// Close stops the server, cuts its connections, and returns when nothing is left running. To be
// called once.
func (s *Server) Close() {
	close(s.closed)
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.tasks.Wait()
}

// URL is what MsfsSite is to be: http://HOST:PORT/.
func (s *Server) URL() string { return "http://" + s.Addr() + "/" }

// Addr is HOST:PORT.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Trouble says what is wrong from now on, for requests of which the answer has not been begun.
func (s *Server) Trouble(t Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = t
}

// Requests is how many requests have come in so far, good and bad ones.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Files returns the URLs of all files, sorted.
func (s *Server) Files() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var urls []string
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		urls = append(urls, s.URL()+name)
	}
	return urls
}

// Remove removes the file of a URL, as somebody would who tidies up the server's disk.
func (s *Server) Remove(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, strings.TrimPrefix(url, s.URL()))
}

func (s *Server) file(name string) (content []byte, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, there = s.files[name]
	return content, there
}

// keep stores a file and returns its path; extension has its dot.
func (s *Server) keep(content []byte, extension string) string {
	name := path.Join("g0/000/000", rand.Text()+extension)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = content
	return name
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			select {
			case <-s.closed:
				return
			case <-time.After(time.Millisecond): // such as too many open files
				continue
			}
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.tasks.Go(func() {
			defer func() {
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
				c.Close()
			}()
			select {
			case <-s.closed: // perhaps before Close could see c
			default:
				s.serve(c.(*net.TCPConn))
			}
		})
	}
}

// serve serves one connection: one request.
func (s *Server) serve(c *net.TCPConn) {
	if s.now().Down {
		c.SetLinger(0)
		return
	}
	c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	req, err := readHead(in)
	if err != nil {
		hangUp(c, in) // no request, so no answer
		return
	}
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	answer := s.answer(req, in)

	t := s.now()
	if t.Hold != nil {
		select {
		case <-t.Hold:
		case <-s.closed:
			return
		}
		c.SetDeadline(time.Now().Add(patience))
		t = s.now()
	}
	if t.Answer != nil {
		answer = t.Answer
	}
	if t.Cut > 0 && t.Cut < len(answer) {
		c.Write(answer[:t.Cut])
		c.SetLinger(0)
		return
	}
	if _, err := c.Write(answer); err == nil {
		hangUp(c, in)
	}
}

// hangUp ends a connection and waits for the client to do so, too. Closing with something unread
// would reset it, and the client might miss the answer.
func hangUp(c *net.TCPConn, in io.Reader) {
	if c.CloseWrite() == nil {
		io.Copy(io.Discard, in)
	}
}

func (s *Server) now() Trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}
