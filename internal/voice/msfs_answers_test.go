package voice_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/test/rig/msfs"
)

// jsonAnswer is an answer to an upload.
func jsonAnswer(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestWhatMsfsAnswersToAnUploadIsChecked(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	long := "http://files/" + strings.Repeat("x", 255-len("http://files/"))
	for what, answer := range map[string]string{
		"nothing":          "",
		"no HTTP":          "nonsense",
		"a greeting":       "220 mail.example ESMTP\r\n",
		"an error":         "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
		"no JSON":          jsonAnswer("<html>"),
		"an empty body":    jsonAnswer(""),
		"another JSON":     jsonAnswer(`{"url":"http://files/1.audio"}`),
		"a list":           jsonAnswer(`[]`),
		"an error_code":    jsonAnswer(`{"error_code":7,"error_msg":"disk full","url":"http://files/1.audio"}`),
		"no url":           jsonAnswer(`{"error_code":0}`),
		"no URL":           jsonAnswer(`{"error_code":0,"url":"g0/000/000/1.audio"}`),
		"an URL of a file": jsonAnswer(`{"error_code":0,"url":"file:///etc/passwd"}`),
		"an URL too long":  jsonAnswer(`{"error_code":0,"url":"` + long + `x"}`),
		"half a JSON":      jsonAnswer(`{"error_code":0,"url":"http://fi`),
		"too much": jsonAnswer(strings.Repeat(" ", 1<<20) +
			`{"error_code":0,"url":"http://files/1.audio"}`),
		"less than promised": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
		"endless headers":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n{}",
	} {
		s.Trouble(msfs.Trouble{Answer: []byte(answer)})
		path, err := m.Save(t.Context(), []byte("sound"))
		if wantKind(t, what, err, chat.Unavailable); path != "" {
			t.Errorf("%s gives path %s", what, path)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
		}
		if what == "an error_code" && !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: the error does not say what the server says: %v", what, err)
		}
	}
	s.Trouble(msfs.Trouble{Answer: []byte(jsonAnswer(`{"error_code":0,"url":"` + long + `"}` +
		"\x00"))})
	if path, err := m.Save(t.Context(), []byte("sound")); err != nil || path != long {
		t.Errorf("%q, %v", path, err)
	}
	s.Trouble(msfs.Trouble{Cut: 60})
	_, err := m.Save(t.Context(), []byte("sound"))
	wantKind(t, "a cut connection", err, chat.Unavailable)
	if n := s.Requests(); n != 19 {
		t.Errorf("%d requests for 19 sounds: none is sent twice", n)
	}
}

func TestWhatMsfsAnswersForASoundIsChecked(t *testing.T) {
	t.Parallel()
	s, m := both(t)
	path := saved(t, m, "a sound that is cut")
	for what, answer := range map[string]string{
		"nothing":            "",
		"no HTTP":            "nonsense",
		"4040":               "4040 is no status",
		"an error":           "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
		"no content":         "HTTP/1.1 204 No Content\r\n\r\n",
		"a part":             "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx",
		"an empty body":      jsonAnswer(""),
		"less than promised": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
		"too much":           "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 5<<20+1),
		"too much promised":  jsonAnswer(strings.Repeat("x", 5<<20+1)),
	} {
		s.Trouble(msfs.Trouble{Answer: []byte(answer)})
		got, err := m.Load(t.Context(), path)
		if wantKind(t, what, err, chat.Unavailable); got != nil {
			t.Errorf("%s gives %d bytes", what, len(got))
		}
	}
	s.Trouble(msfs.Trouble{Cut: 100})
	_, err := m.Load(t.Context(), path)
	wantKind(t, "a cut connection", err, chat.Unavailable)

	s.Trouble(msfs.Trouble{Answer: []byte("HTTP/1.0 200 OK\r\n\r\nup to the end")})
	wantSound(t, m, path, "up to the end")
	const gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nas it is"
	s.Trouble(msfs.Trouble{Answer: []byte(gzip)})
	wantSound(t, m, path, "as it is")
}
