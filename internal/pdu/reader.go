package pdu

import (
	"bufio"
	"errors"
	"io"
)

// SmallFrame is the length in bytes, header included, up to which a frame is read in one piece. Of
// a longer one this much must have arrived before the announced length is believed at all.
const SmallFrame = 16 << 10

// Reader splits a stream into frames, however they were split or glued on the way. It never
// allocates by an announced length: a body's memory grows by doubling as its bytes arrive, from at
// most SmallFrame. It belongs to one goroutine.
type Reader struct {
	// Admit, when set, is asked before a frame takes memory, with the number of bytes that it has
	// then in all and how long it is, both with the header: once for a frame of up to SmallFrame
	// bytes, when its header was read; for a longer one, whenever what it has is full and more has
	// arrived, beginning with SmallFrame bytes. It may wait. Its error ends the reading and is what
	// Next returns. Set it before the first Next.
	Admit func(bytes, length int) error

	src  *bufio.Reader
	max  uint32
	head [HeaderLen]byte // scratch of Next
}

// NewReader returns a Reader of r that refuses frames longer than maxFrame bytes, header included.
func NewReader(r io.Reader, maxFrame uint32) *Reader {
	return &Reader{src: bufio.NewReaderSize(r, SmallFrame), max: maxFrame}
}

// Next returns the next frame; its body belongs to the caller. The error is io.EOF when the stream
// ended between two frames, io.ErrUnexpectedEOF when it ended inside one, a *LengthError for a
// length below HeaderLen or above the limit, else what the stream or Admit returned. After an error
// the Reader is of no further use.
func (r *Reader) Next() (Frame, error) {
	if _, err := io.ReadFull(r.src, r.head[:]); err != nil {
		return Frame{}, err
	}
	h := ParseHeader(r.head)
	if h.Length < HeaderLen || h.Length > r.max {
		return Frame{}, &LengthError{Length: h.Length, Max: r.max}
	}
	body, err := r.body(int(h.Length))
	if err != nil {
		return Frame{}, err
	}
	return Frame{Service: h.Service, Command: h.Command, Seq: h.Seq, Body: body}, nil
}

// body reads the body of a frame of frameLen bytes.
func (r *Reader) body(frameLen int) ([]byte, error) {
	if frameLen <= SmallFrame {
		if err := r.admit(frameLen, frameLen); err != nil {
			return nil, err
		}
		body := make([]byte, frameLen-HeaderLen)
		return body, r.fill(body)
	}

	body := make([]byte, SmallFrame-HeaderLen)
	if err := r.fill(body); err != nil {
		return nil, err
	}
	for len(body) < frameLen-HeaderLen {
		if _, err := r.src.Peek(1); err != nil { // what does not come takes no memory
			return nil, inside(err)
		}
		size := min(2*len(body), frameLen-HeaderLen)
		if err := r.admit(HeaderLen+size, frameLen); err != nil {
			return nil, err
		}
		grown := make([]byte, size)
		n := copy(grown, body)
		if err := r.fill(grown[n:]); err != nil {
			return nil, err
		}
		body = grown
	}
	return body, nil
}

func (r *Reader) admit(bytes, length int) error {
	if r.Admit == nil {
		return nil
	}
	return r.Admit(bytes, length)
}

// fill reads all of p, which lies inside a frame: an end of the stream is unexpected here.
func (r *Reader) fill(p []byte) error {
	_, err := io.ReadFull(r.src, p)
	return inside(err)
}

// inside is an error inside a frame.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
