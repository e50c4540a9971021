package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// aesKeyLen is how long an AES-256 key is, in bytes.
const aesKeyLen = 32

// off is what disables AdminListen.
const off = "off"

// form is a rule that a text must follow.
type form struct {
	wanted string // in words
	read   func(text string) (value string, ok bool)
}

// forms are the forms that fields name in their tags.
var forms = map[string]form{
	"host":    {"an IP address or host name, without a port", readHost},
	"server":  {"an IP address or host name, without a port, or the path of a socket", readServer},
	"address": {"HOST:PORT", readAddress},
	"listen":  {"HOST:PORT, or off", readListen},
	"site": {"a URL such as http://127.0.0.1:8700/, or a host, without a user or a query",
		readSite},
	"aes": {"exactly 32 characters", func(text string) (string, bool) {
		return text, len(text) == aesKeyLen
	}},
}

// hostName is what names of hosts look like. One of digits and dots alone is a mistyped address.
var (
	hostName = regexp.MustCompile(`^\w([\w-]*\w)?(\.\w([\w-]*\w)?)*\.?$`)
	numeric  = regexp.MustCompile(`^[0-9.]+$`)
)

func readHost(text string) (string, bool) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.String(), true
	}
	return text, len(text) < 254 && hostName.MatchString(text) && !numeric.MatchString(text)
}

// readServer reads a host, or the path of a socket on this machine.
func readServer(text string) (string, bool) {
	if strings.HasPrefix(text, "/") {
		return text, true
	}
	return readHost(text)
}

func readAddress(text string) (string, bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", false
	}
	host, ok := readHost(host)
	n, err := strconv.ParseUint(port, 10, 16)
	return net.JoinHostPort(host, port), ok && err == nil && n > 0
}

// readListen reads an address to listen on. No host means all addresses, port 0 a free port. "off"
// becomes "".
func readListen(text string) (string, bool) {
	if strings.EqualFold(text, off) {
		return "", true
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", false
	}
	ok := host == ""
	if !ok {
		host, ok = readHost(host)
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return net.JoinHostPort(host, port), ok && err == nil
}

// readSite reads the URL of the file server, without a query.
func readSite(text string) (string, bool) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		(u.Scheme != "http" && u.Scheme != "https") {
		return "", false
	}
	if _, ok := readHost(u.Hostname()); !ok {
		return "", false
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return "", false
		}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), true
}
