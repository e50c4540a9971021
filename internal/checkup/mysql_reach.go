package checkup

import (
	"cmp"
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

// key is a key of the server in the configuration.
func (c *inspection) key(rest string) string { return c.opt.Name + "_" + rest }

// unreachable reports that the server could not be reached, why, and what to do. What MySQL has of
// its own stands here, the rest in package advice.
func (c *inspection) unreachable(err error) Finding {
	const item = "reachable"
	var said *mysql.MySQLError
	if errors.As(err, &said) {
		return Fault(item, fmt.Sprintf("%s refuses user %s: %s", c.Addr, c.User, said.Message),
			cmp.Or(c.mendAccount(err), c.mendRefusal(said)))
	}
	address := c.key("host") + " and " + c.key("port")
	switch trouble := advice.Of(err); {
	case trouble == advice.Refused && strings.HasPrefix(c.Addr, "/"):
		address = c.key("host") + `: its variable "socket" has the path`
	case trouble == advice.Refused && strings.HasPrefix(c.Addr, "localhost:"):
		address += fmt.Sprintf("; where it has only a socket, which the original takes for "+
			"localhost, set %s to its path", c.key("host"))
	case trouble != advice.Other && trouble != advice.Closed: // the same for all protocols
	case errors.Is(err, sqldb.ErrShutOut):
		return Fault(item, c.Addr+": it closed the connection before it let us in",
			sqldb.WhyShutOut(c.key("maxconncnt")))
	case c.mendAccount(err) != "":
		text := fmt.Sprintf("%s, user %s: %v", c.Addr, c.User, err)
		return Fault(item, text, c.mendAccount(err))
	case errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrMalformPkt),
		errors.Is(err, mysql.ErrOldProtocol):
		text := fmt.Sprintf("what answers at %s is no MySQL: %v", c.Addr, err)
		return Fault(item, text, "mend "+address)
	case errors.Is(err, mysql.ErrNoTLS):
		return Fault(item, c.Addr+" has no TLS",
			"give the server a certificate, or set "+c.key("tls")+" to off")
	}
	text, mend := advice.Server{
		Program: "MySQL", Where: c.Addr, Bind: "bind-address", Waited: c.ConnectTimeout,
		Address: address, Timeouts: c.key("connect_timeout"),
		TLS: c.key("tls"), CA: c.key("tls_ca"), ServerName: c.key("tls_servername"),
	}.Network(err)
	return Fault(item, cmp.Or(text, fmt.Sprintf("%s: %v", c.Addr, err)),
		cmp.Or(mend, "see whether MySQL works there; mend "+address))
}

// mendAccount is what to do about an account that is not let in; empty for other errors.
func (c *inspection) mendAccount(err error) string {
	return sqldb.MendOfAccount(err, c.key("username"), c.key("password"))
}

// mendRefusal is what to do about what the server itself says, unless it is about the account.
func (c *inspection) mendRefusal(said *mysql.MySQLError) string {
	switch said.Number {
	case sqldb.CodeNoDatabase:
		return fmt.Sprintf("mend %s, or CREATE DATABASE %s CHARACTER SET utf8mb4",
			c.key("dbname"), quoted(c.Database))
	case sqldb.CodeDBDenied:
		// The account that is named there cannot be asked for.
		account := cmp.Or(deniedUser.FindString(said.Message), quoted(c.User))
		return fmt.Sprintf("mend %s, or let the user in: %s", c.key("dbname"),
			c.grant("SELECT, INSERT, UPDATE, DELETE", account)+orRole)
	case sqldb.CodeTooManyConns:
		return "raise max_connections of the server, or lower " + c.key("maxconncnt") +
			" of all proxies"
	case sqldb.CodeTooManyOfUser, sqldb.CodeTooMuchOfUser:
		return "raise max_user_connections of the server, or what the account may have of it " +
			"(ALTER USER … WITH …), or lower " + c.key("maxconncnt") + " of all proxies"
	case errHostBlocked:
		return "FLUSH HOSTS there, and see what failed so often from here"
	case errHostNotAllowed:
		return "CREATE USER there for the address of this machine"
	default:
		return "see its error log"
	}
}

// deniedUser finds the account in "Access denied for user 'a'@'b' to database 'c'".
var deniedUser = regexp.MustCompile(`'[^']*'@'[^']*'`)

// grant is the statement that gives rights on the database to an account.
func (c *inspection) grant(rights, account string) string {
	return fmt.Sprintf("GRANT %s ON %s.* TO %s", rights, quoted(c.Database), account)
}

// cutOff reports whether an error is one of the connection, and not what the server says.
func cutOff(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, mysql.ErrInvalidConn)
}

// quoted is a name as statements have it.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
