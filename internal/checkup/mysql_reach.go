package checkup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/internal/descriptors"
	"github.com/teamtalk-go/dbproxy/internal/records/sqldb"
)

// Codes of errors that only who connects meets.
const (
	errHostBlocked    = 1129
	errHostNotAllowed = 1130
)

// unreachable reports which server could not be reached, why, and what to do.
func (c *inspection) unreachable(err error) Finding {
	text, mend := c.whyUnreachable(err)
	return Fault("reachable", text, mend)
}

func (c *inspection) whyUnreachable(err error) (text, mend string) {
	if text, mend = c.refused(err); text != "" {
		return text, mend
	}
	key := func(rest string) string { return c.opt.Name + "_" + rest }
	var (
		dns     *net.DNSError
		network net.Error
		cert    *tls.CertificateVerificationError
		name    x509.HostnameError
	)
	switch {
	case descriptors.Mend(err) != "":
		return fmt.Sprintf("%s: %v", c.Addr, err), descriptors.Mend(err)
	case errors.As(err, &dns):
		return fmt.Sprintf("no address is known for %s: %s", dns.Name, dns.Err), "mend " + key("host") + ", or the name service"
	case errors.Is(err, syscall.ECONNREFUSED), strings.HasPrefix(c.Addr, "/") && errors.Is(err, fs.ErrNotExist):
		return "nothing listens at " + c.Addr, c.mendOfSilence()
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer from %s within %v", c.Addr, c.ConnectTimeout),
			fmt.Sprintf("see whether it hangs, or a firewall drops what is sent to it; mend %s and %s, or raise %s",
				key("host"), key("port"), key("connect_timeout"))
	case errors.Is(err, sqldb.ErrShutOut):
		return fmt.Sprintf("%s: it closed the connection before it let us in", c.Addr), sqldb.WhyShutOut(key("maxconncnt"))
	case sqldb.MendOfAccount(err, "", "") != "":
		return fmt.Sprintf("%s, user %s: %v", c.Addr, c.User, err), sqldb.MendOfAccount(err, key("username"), key("password"))
	case errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, mysql.ErrOldProtocol):
		return fmt.Sprintf("what answers at %s is no MySQL: %v", c.Addr, err), fmt.Sprintf("mend %s and %s", key("host"), key("port"))
	case errors.Is(err, mysql.ErrNoTLS):
		return c.Addr + " has no TLS", "give the server a certificate, or set " + key("tls") + " to off"
	case errors.As(err, &cert), errors.As(err, &name):
		return fmt.Sprintf("the certificate of %s is not accepted: %v", c.Addr, err),
			fmt.Sprintf("name who signed it in %s, or the name it is for in %s", key("tls_ca"), key("tls_servername"))
	default:
		return fmt.Sprintf("%s: %v", c.Addr, err), fmt.Sprintf("see whether MySQL works there; mend %s and %s", key("host"), key("port"))
	}
}

// mendOfSilence is what to do where nothing listens.
func (c *inspection) mendOfSilence() string {
	host, port := c.opt.Name+"_host", c.opt.Name+"_port"
	if strings.HasPrefix(c.Addr, "/") {
		return "start MySQL, or mend " + host + `: its variable "socket" has the path`
	}
	mend := fmt.Sprintf("start MySQL there, have it listen on that address (bind-address), "+
		"or mend %s and %s", host, port)
	if strings.HasPrefix(c.Addr, "localhost:") {
		mend += fmt.Sprintf("; where it has only a socket, which the original takes for localhost, "+
			"set %s to its path", host)
	}
	return mend
}

// refused is whyUnreachable for what the server itself said; text is empty when it said nothing.
func (c *inspection) refused(err error) (text, mend string) {
	var said *mysql.MySQLError
	if !errors.As(err, &said) {
		return "", ""
	}
	key := func(rest string) string { return c.opt.Name + "_" + rest }
	text = fmt.Sprintf("%s refuses user %s: %s", c.Addr, c.User, said.Message)
	if mend = sqldb.MendOfAccount(err, key("username"), key("password")); mend != "" {
		return text, mend
	}
	switch said.Number {
	case sqldb.CodeNoDatabase:
		mend = fmt.Sprintf("mend %s, or CREATE DATABASE %s CHARACTER SET utf8mb4", key("dbname"), quoted(c.Database))
	case sqldb.CodeDBDenied:
		mend = fmt.Sprintf("mend %s, or let the user in: %s", key("dbname"), c.grant("SELECT, INSERT, UPDATE, DELETE", deniedAccount(said.Message, c.User))+orRole)
	case sqldb.CodeTooManyConns:
		mend = fmt.Sprintf("raise max_connections of the server, or lower %s of all proxies", key("maxconncnt"))
	case sqldb.CodeTooManyOfUser, sqldb.CodeTooMuchOfUser:
		mend = fmt.Sprintf("raise max_user_connections of the server, or what the account may have of it "+
			"(ALTER USER … WITH …), or lower %s of all proxies", key("maxconncnt"))
	case errHostBlocked:
		mend = "FLUSH HOSTS there, and see what failed so often from here"
	case errHostNotAllowed:
		mend = "CREATE USER there for the address of this machine"
	default:
		mend = "see its error log"
	}
	return text, mend
}

// deniedUser finds the account in "Access denied for user 'a'@'b' to database 'c'".
var deniedUser = regexp.MustCompile(`'[^']*'@'[^']*'`)

// deniedAccount is the account that a refusal names, which no statement can be asked for then; else the user alone.
func deniedAccount(message, user string) string {
	if named := deniedUser.FindString(message); named != "" {
		return named
	}
	return quoted(user)
}

// grant is the statement that gives rights on the database.
func (c *inspection) grant(rights, user string) string {
	return fmt.Sprintf("GRANT %s ON %s.* TO %s", rights, quoted(c.Database), user)
}

// cutOff reports whether an error is one of the connection, not of the server.
func cutOff(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn)
}

// quoted is a name as statements have it.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
