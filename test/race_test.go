//go:build race

package test

// underRace says that these tests were built with -race; the binary is then, too.
const underRace = true
