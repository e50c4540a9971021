package faultproxy

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// packet is one of MySQL's.
func packet(number byte, content string) string {
	n := len(content)
	return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), number}) + content
}

// all splits a stream that comes in pieces of the given size, and returns what it has of interest,
// one line each.
func all(t *testing.T, stream string, size int) (requests []string) {
	t.Helper()
	var s splitter
	var have, passed []byte
	for piece := range slices.Chunk([]byte(stream), size) {
		have = append(have, piece...)
		for len(have) > 0 {
			n, r := s.split(have)
			if n == 0 {
				break
			}
			if r.query != nil {
				requests = append(requests, string(r.query))
			}
			if r.prepares != nil {
				requests = append(requests, "prepares "+string(r.prepares))
			}
			if r.executes != 0 {
				requests = append(requests, fmt.Sprintf("executes %d", r.executes))
			}
			if r.args != nil {
				requests = append(requests, fmt.Sprintf("%q", r.args))
			}
			passed = append(passed, have[:n]...)
			have = have[n:]
		}
	}
	if got := string(append(passed, have...)); got != stream {
		t.Errorf("of %q came %q", stream, got)
	}
	return requests
}

func TestRequestsAreFound(t *testing.T) {
	t.Parallel()
	plain, ssl := string(make([]byte, 40)), "\x00\x08"+string(make([]byte, 30))
	for _, c := range []struct {
		name, stream string
		want         []string
	}{
		{"MySQL", packet(1, plain) + packet(3, "\x03auth") + packet(0, "\x03COMMIT") + packet(0,
			"\x0e") +
			packet(0, "\x1b\x00") + packet(0, "\x03") + packet(0, "\x03DO 1; DO 2"),
			[]string{"COMMIT", "", "DO 1; DO 2"}},
		{"MySQL, prepared", packet(1, plain) + packet(0, "\x16SELECT ?") + packet(0,
			"\x17\x02\x01\x00\x00v") +
			packet(0, "\x17\x01"), []string{"prepares SELECT ?", "executes 258"}},
		{"MySQL with TLS", packet(1, ssl) + packet(0, "\x03COMMIT"), nil},
		{"Redis", "*2\r\n$3\r\nGET\r\n$0\r\n\r\n*0\r\n*1\r\n$6\r\nA\r\n*1$\r\n",
			[]string{`["GET" ""]`, `["A\r\n*1$"]`}},
		{"Redis inline", "*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n$4\r\nPING\r\n", []string{`["PING"]`}},
		{"a number that is none", "*1\r\n$x\r\nPING\r\n*1\r\n$4\r\nPING\r\n", nil},
		{"a line that does not end", "*1" + string(bytes.Repeat([]byte("0"), 100)), nil},
		{"HTTP", "POST / HTTP/1.1\r\n\r\n*1\r\n$4\r\nPING\r\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for size := 4; size <= len(c.stream); size++ {
				if got := all(t, c.stream, size); !slices.Equal(got, c.want) {
					t.Fatalf("in pieces of %d bytes: got %q, want %q", size, got, c.want)
				}
			}
		})
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("*1\r\n$4\r\nPING\r\n", 3)
	f.Add(packet(1, "hello")+packet(0, "\x03COMMIT"), 5)
	f.Fuzz(func(t *testing.T, stream string, size int) { all(t, stream, max(1, size)) })
}
