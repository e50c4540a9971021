package voice_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/voice"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ chat.Voice = (*voice.Msfs)(nil)

// patience is the timeout of clients whose exchanges are to succeed, on a machine that has much
// else to do.
const patience = time.Minute

func startMsfs(t *testing.T, addr string) *msfs.Server {
	t.Helper()
	s, err := msfs.Start(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func openMsfs(t *testing.T, site string) *voice.Msfs {
	t.Helper()
	m, err := voice.OpenMsfs(site, patience)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// both starts a server and opens it.
func both(t *testing.T) (*msfs.Server, *voice.Msfs) {
	t.Helper()
	s := startMsfs(t, "127.0.0.1:0")
	return s, openMsfs(t, s.URL())
}

// saved saves a sound and returns its URL.
func saved(t *testing.T, m *voice.Msfs, sound string) string {
	t.Helper()
	path, err := m.Save(t.Context(), []byte(sound))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func wantSound(t *testing.T, m *voice.Msfs, path, want string) {
	t.Helper()
	if got, err := m.Load(t.Context(), path); err != nil || string(got) != want {
		t.Errorf("%s: %d bytes, %v; want %d", path, len(got), err, len(want))
	}
}

func TestMsfsGivesSoundsBackByteForByte(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	large := strings.Repeat("x", voice.MaxMsfsSound)
	for _, sound := range []string{"sound", "\x00", "\x00\xff\r\n\r\n--", "sound", large} {
		path := saved(t, m, sound)
		if !strings.HasPrefix(path, s.URL()+"g0/") || !strings.HasSuffix(path, ".audio") {
			t.Errorf("path %s", path)
		}
		wantSound(t, m, path, sound)
	}
	if n := len(s.Files()); n != 5 {
		t.Errorf("%d files", n)
	}
}

func TestMsfsKeepsWhatIsDiscarded(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	path := saved(t, m, "sound")
	if err := m.Discard(t.Context(), path); err != nil {
		t.Error(err)
	}
	wantSound(t, m, path, "sound")
	if n := s.Requests(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestASoundTooLargeForMsfsIsNotSent(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	_, err := m.Save(t.Context(), make([]byte, voice.MaxMsfsSound+1))
	wantKind(t, "a large sound", err, chat.Invalid)
	if n := s.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestSitesOfMsfs(t *testing.T) {
	t.Parallel()
	for site, want := range map[string]string{
		"http://127.0.0.1:8700/":     "http://127.0.0.1:8700/",
		"http://127.0.0.1:8700":      "http://127.0.0.1:8700/",
		"127.0.0.1:8700":             "http://127.0.0.1:8700/",
		"127.0.0.1":                  "http://127.0.0.1/",
		"files.example":              "http://files.example/",
		"files.example/":             "http://files.example/",
		"https://files.example/msfs": "https://files.example/msfs",
		"http://[::1]:8700/":         "http://[::1]:8700/",
		"[::1]:8700":                 "http://[::1]:8700/",
		"[::1]":                      "http://[::1]/",
		"::1":                        "http://[::1]/",
		"fe80::1%eth0":               "http://[fe80::1%25eth0]/",
		"http://ann:secret@files/":   "http://ann:xxxxx@files/",
	} {
		if m, err := voice.OpenMsfs(site, 0); err != nil || m.Site() != want {
			t.Errorf("%q: %v, %v; want %s", site, m, err, want)
		}
	}
	for _, site := range []string{
		"", "/", "http://", "http:///path", ":8700", "ftp://files/", "file:///etc/passwd",
		"http://files:0/",
		"http://files:65536/", "http://files:http/", "http://fi les/", "http://[::1/",
		"http://a\x00b/",
	} {
		m, err := voice.OpenMsfs(site, 0)
		if wantKind(t, fmt.Sprintf("%q", site), err, chat.Invalid); m != nil {
			t.Errorf("%q is opened as %s", site, m.Site())
		}
	}
}

func TestMsfsIsFoundHoweverItsSiteIsWritten(t *testing.T) {
	t.Parallel()
	s := startMsfs(t, "127.0.0.1:0")
	for _, site := range []string{s.URL(), strings.TrimSuffix(s.URL(), "/"), s.Addr()} {
		m := openMsfs(t, site)
		wantSound(t, m, saved(t, m, "sound"), "sound")
	}
	c, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Log("this machine has no IPv6:", err)
		return
	}
	c.Close()
	s = startMsfs(t, "[::1]:0")
	for _, site := range []string{s.URL(), s.Addr()} {
		m := openMsfs(t, site)
		wantSound(t, m, saved(t, m, "sound"), "sound")
	}
}

func TestSoundsThatMsfsDoesNotHaveAreNotFound(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	path := saved(t, m, "sound")
	s.Remove(path)
	_, err := m.Load(t.Context(), path)
	wantKind(t, "a file that is gone", err, chat.NotFound)
	for _, answer := range []string{
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 1000\r\n\r\nshort",
		"HTTP/1.1 404 Not Found\r\nContent-Length: many\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nno header\r\n\r\n",
		"HTTP/1.1 404 Not FoundConnection: close\r\n\r\n",
		"HTTP/1.1 404 Not Found",
		"HTTP/1.1 404",
		"HTTP/1.1 404\n",
		"HTTP 404 Not Found\r\n\r\n",
		"404 Not Found",
	} {
		s.Trouble(msfs.Trouble{Answer: []byte(answer)})
		_, err := m.Load(t.Context(), path)
		wantKind(t, fmt.Sprintf("%q", answer), err, chat.NotFound)
		_, err = m.Save(t.Context(), []byte("sound"))
		wantKind(t, fmt.Sprintf("saving, %q", answer), err, chat.Unavailable)
	}
}

func TestPathsThatAreNoURLAreNotFetched(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	for _, path := range []string{
		"", "g0/000/000/1.audio", "/etc/passwd", "file:///etc/passwd", "ftp://" + s.Addr() + "/x",
		s.Addr() + "/x",
		"//" + s.Addr() + "/x", "http:///x", "http://a\nb/", "http:", "gopher://" + s.Addr(),
		strings.Repeat("x", 5000),
	} {
		_, err := m.Load(t.Context(), path)
		wantKind(t, fmt.Sprintf("%.40q", path), err, chat.NotFound)
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	if n := s.Requests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := startMsfs(t, "127.0.0.1:0")
	secret := saved(t, openMsfs(t, elsewhere.URL()), "secret")
	s, m := both(t)
	path := saved(t, m, "sound")
	for _, status := range []string{"301 Moved", "302 Found", "303 See Other", "307 Temporary",
		"308 Permanent"} {
		s.Trouble(msfs.Trouble{Answer: []byte("HTTP/1.1 " + status + "\r\nLocation: " + secret +
			"\r\nContent-Length: 0\r\n\r\n")})
		got, err := m.Load(t.Context(), path)
		if wantKind(t, status, err, chat.Unavailable); got != nil {
			t.Errorf("%s: %q", status, got)
		}
		_, err = m.Save(t.Context(), []byte("sound"))
		wantKind(t, status, err, chat.Unavailable)
	}
	if n := elsewhere.Requests(); n != 1 {
		t.Errorf("%d requests elsewhere, want the one that saved", n)
	}
}

func TestMsfsThatIsDownIsUnavailableUntilItIsBack(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	path := saved(t, m, "sound")
	fails := func(what string) {
		t.Helper()
		_, err := m.Save(t.Context(), []byte("sound"))
		wantKind(t, what+": saving", err, chat.Unavailable)
		_, err = m.Load(t.Context(), path)
		wantKind(t, what+": loading", err, chat.Unavailable)
		_, err = m.Probe(t.Context())
		wantKind(t, what+": probing", err, chat.Unavailable)
		if err != nil && !strings.Contains(err.Error(), m.Site()) {
			t.Errorf("%s: the error does not say where: %v", what, err)
		}
	}
	s.Trouble(msfs.Trouble{Down: true})
	fails("reset")
	s.Trouble(msfs.Trouble{})
	wantSound(t, m, path, "sound")

	gone, err := msfs.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m = openMsfs(t, gone.URL())
	path = saved(t, m, "sound")
	gone.Close()
	fails("gone")
}

func TestASlowMsfsIsLeftWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	path := saved(t, m, "sound")
	s.Trouble(msfs.Trouble{Hold: make(chan struct{})})
	for what, call := range map[string]func(context.Context) error{
		"saving": func(ctx context.Context) error {
			_, err := m.Save(ctx, make([]byte, 1<<20))
			return err
		},
		"loading": func(ctx context.Context) error { _, err := m.Load(ctx, path); return err },
		"probing": func(ctx context.Context) error { _, err := m.Probe(ctx); return err },
	} {
		before := s.Requests()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- call(ctx) }()
		deadline := time.Now().Add(time.Minute)
		for ; s.Requests() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what, "does not arrive")
			}
		}
		cancel()
		err := <-result // at once, or when its patience ends
		if wantKind(t, what, err, chat.Unavailable); !errors.Is(err, context.Canceled) {
			t.Errorf("%s ends with %v", what, err)
		}
	}
}

func TestASlowMsfsIsLeftAfterTheTimeout(t *testing.T) {
	t.Parallel()
	s := startMsfs(t, "127.0.0.1:0")
	s.Trouble(msfs.Trouble{Hold: make(chan struct{})})
	m, err := voice.OpenMsfs(s.URL(), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Save(t.Context(), []byte("sound"))
	if wantKind(t, "saving", err, chat.Unavailable); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestProbeSaysWhatAnswers(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	if answered, err := m.Probe(t.Context()); err != nil || !strings.HasPrefix(answered, "404") {
		t.Errorf("%q, %v", answered, err)
	}
	if files := s.Files(); len(files) != 0 {
		t.Errorf("it leaves %q behind", files)
	}
	const badGateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
	for _, answer := range []string{"", "220 mail.example ESMTP\r\n", badGateway} {
		s.Trouble(msfs.Trouble{Answer: []byte(answer)})
		answered, err := m.Probe(t.Context())
		if wantKind(t, fmt.Sprintf("%q", answer), err, chat.Unavailable); answered != "" {
			t.Errorf("%q: %s", answer, answered)
		}
	}
}

func TestAProperServerTakesUploadsToo(t *testing.T) {
	t.Parallel()
	var url string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, header, err := r.FormFile("file")
		if err != nil || header.Filename != "1.audio" || r.ContentLength <= 0 || !r.Close ||
			r.URL.Path != "/msfs" ||
			header.Header.Get("Content-Type") == "" ||
			strings.Contains(r.Header.Get("Content-Type"), `"`) {
			t.Errorf("request %+v: %v", r, err)
			return
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(f); err != nil || body.String() != "sound" {
			t.Errorf("%q, %v", body.Bytes(), err)
		}
		fmt.Fprintf(w, `{"error_code":0,"url":"%s/1.audio"}`, url)
	}))
	t.Cleanup(server.Close)
	url = server.URL
	if path := saved(t, openMsfs(t, server.URL+"/msfs"), "sound"); path != url+"/1.audio" {
		t.Error(path)
	}
}

func TestMsfsTakesManySoundsSideBySide(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			sound := fmt.Sprint("sound ", i)
			path, err := m.Save(t.Context(), []byte(sound))
			if err != nil {
				t.Error(err)
				return
			}
			wantSound(t, m, path, sound)
		})
	}
	all.Wait()
	if n := len(s.Files()); n != 60 {
		t.Errorf("%d files", n)
	}
}
