package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair writes a certificate for the name db.example, which is its own authority, and its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"db.example"}, IsCA: true,
		BasicConstraintsValid: true,
		NotBefore:             time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	public, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}),
			0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", public), write("key.pem", "PRIVATE KEY", secret)
}

// shake has a client with this setup meet a server that shows the certificate and wants one.
func shake(t *testing.T, setup TLS, cert, key string) error {
	t.Helper()
	c, err := setup.Client()
	if err != nil {
		t.Fatal(err)
	}
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if c.ServerName == "" {
		c.ServerName = "10.0.0.5" // what a driver fills in
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		far, err := ln.Accept()
		if err != nil {
			return // the test tells
		}
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{own},
			ClientAuth: tls.RequireAnyClientCert})
		_ = server.SetDeadline(time.Now().Add(time.Minute))
		_ = server.Handshake() // what counts is what the client says
		_ = server.Close()
	}()
	defer func() { _ = ln.Close(); <-served }()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if err := near.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	// a refusal of our own certificate comes after the handshake
	_, err = tls.Client(near, c).Read(make([]byte, 1))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func TestTLS(t *testing.T) {
	cert, key := pair(t)
	for _, c := range []struct {
		name  string
		setup TLS
		good  bool
	}{
		{"preferred takes anyone", TLS{Mode: "preferred", Cert: cert, Key: key}, true},
		{"required takes anyone", TLS{Mode: "required", Cert: cert, Key: key}, true},
		{"required without a certificate of our own", TLS{Mode: "required"}, false},
		{"verify by the system's authorities",
			TLS{Mode: "verify", ServerName: "db.example", Cert: cert, Key: key}, false},
		{"verify another name", TLS{Mode: "verify", CA: cert, Cert: cert, Key: key}, false},
		{"verify", TLS{Mode: "verify", CA: cert, ServerName: "db.example", Cert: cert, Key: key},
			true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := shake(t, c.setup, cert, key); (err == nil) != c.good {
				t.Error(err)
			}
			if c.setup.Optional() != (c.setup.Mode == "preferred") {
				t.Error("only preferred is optional")
			}
		})
	}
	for _, off := range []TLS{{}, {Mode: "off", CA: "nowhere"}} {
		if c, err := off.Client(); c != nil || err != nil {
			t.Error(c, err)
		}
	}
}

func TestTLSFromTheFile(t *testing.T) {
	cert, key := pair(t)
	c, warnings := loaded(t, original+"unread_tls=verify\nunread_tls_ca="+cert+"\nunread_tls_cert="+
		cert+"\nunread_tls_key="+key)
	want := TLS{Mode: "verify", CA: cert, Cert: cert, Key: key}
	if len(warnings) > 0 || c.Unread.TLS != want {
		t.Error(warnings, c.Unread.TLS)
	}
}
