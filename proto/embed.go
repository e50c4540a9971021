// Package proto holds the messages of the protocol as they were written, for those who want to show
// their comments. The Go code made from them is in internal/impb.
package proto

import "embed"

// Files has the .proto files of this directory.
//
//go:embed *.proto
var Files embed.FS
