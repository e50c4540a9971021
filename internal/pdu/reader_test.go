package pdu_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

const maxFrame = 1 << 20

// header returns 16 bytes that announce a frame of length bytes.
func header(length uint32) []byte {
	b := pdu.Frame{Service: 1, Command: 2, Seq: 3}.Append(nil)
	binary.BigEndian.PutUint32(b, length)
	return b
}

// frameOf returns a frame of n bytes in all; a byte of its body that is lost or moved shows.
func frameOf(n int) pdu.Frame {
	body := make([]byte, n-pdu.HeaderLen)
	for i := range body {
		body[i] = byte(i ^ i>>8 ^ n)
	}
	return pdu.Frame{Service: 7, Command: 0x0703, Seq: uint16(n), Body: body}
}

// readAll reads frames until the first error.
func readAll(r *pdu.Reader) (frames []pdu.Frame, err error) {
	for {
		f, err := r.Next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, f)
	}
}

func TestReaderSplitAndGlued(t *testing.T) {
	lengths := []int{16, 17, 100, 16, pdu.SmallFrame - 1, pdu.SmallFrame, pdu.SmallFrame + 1,
		2 * pdu.SmallFrame, 2*pdu.SmallFrame + 1, 100_000, maxFrame, 18}
	var stream []byte
	for _, n := range lengths {
		stream = frameOf(n).Append(stream)
	}
	for name, split := range map[string]func(io.Reader) io.Reader{
		"glued":           func(r io.Reader) io.Reader { return r },
		"byte by byte":    iotest.OneByteReader,
		"halves":          iotest.HalfReader,
		"error with data": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(pdu.NewReader(split(bytes.NewReader(stream)), maxFrame))
			if !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v, want io.EOF", err)
			}
			var gotLengths []int
			var again []byte
			for _, f := range got {
				gotLengths = append(gotLengths, f.Len())
				again = f.Append(again)
			}
			if diff := cmp.Diff(lengths, gotLengths); diff != "" {
				t.Errorf("lengths (-want +got):\n%s", diff)
			}
			if !bytes.Equal(again, stream) {
				t.Error("the frames' bytes are not those that were sent")
			}
		})
	}
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	good := frameOf(20).Append(nil)
	for _, test := range []struct {
		name   string
		stream io.Reader
		frames int
		want   error
	}{
		{"nothing", bytes.NewReader(nil), 0, io.EOF},
		{"end after a frame", bytes.NewReader(good), 1, io.EOF},
		{"end in the header", bytes.NewReader(slices.Concat(good, good[:15])), 1,
			io.ErrUnexpectedEOF},
		{"end after the header", bytes.NewReader(good[:16]), 0, io.ErrUnexpectedEOF},
		{"end in the body", bytes.NewReader(good[:19]), 0, io.ErrUnexpectedEOF},
		{"end in a large body", bytes.NewReader(frameOf(maxFrame).Append(nil)[:maxFrame-1]), 0,
			io.ErrUnexpectedEOF},
		{"end where a large body grows",
			bytes.NewReader(frameOf(maxFrame).Append(nil)[:pdu.SmallFrame]), 0,
			io.ErrUnexpectedEOF},
		{"stream fails", io.MultiReader(bytes.NewReader(good), iotest.ErrReader(broken)), 1,
			broken},
		{"stream fails in a body",
			io.MultiReader(bytes.NewReader(good[:17]), iotest.ErrReader(broken)), 0, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			frames, err := readAll(pdu.NewReader(test.stream, maxFrame))
			if len(frames) != test.frames || !errors.Is(err, test.want) {
				t.Errorf("%d frames, then %v; want %d, then %v", len(frames), err, test.frames,
					test.want)
			}
		})
	}
}

func TestReaderLengths(t *testing.T) {
	for _, length := range []uint32{0, 5, 15, maxFrame + 1, 1 << 31, 1<<32 - 1} {
		stream := append(frameOf(30).Append(nil), header(length)...)
		frames, err := readAll(pdu.NewReader(bytes.NewReader(stream), maxFrame))
		var bad *pdu.LengthError
		if !errors.As(err, &bad) {
			t.Errorf("length %d: %v, want a LengthError", length, err)
			continue
		}
		if *bad != (pdu.LengthError{Length: length, Max: maxFrame}) || len(frames) != 1 {
			t.Errorf("length %d: %+v after %d frames", length, *bad, len(frames))
		}
	}
}

// TestReaderAdmit checks how many bytes were taken from the stream when Admit is asked, and with
// which length.
func TestReaderAdmit(t *testing.T) {
	const doubled = 2*pdu.SmallFrame - pdu.HeaderLen
	for _, test := range []struct{ length, arrived, admitted int }{
		{16, 16, 16},
		{17, 16, 17},
		{pdu.SmallFrame, 16, pdu.SmallFrame},
		{pdu.SmallFrame + 1, pdu.SmallFrame + 1, pdu.SmallFrame + 1},
		{maxFrame, pdu.SmallFrame + 1, doubled},
	} {
		stream := bytes.NewReader(frameOf(test.length).Append(nil)[:test.arrived])
		r := pdu.NewReader(stream, maxFrame)
		refusal := errors.New("refused")
		asked := 0
		r.Admit = func(n, length int) error {
			asked++
			if n != test.admitted || length != test.length {
				t.Errorf("length %d: Admit was asked for %d of %d, want %d", test.length, n, length,
					test.admitted)
			}
			return refusal
		}
		if _, err := r.Next(); !errors.Is(err, refusal) || asked != 1 {
			t.Errorf("length %d, %d arrived: %v, asked %d times", test.length, test.arrived, err,
				asked)
		}
	}

	var admitted []int
	whole := pdu.NewReader(bytes.NewReader(frameOf(100_000).Append(nil)), maxFrame)
	whole.Admit = func(n, _ int) error {
		admitted = append(admitted, n)
		return nil
	}
	if _, err := whole.Next(); err != nil ||
		!slices.Equal(admitted, []int{doubled, 65488, 100_000}) {
		t.Errorf("a frame of 100,000 bytes: Admit was asked for %v; %v", admitted, err)
	}

	stream := bytes.NewReader(frameOf(maxFrame).Append(nil)[:pdu.SmallFrame])
	r := pdu.NewReader(stream, maxFrame)
	r.Admit = func(int, int) error {
		t.Error("Admit was asked before more than 16 KiB had arrived")
		return nil
	}
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut frame: %v", err)
	}
}

// TestReaderMemory announces far more than it sends.
func TestReaderMemory(t *testing.T) {
	stream := append(header(1<<31), make([]byte, 100_000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := pdu.NewReader(bytes.NewReader(stream), 1<<31).Next()
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut frame: %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("100 kB of an announced 2 GiB took %d bytes", took)
	}
}

func BenchmarkReader(b *testing.B) {
	const frames, length = 1000, 200
	stream := bytes.Repeat(frameOf(length).Append(nil), frames)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := readAll(pdu.NewReader(bytes.NewReader(stream), maxFrame)); len(got) != frames {
			b.Fatalf("%d frames", len(got))
		}
	}
}

func BenchmarkReaderLarge(b *testing.B) {
	stream := frameOf(maxFrame).Append(nil)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if got, _ := readAll(pdu.NewReader(bytes.NewReader(stream), maxFrame)); len(got) != 1 {
			b.Fatalf("%d frames", len(got))
		}
	}
}
