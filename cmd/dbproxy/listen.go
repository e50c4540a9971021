package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/checkup"
	"github.com/teamtalk-go/dbproxy/internal/config"
	"github.com/teamtalk-go/dbproxy/internal/descriptors"
)

// distinct returns those of addrs, which have one port, that must be listened on. It leaves out an
// address that another one covers, as the system lets nobody listen twice on one; needless says of
// each why. by is the flag or the key that has the addresses, for errors.
func distinct(by string, addrs []string) (each, needless []string, err error) {
	ips := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		at, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return nil, nil, badAddress(by, addr, err)
		}
		ips[i] = at.AddrPort().Addr().Unmap()
	}
	for i, addr := range addrs {
		covered := -1
		for j := range addrs {
			if i != j && covers(ips[j], ips[i]) && (ips[i] != ips[j] || j < i) {
				covered = j
			}
		}
		if covered < 0 {
			each = append(each, addr)
		} else {
			needless = append(needless,
				fmt.Sprintf("%s is left out, as %s is that address, too; remove it",
					addr, addrs[covered]))
		}
	}
	return each, needless, nil
}

// covers reports whether a listener on one address listens on the other, too. The zero address, of
// an address without a host, means all.
func covers(one, other netip.Addr) bool {
	return one == other || !one.IsValid() || one == netip.IPv6Unspecified() ||
		one == netip.IPv4Unspecified() && other.Is4()
}

// checkListening returns what is doubtful about the addresses to listen on. It does not matter
// whether somebody has the port already.
func checkListening(cfg *config.Config) (found []checkup.Finding) {
	const item = "ListenIP"
	each, needless, err := distinct(item, cfg.Listen())
	if err != nil {
		return []checkup.Finding{checkup.Doubt(item, "on this machine: "+err.Error(), "mend it")}
	}
	for _, text := range needless {
		found = append(found, checkup.Doubt(item, text, ""))
	}
	for _, addr := range each {
		host, _, _ := net.SplitHostPort(addr) // Listen made it
		if ln, err := listen(item, net.JoinHostPort(host, "0")); err != nil {
			found = append(found, checkup.Doubt(item, "on this machine: "+err.Error(), ""))
		} else {
			_ = ln.Close() // nobody has used it
		}
	}
	return found
}

// mayListen returns the error of listening where there is no data directory yet, so that none is
// made for a server that cannot listen. Where there is one, its own server may have the port, and
// the directory says so.
func (s serving) mayListen() error {
	if _, err := os.Stat(s.data); s.conf != nil || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, addr := range s.listen {
		ln, err := listen(cmp.Or(s.listenBy, "--listen"), addr)
		if err != nil {
			return err
		}
		_ = ln.Close() // nobody has used it
	}
	return nil
}

// addressPause is the time between two tries to listen on an address that another program has.
const addressPause = 50 * time.Millisecond

// await listens, and tries again while another program has the port and still returns true.
func (s serving) await(
	ctx context.Context, by, addr string, still func() bool,
) (net.Listener, error) {
	for told := false; ; told = true {
		again := still()
		ln, err := listen(by, addr)
		if !again || !errors.Is(err, errTaken) {
			return ln, err
		}
		if !told {
			s.log.Info("waiting for an address that another program has, perhaps the former "+
				"process, which finishes", "addr", addr,
				"up to", s.limits().DrainTimeout+formerMargin)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(addressPause):
		}
	}
}

// errTaken says that another program listens on an address already.
var errTaken = errors.New("another program has that port")

// listen listens on an address. by is the flag or the key that has it, for errors.
func listen(by, addr string) (net.Listener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().Is4() {
		network = "tcp4" // else 0.0.0.0 would be all of IPv6, too
	}
	ln, err := net.Listen(network, addr)
	switch {
	case err == nil:
		return ln, nil
	case descriptors.Mend(err) != "":
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, descriptors.Explain(err))
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("cannot listen on %s: %w; stop it, or choose another address "+
			"with %s", addr, errTaken, by)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("cannot listen on %s: ports below 1024 are for root; "+
			"choose another address with %s", addr, by)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("cannot listen on %s: this machine does not have that address; "+
			"choose another with %s", addr, by)
	default:
		return nil, badAddress(by, addr, err)
	}
}

// badAddress is the error for an address that nobody can listen on. by is as of listen.
func badAddress(by, addr string, err error) error {
	if strings.HasPrefix(by, "--") {
		return fmt.Errorf("cannot listen on %s (%s wants HOST:PORT): %w", addr, by, err)
	}
	return fmt.Errorf("cannot listen on %s (see %s): %w", addr, by, err)
}
