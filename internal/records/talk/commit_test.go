package talk

import (
	"fmt"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// BenchmarkCommitRecord encodes and decodes the record of a batch in 40 talks of pairs.
func BenchmarkCommitRecord(b *testing.B) {
	var c chat.Commit
	for i := range uint32(40) {
		c.Changes = append(c.Changes, chat.Change{Talk: chat.PairTalk(1_000_000+i, 2_000_000+i),
			Relation: 1000 + i, Rev: 1700, LastID: 3000,
			Users: []chat.Moved{{User: 2_000_000 + i, Before: 1600, Unread: 1601}}})
	}
	text, err := encodeCommit(c)
	if err != nil {
		b.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"encode": func() error { _, err := encodeCommit(c); return err },
		"decode": func() error { return DecodeCommit(text, new(chat.Commit)) },
	} {
		b.Run(fmt.Sprintf("%s/%d", name, len(text)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
