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

// Client is the setup of TLS for the drivers; nil when the mode is off. Its ServerName is empty
// unless one is configured: the drivers fill in the host that they connect to. Load has looked at
// the files already; the error is that one of them cannot be read any more.
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
		// as the mode says: encrypted, with whoever answers
		InsecureSkipVerify: t.Mode != tlsVerify,
	}, nil
}

// Optional is whether a server that has no TLS is taken without it.
func (t TLS) Optional() bool { return t.Mode == tlsPreferred }

// certificates are our own, none when none is configured.
func (t TLS) certificates() ([]tls.Certificate, error) {
	if t.Cert == "" || t.Mode == tlsOff {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	return []tls.Certificate{cert}, err
}

// authorities are those to trust; nil, which is the system's, when none are configured.
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
