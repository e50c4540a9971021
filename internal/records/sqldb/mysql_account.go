package sqldb

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// The codes of errors that say why a server does not let us in.
const (
	errAccountLocked   = 3118
	errAccountLockedMy = 4151 // MariaDB's
	errLockedByTries   = 3955
	errMustChange      = 1820
	errExpired         = 1862
	errOldClient       = 1251
	errOldPassword     = 1275
	errNoPlugin        = 1524
	errNoPluginClient  = 2059
	errNotByPassword   = 1698
	errNoTLSAllowed    = 3159
	CodeTooMuchOfUser  = 1226
)

// ErrShutOut is in the chain of errors of connections that were closed before the server had said
// whether it lets us in.
var ErrShutOut = errors.New("the connection was closed before it was let in")

// WhyShutOut is what to do about ErrShutOut, given the key of the configuration that says how many
// connections there may be.
func WhyShutOut(maxConns string) string {
	return "the server, or a proxy in between, closes connections at once, as when it has no " +
		"more of them, or no server behind it: see max_connections there and its log, or lower " +
		maxConns + " of all proxies"
}

// lettingIn adds to an error of connecting that a server closed the connection, which the driver
// does not say.
func lettingIn(addr string, err error) error {
	if errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w: %w", addr, ErrShutOut, err)
	}
	return err
}

// isCrowded reports whether the server has no connection for us beside those that there are.
func isCrowded(err error) bool {
	return codeIn(err, CodeTooManyConns, CodeTooManyOfUser, CodeTooMuchOfUser)
}

// MendOfAccount is what to do when a server does not let us in, given the names of the
// configuration's keys. It is empty when err says something else.
func MendOfAccount(err error, username, password string) string {
	either := " (or mend " + username + " and " + password + ")"
	tls := strings.TrimSuffix(password, "password") + "tls"
	switch Code(err) {
	case errAccessDenied:
		return fmt.Sprintf("mend %s and %s, or make that user there%s; an account that REQUIREs "+
			"SSL wants %s", username, password, anonymous(err), tls)
	case errAccountLocked, errAccountLockedMy:
		return "the account is locked; unlock it: ALTER USER … ACCOUNT UNLOCK" + either
	case errLockedByTries:
		return "too many wrong passwords have locked the account; mend " + password +
			", and unlock it: ALTER USER … ACCOUNT UNLOCK"
	case errMustChange, errExpired:
		return "the password has expired; give the account a new one, or let it last: ALTER USER " +
			"… IDENTIFIED BY … PASSWORD EXPIRE NEVER, and write it into " + password
	case errNotByPassword:
		return "the account is not let in by a password, but by its name on the machine " +
			"(unix_socket) or the like; give it one: ALTER USER … IDENTIFIED BY …" + either
	case errOldClient, errOldPassword, errNoPlugin, errNoPluginClient:
		return oldPassword + either
	case errNoTLSAllowed:
		return "the server wants TLS: set " + tls + " to required"
	}
	for _, plugin := range []error{mysql.ErrOldPassword, mysql.ErrNativePassword,
		mysql.ErrCleartextPassword, mysql.ErrUnknownPlugin} {
		if errors.Is(err, plugin) {
			return oldPassword + either
		}
	}
	return ""
}

// deniedAccount finds the user and the host in "Access denied for user 'a'@'b'".
var deniedAccount = regexp.MustCompile(`for user '([^']+)'@'([^']+)'`)

// anonymous is what more to do where a server that knows the name of our machine does not let us
// in. As of accounts the one of the narrower host counts, a nameless one, which MariaDB and old
// MySQL were set up with, goes before ours for any host, and has no password.
func anonymous(err error) string {
	at := deniedAccount.FindStringSubmatch(err.Error())
	if at == nil {
		return ""
	}
	user, host := at[1], at[2]
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return fmt.Sprintf(" (an anonymous user ''@'%[2]s' goes before '%[1]s'@'%%': drop it, or make "+
		"'%[1]s'@'%[2]s')", user, host)
}

// oldPassword is what to do about an account whose way of letting somebody in is not known here.
const oldPassword = "the account's password is of an old or unknown kind (plugin); give it one " +
	"anew, of a kind that both know: ALTER USER … IDENTIFIED VIA mysql_native_password USING " +
	"PASSWORD('…') on MariaDB, ALTER USER … IDENTIFIED WITH caching_sha2_password BY '…' on MySQL"
