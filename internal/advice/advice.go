// Package advice says why a server cannot be reached, and what to do about it. It is the one table
// of what all protocols have in common: names, connections, time and TLS. What a server itself
// answers is told by the package that speaks its protocol.
package advice

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// Trouble is a kind of error on the way to a server.
type Trouble uint8

// The kinds.
const (
	Other       Trouble = iota // none of these, or no error
	Descriptors                // this process, or this machine, may not have more connections
	UnknownHost                // no address is known for its name
	Refused                    // nothing listens there
	Timeout                    // no answer in time
	Certificate                // its certificate is not accepted
	NoTLS                      // it speaks no TLS
	NoWay                      // no connection can be made, for another reason
	Closed                     // the connection was closed or lost
)

// Of returns the kind of an error.
func Of(err error) Trouble {
	var (
		dns         *net.DNSError
		network     net.Error
		certificate *tls.CertificateVerificationError
		name        x509.HostnameError
		noTLS       tls.RecordHeaderError
		dial        *net.OpError
	)
	dialling := errors.As(err, &dial) && dial.Op == "dial"
	switch {
	case descriptors.Mend(err) != "":
		return Descriptors
	case errors.As(err, &dns):
		return UnknownHost
	case errors.Is(err, syscall.ECONNREFUSED), dialling && errors.Is(err, fs.ErrNotExist):
		return Refused // the latter by a socket's path
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return Timeout
	case errors.As(err, &certificate), errors.As(err, &name):
		return Certificate
	case errors.As(err, &noTLS):
		return NoTLS
	case dialling:
		return NoWay
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Closed
	default:
		return Other
	}
}

// Server is a server as the advice about it names it. Keys are keys of the configuration. All
// fields may be empty; then the advice is a general one, and shorter, as it suits a line of the
// log.
type Server struct {
	Program string        // what is to run there: "Redis"
	Where   string        // where it was looked for: "127.0.0.1:6379"
	Bind    string        // its setting of the addresses that it listens on: "bind"
	Waited  time.Duration // how long an answer was waited for

	Address    string // the keys that say where it is: "unread_host and unread_port"
	Timeouts   string // the keys that say how long an answer is waited for
	TLS        string // the key that says whether it speaks TLS
	CA         string // the key that says who signed its certificate
	ServerName string // the key that says for which name its certificate is
}

// Network tells why the server could not be reached (what), and what to do about it (mend). Neither
// ends with a full stop. Both are empty for errors of kind Other, which only the protocol explains.
func (s Server) Network(err error) (what, mend string) {
	where := cmp.Or(s.Where, "the server")
	what = fmt.Sprintf("%s: %v", where, err)
	switch Of(err) {
	case Descriptors:
		mend = descriptors.Mend(err)
	case UnknownHost:
		var dns *net.DNSError
		errors.As(err, &dns)
		what = fmt.Sprintf("no address is known for %s: %s", dns.Name, dns.Err)
		mend = "mend " + s.address() + ", or the name service"
	case Refused:
		what, mend = "nothing listens at "+where, s.start()
	case NoWay:
		mend = s.start()
	case Timeout:
		what, mend = fmt.Sprintf("no answer from %s within %v", where, s.Waited), s.wait()
	case Certificate:
		what = fmt.Sprintf("the certificate of %s is not accepted: %v", where, err)
		mend = fmt.Sprintf("name who signed it in %s, or the name it is for in %s",
			cmp.Or(s.CA, "tls_ca"), cmp.Or(s.ServerName, "tls_servername"))
	case NoTLS:
		mend = fmt.Sprintf("it speaks no TLS: give it a certificate, or set %s to off; or mend %s",
			cmp.Or(s.TLS, "tls"), s.address())
	case Closed:
		mend = s.see()
	default:
		return "", ""
	}
	return what, mend
}

// Mend is what to do about an error of a server of which nothing else is known; empty where only
// the protocol tells.
func Mend(err error) string {
	_, mend := Server{}.Network(err)
	return mend
}

func (s Server) address() string {
	return cmp.Or(s.Address, "its host and port in the configuration")
}

// start is what to do where nothing listens.
func (s Server) start() string {
	if s.Program == "" {
		return "start the server, or mend " + s.address()
	}
	mend := "start " + s.Program + " there,"
	if s.Bind != "" {
		mend += " have it listen on that address (" + s.Bind + "),"
	}
	return mend + " or mend " + s.address()
}

// wait is what to do where no answer comes in time.
func (s Server) wait() string {
	mend := "see whether it hangs, or a firewall drops what is sent to it"
	if s.Address != "" {
		mend += "; mend " + s.Address
		if s.Timeouts != "" {
			mend += ", or raise " + s.Timeouts
		}
	}
	return mend
}

// see is what to do where a connection ends.
func (s Server) see() string {
	mend := "see whether it runs, and what its log says"
	if s.TLS != "" {
		mend += ", and whether it speaks TLS as " + s.TLS + " says"
	}
	if s.Address != "" {
		mend += "; or mend " + s.Address
	}
	return mend
}
