// Package pdu reads and writes frames, the only unit of the wire protocol: a header of 16 bytes,
// big-endian, then a body that this package does not decode. docs/protocol.md has the layout.
package pdu

import (
	"encoding/binary"
	"fmt"
)

const (
	// HeaderLen is the length of a frame's header in bytes, and so the smallest length a frame can
	// announce.
	HeaderLen = 16
	// Version is what Append writes into the version field. The version of a frame that was read is
	// not checked.
	Version = 1
)

// Frame is one PDU. Version, flag and reserved are not kept: the protocol does not use them.
type Frame struct {
	Service uint16 // group of the command; not used for routing
	Command uint16 // what the body is, and what is to be done
	Seq     uint16 // chosen by the caller, echoed in the answer
	Body    []byte // a protobuf message; may be empty
}

// Len returns the frame's length on the wire in bytes, header included.
func (f Frame) Len() int { return HeaderLen + len(f.Body) }

// Append appends the encoded frame to dst: version 1, flag and reserved 0. The length field has 32
// bits; keeping a body within the peer's limit is the caller's business.
func (f Frame) Append(dst []byte) []byte {
	return append(f.AppendHeader(dst), f.Body...)
}

// AppendHeader appends the header that Append would, without the body: for writers that do not want
// to copy a large one.
func (f Frame) AppendHeader(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(f.Len()))
	dst = binary.BigEndian.AppendUint16(dst, Version)
	dst = binary.BigEndian.AppendUint16(dst, 0) // flag
	dst = binary.BigEndian.AppendUint16(dst, f.Service)
	dst = binary.BigEndian.AppendUint16(dst, f.Command)
	dst = binary.BigEndian.AppendUint16(dst, f.Seq)
	return binary.BigEndian.AppendUint16(dst, 0) // reserved
}

// Header is a frame's header as it stood on the wire, unchecked.
type Header struct {
	Length   uint32 // of the whole frame in bytes, header included
	Version  uint16
	Flag     uint16
	Service  uint16
	Command  uint16
	Seq      uint16
	Reserved uint16
}

// ParseHeader decodes a header. Every input is one; whether its length makes sense is for the
// caller (Reader does) to judge.
func ParseHeader(b [HeaderLen]byte) Header {
	return Header{
		Length:   binary.BigEndian.Uint32(b[0:]),
		Version:  binary.BigEndian.Uint16(b[4:]),
		Flag:     binary.BigEndian.Uint16(b[6:]),
		Service:  binary.BigEndian.Uint16(b[8:]),
		Command:  binary.BigEndian.Uint16(b[10:]),
		Seq:      binary.BigEndian.Uint16(b[12:]),
		Reserved: binary.BigEndian.Uint16(b[14:]),
	}
}

// LengthError says that a header announced a length no frame can have, or one above the reader's
// limit. Where the next frame begins is then unknown: the stream cannot be read on.
type LengthError struct {
	Length uint32 // as announced, bytes
	Max    uint32 // the reader's limit, bytes
}

// Error says in plain words what is wrong with the length.
func (e *LengthError) Error() string {
	if e.Length < HeaderLen {
		return fmt.Sprintf("frame length %d is below %d", e.Length, HeaderLen)
	}
	return fmt.Sprintf("frame length %d is above the limit of %d", e.Length, e.Max)
}
