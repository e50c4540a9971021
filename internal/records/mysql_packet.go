package records

import (
	"database/sql/driver"
	"fmt"

	"github.com/go-sql-driver/mysql"
)

// leastPacket is the max_allowed_packet, in bytes, with which everything works: the default of old
// servers.
const leastPacket = 1 << 20

// packetRoom is what is left free in a packet for what belongs to it beside statements and values.
const packetRoom = 1 << 10

// maxInsert is how many bytes of text one INSERT has at most, but for a single row: spelled in
// hexadecimal digits, and with all else that it has, they still fit into a packet of leastPacket.
const maxInsert = 256 << 10

// sizeOf is how many bytes a statement takes at most with its values in it, as the driver spells
// them.
func sizeOf(query string, args []driver.NamedValue) int {
	const number = 20
	size := len(query) + len(";\n")
	for _, arg := range args {
		text, ok := arg.Value.(string)
		if !ok {
			size += number
			continue
		}
		size += len("''") + len(text)
		for i := range len(text) {
			switch text[i] {
			case 0, '\n', '\r', 0x1a, '\'', '"', '\\':
				size++
			}
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
	if size := sizeOf(query, args); size > c.packet {
		return &mysql.MySQLError{Number: errPacket, Message: fmt.Sprintf("a statement of %d bytes is "+
			"more than max_allowed_packet of the server at %s, which is %d", size, c.of.addr, c.packet)}
	}
	return nil
}

// textSize is how many bytes of text values have.
func textSize(values []any) (size int) {
	for _, v := range values {
		if text, ok := v.(string); ok {
			size += len(text)
		}
	}
	return size
}
