//go:build !race

package rig

// UnderRace says that these tests were built with -race; the binary is then, too.
const UnderRace = false
