package voice

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/teamtalk-go/dbproxy/internal/advice"
	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
	"github.com/teamtalk-go/dbproxy/internal/probe"
)

const (
	// MsfsTimeout bounds one exchange with msfs, from connecting to the last byte, unless OpenMsfs
	// is told otherwise.
	MsfsTimeout = 2 * time.Second
	// MaxMsfsSound is how many bytes of sound go to msfs: the 5 MiB it takes, less what is sent
	// around the sound.
	MaxMsfsSound = maxMsfsBody - 1<<10

	maxMsfsBody   = 5 << 20
	maxMsfsAnswer = 64 << 10 // of an upload; a usual one has 200 bytes
	maxPath       = 255      // characters in IMAudio.path
	msfsFileName  = "1.audio"
)

// Msfs keeps sounds on the suite's file server, msfs (SPEC 6). A sound's path is the URL that msfs
// gives it. It implements chat.Voice, keeps no connections, and need not be closed.
//
// It follows no redirects and uses no HTTP proxies: it asks the host that the URL names. It tries
// nothing twice.
type Msfs struct {
	site    *url.URL
	timeout time.Duration
	prober  *probe.Prober
}

// OpenMsfs takes site as MsfsSite in the configuration has it: a URL, or HOST or HOST:PORT, which
// stands for http://HOST/. It does not connect; see Probe. A timeout of 0 is MsfsTimeout. A site
// that is none has an error of kind Invalid.
func OpenMsfs(site string, timeout time.Duration) (*Msfs, error) {
	u, err := parseSite(site)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid,
			"MsfsSite %q: %w; give a URL such as http://127.0.0.1:8700/, or a host", site, err)
	}
	return &Msfs{site: u, timeout: cmp.Or(timeout, MsfsTimeout), prober: probe.New()}, nil
}

func parseSite(site string) (*url.URL, error) {
	if !strings.Contains(site, "://") {
		if ip, err := netip.ParseAddr(site); err == nil && ip.Is6() {
			return &url.URL{Scheme: "http", Host: "[" + site + "]", Path: "/"}, nil
		}
		site = "http://" + site
	}
	u, err := parseHTTP(site)
	if err != nil {
		return nil, err
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("no port %s", port)
		}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// parseHTTP parses what may be fetched: the URL of a host by http or https.
func parseHTTP(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return nil, e.Err // without the URL, which the caller names
	}
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("neither http nor https")
	case u.Hostname() == "":
		return nil, fmt.Errorf("no host")
	}
	return u, nil
}

// Site is the URL that sounds are sent to, without its password.
func (m *Msfs) Site() string { return m.site.Redacted() }

// Save implements chat.Voice: msfs has the sound when it returns. More than MaxMsfsSound bytes are
// not sent, and the error is of kind Invalid. All other errors are of kind Unavailable; after one,
// msfs may have the sound under a URL that nobody knows.
func (m *Msfs) Save(ctx context.Context, sound []byte) (path string, err error) {
	if len(sound) > MaxMsfsSound {
		return "", chat.Errorf(chat.Invalid,
			"a sound of %d bytes is too large for msfs: it takes %d",
			len(sound), MaxMsfsSound)
	}
	req, err := m.upload(sound)
	if err != nil {
		return "", m.failed("sending a sound to", err)
	}
	answer, err := m.exchange(ctx, req, maxMsfsAnswer)
	if err == nil && answer.status != http.StatusOK {
		err = fmt.Errorf("it answers %d to an upload: is MsfsSite right?", answer.status)
	}
	if err != nil {
		return "", m.failed("sending a sound to", err)
	}
	if path, err = readURL(answer.body); err != nil {
		return "", m.failed("sending a sound to", err)
	}
	return path, nil
}

// upload makes the request that stores sound. msfs wants the length announced, the boundary without
// quotes, a Content-Type line in the part, and a file name with an extension and without
// underscore.
func (m *Msfs) upload(sound []byte) (*http.Request, error) {
	// This is a copy of the sound: of a request that was given up the client may read on for a
	// moment.
	var body bytes.Buffer
	body.Grow(len(sound) + maxMsfsBody - MaxMsfsSound)
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", msfsFileName)
	if err != nil {
		return nil, err
	}
	part.Write(sound) // a bytes.Buffer never fails
	if err := form.Close(); err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodPost, m.site.String(), &body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	return req, nil
}

// readURL takes the URL out of the answer to an upload.
func readURL(body []byte) (string, error) {
	var a struct {
		Code *int   `json:"error_code"`
		Text string `json:"error_msg"`
		URL  string `json:"url"`
	}
	// What may follow the first value is not read.
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&a); err != nil {
		return "", fmt.Errorf("its answer of %d bytes is not the JSON of msfs: %w", len(body), err)
	}
	switch {
	case a.Code == nil:
		return "", fmt.Errorf("its answer of %d bytes has no error_code: is this msfs?", len(body))
	case *a.Code != 0:
		return "", fmt.Errorf("it refuses the sound: error_code %d, %.100q", *a.Code, a.Text)
	case utf8.RuneCountInString(a.URL) > maxPath:
		return "", fmt.Errorf("the URL it gives has %d characters, and IMAudio.path holds %d: "+
			"give msfs a shorter name", utf8.RuneCountInString(a.URL), maxPath)
	}
	if _, err := parseHTTP(a.URL); err != nil {
		return "", fmt.Errorf("the URL it gives, %q, cannot be fetched: %w", a.URL, err)
	}
	return a.URL, nil
}

// Discard implements chat.Voice. It does nothing: msfs cannot delete. A sound that no message
// refers to stays there.
func (m *Msfs) Discard(context.Context, string) error { return nil }

// Load implements chat.Voice. Rows of old may have any text as their path. Only http and https URLs
// are fetched, of at most 5 MiB. A path that is none has an error of kind NotFound, as has a sound
// that the server does not have. All other errors are of kind Unavailable.
func (m *Msfs) Load(ctx context.Context, path string) ([]byte, error) {
	u, err := parseHTTP(path)
	var req *http.Request
	if err == nil {
		req, err = http.NewRequest(http.MethodGet, u.String(), nil)
	}
	if err != nil {
		return nil, chat.Errorf(chat.NotFound,
			"the path %.300q of a sound is no URL to fetch it from: %w", path, err)
	}
	answer, err := m.exchange(ctx, req, maxMsfsBody)
	switch {
	case err != nil:
	case answer.status == http.StatusNotFound:
		return nil, chat.Errorf(chat.NotFound, "no sound at %s: the server answers 404",
			u.Redacted())
	case answer.status != http.StatusOK:
		err = fmt.Errorf("it answers %d", answer.status)
	case len(answer.body) == 0:
		err = errors.New("its answer is empty")
	default:
		return answer.body, nil
	}
	if u.Host == m.site.Host {
		m.prober.Suspect()
	}
	return nil, chat.Errorf(chat.Unavailable, "fetching a sound from %s: %w", u.Redacted(), err)
}

// Probe asks msfs for a file that is not there, which leaves nothing behind. It returns in a few
// words what it answered. An error, of kind Unavailable, says that nothing answered, or something
// that is not msfs.
func (m *Msfs) Probe(ctx context.Context) (answered string, err error) {
	none := m.site.JoinPath("g0/000/000/none.audio")
	req, err := http.NewRequest(http.MethodGet, none.String(), nil)
	if err != nil {
		return "", m.failed("asking", err)
	}
	answer, err := m.exchange(ctx, req, maxMsfsBody)
	if err != nil {
		return "", m.failed("asking", err)
	}
	switch answer.status {
	case http.StatusNotFound:
		return "404 for a file that is not there, as msfs does", nil
	case http.StatusOK:
		return "200", nil
	default:
		err := fmt.Errorf("it answers %d, which msfs does not; is MsfsSite right?", answer.status)
		return "", m.failed("asking", err)
	}
}

// Mend says what to do about an error of Probe.
func (m *Msfs) Mend(err error) string {
	_, mend := advice.Server{Program: "msfs", Address: "MsfsSite"}.Network(err)
	return cmp.Or(mend, "start it, or mend MsfsSite")
}

func (m *Msfs) failed(doing string, err error) error {
	m.prober.Suspect()
	err = descriptors.Explain(err)
	return chat.Errorf(chat.Unavailable, "%s msfs at %s: %w", doing, m.Site(), err)
}
