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

// sizeOf is how many bytes a statement takes at most with its values in it, as the driver spells
// them.
func sizeOf(query string, args []any) int {
	size := len(query) + len(";\n")
	for _, arg := range args {
		size += sizeOfValue(arg)
	}
	return size
}

// sizeOfValue is how many bytes the driver spells a value with, at most.
func sizeOfValue(value any) int {
	const number = 20
	text, ok := value.(string)
	if !ok {
		return number
	}
	size := len("''") + len(text)
	for i := range len(text) {
		switch text[i] {
		case 0, '\n', '\r', 0x1a, '\'', '"', '\\':
			size++
		}
	}
	return size
}

// fits returns an error when the server would take a statement for too large, and close the
// connection.
func (c *mysqlConn) fits(query string, args []driver.NamedValue) error {
	if len(query) < c.packet/4 && len(args) == 0 {
		return nil
	}
	size := sizeOf(query, nil)
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
