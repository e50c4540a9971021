package pdu_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

// shredder hands out its data in pieces whose sizes come from cuts, round and round, and watches
// how much memory its reader dares to offer.
type shredder struct {
	t    *testing.T
	data []byte
	cuts []byte
	read int // bytes and calls so far
	call int
}

func (s *shredder) Read(p []byte) (int, error) {
	if len(p) > pdu.SmallFrame+s.read {
		s.t.Fatalf("a buffer of %d bytes after %d bytes", len(p), s.read)
	}
	if s.read == len(s.data) {
		return 0, io.EOF
	}
	piece := len(p)
	if len(s.cuts) > 0 {
		piece = 1 + int(s.cuts[s.call%len(s.cuts)])*37
	}
	n := copy(p[:min(piece, len(p))], s.data[s.read:])
	s.read += n
	s.call++
	return n, nil
}

// blank clears what a Frame does not keep (version, flag, reserved) in the header at the start of
// b.
func blank(b []byte) {
	copy(b[4:8], []byte{0, pdu.Version, 0, 0})
	copy(b[14:16], []byte{0, 0})
}

// FuzzReader reads arbitrary bytes that come in arbitrary pieces. Run it with -fuzzminimizetime
// 10x: large frames are large inputs, and the fuzzer spends all its time on making them smaller
// else.
func FuzzReader(f *testing.F) {
	small, large := frameOf(20).Append(nil), frameOf(pdu.SmallFrame+9).Append(nil)
	f.Add([]byte(nil), []byte(nil))
	f.Add(small, []byte{0})
	f.Add(slices.Concat(small, large, small), []byte{255, 0, 3})
	f.Add(large[:pdu.SmallFrame], []byte{1, 2})
	f.Add(frameOf(40_000).Append(nil), []byte(nil))
	f.Add(slices.Concat(small, frameOf(40_001).Append(nil)), []byte(nil))
	for _, length := range []uint32{0, 5, 15, 16, 17, pdu.SmallFrame, pdu.SmallFrame + 1, 1 << 31,
		1<<32 - 1} {
		f.Add(slices.Concat(small, header(length)), []byte{5})
	}

	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		const limit = 40_000
		data = slices.Clone(data) // the fuzzer's own must not change
		var again []byte
		admitted := 0 // for the frame being read
		r := pdu.NewReader(&shredder{t: t, data: data, cuts: cuts}, limit)
		r.Admit = func(n, length int) error {
			if n < pdu.HeaderLen || n > length || length > limit {
				t.Fatalf("Admit was asked for %d of %d", n, length)
			}
			if n <= admitted {
				t.Fatalf("Admit was asked for %d after %d", n, admitted)
			}
			admitted = n
			return nil
		}
		for {
			frame, err := r.Next()
			if err != nil {
				checkEnd(t, data[len(again):], limit, err)
				break
			}
			if frame.Len() != admitted {
				t.Fatalf("a frame of %d bytes, %d were admitted", frame.Len(), admitted)
			}
			admitted = 0
			start := len(again)
			again = frame.Append(again)
			blank(data[start:])
			if !bytes.Equal(again[start:], data[start:len(again)]) {
				t.Fatalf("a frame encodes to %x, was %x", again[start:], data[start:len(again)])
			}
		}
	})
}

// checkEnd checks that err is the right one for a stream of which rest was left after the last
// whole frame.
func checkEnd(t *testing.T, rest []byte, limit uint32, err error) {
	t.Helper()
	want := io.EOF
	switch {
	case len(rest) >= pdu.HeaderLen:
		h := pdu.ParseHeader([pdu.HeaderLen]byte(rest))
		if h.Length < pdu.HeaderLen || h.Length > limit {
			want := pdu.LengthError{Length: h.Length, Max: limit}
			if bad := (*pdu.LengthError)(nil); !errors.As(err, &bad) || *bad != want {
				t.Fatalf("ended with %v, want %v", err, &want)
			}
			return
		}
		if int(h.Length) <= len(rest) {
			t.Fatalf("ended with %v before a whole frame of %d bytes", err, h.Length)
		}
		want = io.ErrUnexpectedEOF
	case len(rest) > 0:
		want = io.ErrUnexpectedEOF
	}
	if !errors.Is(err, want) {
		t.Fatalf("ended with %v, want %v", err, want)
	}
}
