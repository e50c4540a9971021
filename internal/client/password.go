package client

import (
	"crypto/md5"
	"encoding/hex"
)

// WirePassword is what the suite's clients send for a password that their user typed: its MD5 in
// lower-case hex.
func WirePassword(typed string) string {
	sum := md5.Sum([]byte(typed))
	return hex.EncodeToString(sum[:])
}
