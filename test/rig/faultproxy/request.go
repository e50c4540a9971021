package faultproxy

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"sync"
)

// request is what a client sent: a piece of the stream that is passed on as a whole. Of a
// handshake, and of commands that nobody asks for, all fields are empty.
type request struct {
	query    []byte // MySQL's COM_QUERY: the text; and what a link has found for executes
	prepares []byte // MySQL's COM_STMT_PREPARE: the text
	// MySQL's COM_STMT_EXECUTE: the number of a statement that was prepared; 0: none
	executes uint32
	args     [][]byte // Redis: a command and its arguments
}

func matchQuery(match func(query string) bool) func(request) bool {
	return func(r request) bool { return r.query != nil && match(string(r.query)) }
}

func matchCommand(match func(args []string) bool) func(request) bool {
	return func(r request) bool {
		if len(r.args) == 0 {
			return false
		}
		args := make([]string, len(r.args))
		for i, a := range r.args {
			args[i] = string(a)
		}
		args[0] = strings.ToUpper(args[0])
		return match(args)
	}
}

// splitter cuts what a client sends into requests. The zero value is for a new connection.
type splitter struct {
	next func(stream []byte) (n int, r request) // nil: nothing has come yet
}

// split returns how many bytes the first request of a stream has, and the request; 0: more must
// come. What it does not understand is one request, of all that is there, as is all that follows.
func (s *splitter) split(stream []byte) (n int, r request) {
	if s.next == nil {
		s.next = recognised(stream)
	}
	n, r = s.next(stream)
	if n < 0 {
		s.next = opaque
		return opaque(stream)
	}
	return n, r
}

// recognised tells the protocol by what a client sends first. No client sends less than the first
// four bytes at first.
func recognised(stream []byte) func([]byte) (int, request) {
	switch {
	// Number 1 is the answer to MySQL's greeting.
	case len(stream) >= 4 && stream[2] == 0 && stream[3] == 1:
		return splitMySQL
	case len(stream) >= 1 && stream[0] == '*':
		return splitRedis
	default:
		return opaque
	}
}

func opaque(stream []byte) (int, request) { return len(stream), request{} }

// splitMySQL is splitter.next for MySQL's packets: three bytes of length, one of number, and the
// content. Those of number 0 begin a command. Negative: it becomes unreadable.
func splitMySQL(stream []byte) (int, request) {
	const (
		header  = 4
		query   = 0x03 // COM_QUERY, and the text
		prepare = 0x16 // COM_STMT_PREPARE, and the text
		// COM_STMT_EXECUTE, and four bytes of the statement's number
		execute = 0x17
		// CLIENT_SSL, CLIENT_COMPRESS, CLIENT_ZSTD_COMPRESSION_ALGORITHM
		encrypted = 1<<11 | 1<<5 | 1<<26
	)
	if len(stream) < header {
		return 0, request{}
	}
	n := header + int(stream[0]) + int(stream[1])<<8 + int(stream[2])<<16
	if len(stream) < n {
		return 0, request{}
	}
	number, content := stream[3], stream[header:n]
	switch {
	case number == 1 && len(content) >= 32 && binary.LittleEndian.Uint32(content)&encrypted != 0:
		return -1, request{}
	case number != 0 || len(content) == 0:
		return n, request{}
	case content[0] == query:
		return n, request{query: content[1:]}
	case content[0] == prepare:
		return n, request{prepares: content[1:]}
	case content[0] == execute && len(content) >= 5:
		return n, request{executes: binary.LittleEndian.Uint32(content[1:])}
	}
	return n, request{}
}

// preparations are the statements that a connection has prepared. Only the server knows their
// numbers: a new connection may go on where an old one of the same thread ended.
type preparations struct {
	mu    sync.Mutex
	asked []byte            // the text of the one that is being prepared; nil: none
	texts map[uint32][]byte // by number
}

// ask notes what a client is about to have prepared. It waits for the answer before it goes on.
func (p *preparations) ask(text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = bytes.Clone(text)
}

// answer takes the number out of what a server says next: a packet of number 1 that begins with a
// zero, where the statement could be prepared.
func (p *preparations) answer(stream []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != nil && len(stream) >= 9 && stream[3] == 1 && stream[4] == 0 {
		if p.texts == nil {
			p.texts = make(map[uint32][]byte)
		}
		p.texts[binary.LittleEndian.Uint32(stream[5:])] = p.asked
	}
	p.asked = nil
}

// text is that of a statement; nil when it is not known.
func (p *preparations) text(number uint32) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.texts[number]
}

// splitRedis is splitter.next for Redis' arrays of strings. Negative: it is something else.
func splitRedis(stream []byte) (int, request) {
	count, at := redisLength(stream, '*')
	if at <= 0 {
		return at, request{}
	}
	var r request
	for range count {
		length, n := redisLength(stream[at:], '$')
		if n <= 0 {
			return n, request{}
		}
		at += n
		if len(stream)-at < length+2 {
			return 0, request{}
		}
		r.args = append(r.args, stream[at:at+length])
		at += length + 2
	}
	return at, r
}

// redisLength reads a line of a mark and a number, and returns the number and where the line ends;
// 0: it is not all there, negative: it is something else.
func redisLength(stream []byte, mark byte) (length, end int) {
	const longest = 32 // bytes that such a line has
	if len(stream) == 0 {
		return 0, 0
	}
	if stream[0] != mark {
		return 0, -1
	}
	line, _, whole := bytes.Cut(stream[:min(len(stream), longest)], []byte("\r\n"))
	if !whole && len(stream) < longest {
		return 0, 0
	}
	length, err := strconv.Atoi(string(line[1:]))
	if !whole || err != nil || length < 0 {
		return 0, -1
	}
	return length, len(line) + 2
}
