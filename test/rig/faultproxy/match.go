package faultproxy

import (
	"strings"
)

// IsCommit matches the end of any transaction. Where messages are stored it is one text with the
// inserts.
func IsCommit(query string) bool { return strings.HasSuffix(query, "COMMIT") }
