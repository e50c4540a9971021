package voice

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync"
)

// answer is what a server said.
type answer struct {
	status int
	body   []byte
}

// exchange sends req on a connection of its own, as msfs wants it, and reads the answer, a body of
// at most limit bytes. It returns when ctx ends, or after m's timeout. It follows no redirect.
//
// The 404 of msfs is malformed, and which error Go's client makes of that may change. So exchange
// also reads the first bytes that came in: whatever begins like a 404 is one.
func (m *Msfs) exchange(ctx context.Context, req *http.Request, limit int64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	var seen opening
	client := http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &watchedConn{conn, &seen}, nil
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	req.Header.Set("User-Agent", "dbproxy")
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		if seen.notFound() {
			return answer{status: http.StatusNotFound}, nil
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{status: resp.StatusCode}, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return answer{}, fmt.Errorf("after %d bytes of its answer: %w", len(body), err)
	}
	if int64(len(body)) > limit {
		return answer{}, fmt.Errorf("its answer has more than %d bytes", limit)
	}
	return answer{status: resp.StatusCode, body: body}, nil
}

// watchedConn shows seen what is read from a connection.
type watchedConn struct {
	net.Conn
	seen *opening
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen.add(p[:n])
	return n, err
}

// opening is the first bytes of an answer. It is safe for concurrent use.
type opening struct {
	mu    sync.Mutex
	bytes []byte // at most 32; guarded by mu
}

func (o *opening) add(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes = append(o.bytes, p[:min(len(p), 32-len(o.bytes))]...)
}

func (o *opening) notFound() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return looksLike404.Match(o.bytes)
}

// looksLike404 is a status line with that code, whatever else is wrong with it.
var looksLike404 = regexp.MustCompile(`^\s*(HTTP\S*[ \t]+)?404([^0-9]|$)`)
