package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// The values of TLS.Mode.
const (
	tlsOff       = "off"
	tlsPreferred = "preferred"
	tlsRequired  = "required"
	tlsVerify    = "verify"
)

// Client returns the settings of TLS for the drivers; nil when the mode is off. Their ServerName is
// empty unless one is configured: the drivers fill in the host to which they connect. Load has read
// the files already, so it fails only when one of them cannot be read any more.
func (t TLS) Client() (*tls.Config, error) {
	if t.Mode == "" || t.Mode == tlsOff {
		return nil, nil
	}
	certs, err := t.certificates()
	if err != nil {
		return nil, err
	}
	roots, err := t.authorities()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: certs, RootCAs: roots, ServerName: t.ServerName,
		// Without "verify" the connection is encrypted, whoever answers.
		InsecureSkipVerify: t.Mode != tlsVerify,
	}, nil
}

// Optional reports whether a server without TLS may be used without it.
func (t TLS) Optional() bool { return t.Mode == tlsPreferred }

// certificates returns our own certificate, if one is configured.
func (t TLS) certificates() ([]tls.Certificate, error) {
	if t.Cert == "" || t.Mode == tlsOff {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	return []tls.Certificate{cert}, err
}

// authorities returns the authorities to trust; nil, for the system's, when none are configured.
func (t TLS) authorities() (*x509.CertPool, error) {
	if t.CA == "" || t.Mode != tlsVerify {
		return nil, nil
	}
	text, err := readText(t.CA, maxFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", t.CA)
	}
	return pool, nil
}
