package msfs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *msfs.Server {
	t.Helper()
	s, err := msfs.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// dial connects; the connection gives up after a minute, and ends with the test.
func dial(t *testing.T, s *msfs.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// talk sends raw bytes and returns all that comes back until the server closes.
func talk(t *testing.T, s *msfs.Server, raw string) string {
	t.Helper()
	c := dial(t, s)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	return string(got)
}

const goodBody = "--xyz\r\n" +
	"Content-Disposition: form-data; name=\"file\"; filename=\"1.audio\"\r\n" +
	"Content-Type: application/octet-stream\r\n" +
	"\r\n" +
	"a sound\r\n" +
	"--xyz--\r\n"

// post makes an upload whose length is announced.
func post(contentType, body string) string {
	return fmt.Sprintf(
		"POST / HTTP/1.1\r\nHost: msfs\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		contentType,
		len(body), body)
}

func good() string { return post("multipart/form-data; boundary=xyz", goodBody) }

type answer struct {
	Code *int   `json:"error_code"`
	Text string `json:"error_msg"`
	Path string `json:"path"`
	URL  string `json:"url"`
}

func parse(t *testing.T, raw string) answer {
	t.Helper()
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	var a answer
	err := json.Unmarshal([]byte(body), &a)
	if err != nil || a.Code == nil || !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") {
		t.Fatalf("answer %q: %v", raw, err)
	}
	return a
}

func TestAFileComesBackByItsURL(t *testing.T) {
	s := start(t)
	a := parse(t, talk(t, s, good()))
	if *a.Code != 0 || a.Text != "成功" || !strings.HasPrefix(a.Path, "g0/000/000/") ||
		a.URL != s.URL()+a.Path ||
		!strings.HasSuffix(a.URL, ".audio") {
		t.Errorf("answer %+v", a)
	}
	got := talk(t, s, "GET /"+a.Path+" HTTP/1.1\r\nHost: msfs\r\n\r\n")
	if !strings.HasSuffix(got, "\r\nContent-Length: 7\r\n\r\na sound") {
		t.Errorf("the file: %q", got)
	}
	if files := s.Files(); len(files) != 1 || files[0] != a.URL {
		t.Errorf("files %q", files)
	}
	s.Remove(a.URL)
	if got := talk(t, s, "GET /"+a.Path+" HTTP/1.1\r\nHost: msfs\r\n\r\n"); got != msfs.NotFound {
		t.Errorf("a removed file: %q", got)
	}
}

func TestAConnectionHasOneRequest(t *testing.T) {
	s := start(t)
	c := dial(t, s)
	if _, err := io.WriteString(c, strings.Replace(good(), "\r\n", "\r\nConnection: keep-alive\r\n",
		1)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil { // to the end that the server makes
		t.Fatal(err)
	}
	io.WriteString(c, good()) // may fail, or not yet
	if more, _ := io.ReadAll(c); len(more) != 0 || s.Requests() != 1 {
		t.Errorf("a second request is answered %q; %d requests", more, s.Requests())
	}
}

func TestUploadsThatItRefuses(t *testing.T) {
	s := start(t)
	const form = "multipart/form-data; boundary=xyz"
	edit := func(old, with string) string {
		return post(form, strings.Replace(goodBody, old, with, 1))
	}
	for what, raw := range map[string]string{
		"in chunks": "POST / HTTP/1.1\r\nContent-Type: " + form +
			"\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(goodBody), goodBody),
		"without a length": "POST / HTTP/1.1\r\nHost: msfs\r\nContent-Type: " + form + "\r\n\r\n" +
			goodBody,
		"too large": fmt.Sprintf(
			"POST / HTTP/1.1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", form,
			msfs.MaxBody+1),
		"a quoted boundary":        post(`multipart/form-data; boundary="xyz"`, goodBody),
		"no form":                  post("application/octet-stream", goodBody),
		"another boundary":         post("multipart/form-data; boundary=abc", goodBody),
		"no Content-Type in part":  edit("Content-Type: application/octet-stream\r\n", ""),
		"an underscore in name":    edit("1.audio", "1_2.audio"),
		"no extension":             edit("1.audio", "1audio"),
		"an extension of no bytes": edit("1.audio", "1."),
		"no file name":             edit(`; filename="1.audio"`, ""),
		"another part":             edit(`name="file"`, `name="fill"`),
		"two parts":                post(form, strings.Replace(goodBody, "--xyz--", goodBody, 1)),
		"no end":                   edit("--xyz--", ""),
		"PUT":                      strings.Replace(good(), "POST", "PUT", 1),
	} {
		if a := parse(t, talk(t, s, raw)); *a.Code == 0 || a.URL != "" {
			t.Errorf("%s: %+v", what, a)
		}
	}
	if files := s.Files(); len(files) != 0 {
		t.Errorf("it kept %q", files)
	}
}

func TestABodyAsLargeAsItMayBe(t *testing.T) {
	s := start(t)
	const form = "multipart/form-data; boundary=xyz"
	body := strings.Replace(goodBody, "a sound", strings.Repeat("x",
		msfs.MaxBody-len(goodBody)+len("a sound")), 1)
	if a := parse(t, talk(t, s, post(form, body))); *a.Code != 0 {
		t.Errorf("answer %+v to %d bytes", a, len(body))
	}
}

func TestGoFindsFaultWithThe404(t *testing.T) {
	s := start(t)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(s.URL() + "g0/000/000/none.audio")
	if err == nil {
		resp.Body.Close()
		t.Error("it is proper HTTP:", resp.Status)
	}
	if e := (*url.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "malformed") {
		t.Error(err)
	}
}

func TestWhatIsNoHTTPGetsNoAnswer(t *testing.T) {
	s := start(t)
	for _, raw := range []string{"\r\n\r\n", "hello\r\n\r\n", "GET / FTP/1\r\n\r\n"} {
		if got := talk(t, s, raw); got != "" {
			t.Errorf("%q is answered %q", raw, got)
		}
	}
	c := dial(t, s)
	go c.Write(bytes.Repeat([]byte("x"), 1<<20)) // ends when the server closes
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("a long line is answered %q", got)
	}
	c.Close()
}

func TestDown(t *testing.T) {
	s := start(t)
	s.Trouble(msfs.Trouble{Down: true})
	var got []byte
	c, err := net.Dial("tcp", s.Addr())
	if err == nil { // sometimes the reset comes before
		got, err = io.ReadAll(c)
		c.Close()
	}
	if len(got) != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", got, err)
	}
	s.Trouble(msfs.Trouble{})
	parse(t, talk(t, s, good()))
}

func TestNonsenseAndCutAnswers(t *testing.T) {
	s := start(t)
	s.Trouble(msfs.Trouble{Answer: []byte("nonsense")})
	if got := talk(t, s, good()); got != "nonsense" {
		t.Errorf("%q", got)
	}
	s.Trouble(msfs.Trouble{Cut: 20})
	c := dial(t, s)
	if _, err := io.WriteString(c, good()); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); len(got) > 20 || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHeldAnswersComeWhenTheyAreReleased(t *testing.T) {
	s := start(t)
	hold := make(chan struct{})
	s.Trouble(msfs.Trouble{Hold: hold})
	c, left := dial(t, s), dial(t, s)
	for _, c := range []net.Conn{c, left} {
		if _, err := io.WriteString(c, good()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); len(s.Files()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the requests do not arrive")
		}
	}
	left.Close()
	close(hold)
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	parse(t, string(got))
}

func TestCloseCutsWhatIsHeld(t *testing.T) {
	s, err := msfs.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Trouble(msfs.Trouble{Hold: make(chan struct{})})
	c := dial(t, s)
	if _, err := io.WriteString(c, good()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		c.Close()
		t.Error("it still accepts")
	}
}
