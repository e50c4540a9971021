package sqldb

import (
	"database/sql/driver"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// LeastPacket is the max_allowed_packet, in bytes, with which everything works: the default of old
// servers.
const LeastPacket = 1 << 20

// packetSpare is what is left free in a packet for what belongs to it beside statements and values.
const packetSpare = 1 << 10

// maxInsert is how many bytes of text one INSERT has at most, unless it has a single row. In
// hexadecimal digits, and with all else that the statement has, they still fit into a packet of
// LeastPacket.
const maxInsert = 256 << 10

// sizeOfValue is how many bytes a value has at most where it is bound.
func sizeOfValue(value any) int {
	const number = 20
	if text, ok := value.(string); ok {
		return number + len(text)
	}
	return number
}

// fits returns an error when the server would take a statement for too large, and close the
// connection.
func (c *mysqlConn) fits(query string, args []driver.NamedValue) error {
	if len(query) < c.packet/4 && len(args) == 0 {
		return nil
	}
	size := len(query)
	for _, arg := range args {
		size += sizeOfValue(arg.Value)
	}
	if size > c.packet {
		return &mysql.MySQLError{Number: errPacket,
			Message: fmt.Sprintf("a statement of %d bytes is more than max_allowed_packet of the "+
				"server at %s, which is %d", size, c.of.addr, c.packet)}
	}
	return nil
}
