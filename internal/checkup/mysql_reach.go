package checkup

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/teamtalk-go/dbproxy/internal/advice"
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

// whyUnreachable says why the server could not be reached, and what to do about it.
func (c *inspection) whyUnreachable(err error) (text, mend string) {
	if text, mend = c.refused(err); text != "" {
		return text, mend
	}
	key := func(rest string) string { return c.opt.Name + "_" + rest }
	address := key("host") + " and " + key("port")
	text, mend = advice.Server{
		Program: "MySQL", Where: c.Addr, Waited: c.ConnectTimeout,
		Address: address, Timeouts: key("connect_timeout"),
		TLS: key("tls"), CA: key("tls_ca"), ServerName: key("tls_servername"),
	}.Network(err)
	switch trouble := advice.Of(err); {
	case trouble == advice.Refused:
		mend = c.mendOfSilence()
	case trouble != advice.Closed && trouble != advice.Other:
		// MySQL's client has no more to say of these.
	case errors.Is(err, sqldb.ErrShutOut):
		text = c.Addr + ": it closed the connection before it let us in"
		mend = sqldb.WhyShutOut(key("maxconncnt"))
	case sqldb.MendOfAccount(err, "", "") != "":
		text = fmt.Sprintf("%s, user %s: %v", c.Addr, c.User, err)
		mend = sqldb.MendOfAccount(err, key("username"), key("password"))
	case errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrMalformPkt),
		errors.Is(err, mysql.ErrOldProtocol):
		text, mend = fmt.Sprintf("what answers at %s is no MySQL: %v", c.Addr, err), "mend "+address
	case errors.Is(err, mysql.ErrNoTLS):
		text = c.Addr + " has no TLS"
		mend = "give the server a certificate, or set " + key("tls") + " to off"
	case text == "":
		text, mend = fmt.Sprintf("%s: %v", c.Addr, err),
			"see whether MySQL works there; mend "+address
	}
	return text, mend
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
		mend += fmt.Sprintf("; where it has only a socket, "+
			"which the original takes for localhost, set %s to its path", host)
	}
	return mend
}

// refused is whyUnreachable for what the server itself answered; text is empty when it answered
// nothing.
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
		mend = fmt.Sprintf("mend %s, or CREATE DATABASE %s CHARACTER SET utf8mb4", key("dbname"),
			quoted(c.Database))
	case sqldb.CodeDBDenied:
		mend = fmt.Sprintf("mend %s, or let the user in: %s", key("dbname"),
			c.grant("SELECT, INSERT, UPDATE, DELETE", deniedAccount(said.Message, c.User))+orRole)
	case sqldb.CodeTooManyConns:
		mend = fmt.Sprintf("raise max_connections of the server, or lower %s of all proxies",
			key("maxconncnt"))
	case sqldb.CodeTooManyOfUser, sqldb.CodeTooMuchOfUser:
		mend = fmt.Sprintf("raise max_user_connections of the server, or what the account may "+
			"have "+
			"of it (ALTER USER … WITH …), or lower %s of all proxies", key("maxconncnt"))
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

// deniedAccount is the account that a refusal names, since no statement can ask for it then. Where
// the refusal names none, it is the user alone.
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
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, mysql.ErrInvalidConn)
}

// quoted is a name as statements have it.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
