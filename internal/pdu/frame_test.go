package pdu_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/teamtalk-go/dbproxy/internal/pdu"
)

func TestFrameAppend(t *testing.T) {
	f := pdu.Frame{Service: 3, Command: 0x0301, Seq: 0xfffe, Body: []byte{0xaa, 0xbb}}
	got := f.Append([]byte{0x99})
	want := "99" + "00000012" + "0001" + "0000" + "0003" + "0301" + "fffe" + "0000" + "aabb"
	if hex.EncodeToString(got) != want {
		t.Errorf("Append: %x, want %s", got, want)
	}
	if f.Len() != 18 {
		t.Errorf("Len: %d, want 18", f.Len())
	}
	if head := f.AppendHeader(nil); !bytes.Equal(head, got[1:1+pdu.HeaderLen]) {
		t.Errorf("AppendHeader: %x, want the header of %x", head, got[1:])
	}
}

func TestParseHeader(t *testing.T) {
	var b [pdu.HeaderLen]byte
	for i := range b {
		b[i] = byte(i + 1)
	}
	want := pdu.Header{
		Length: 0x01020304, Version: 0x0506, Flag: 0x0708,
		Service: 0x090a, Command: 0x0b0c, Seq: 0x0d0e, Reserved: 0x0f10,
	}
	if diff := cmp.Diff(want, pdu.ParseHeader(b)); diff != "" {
		t.Errorf("ParseHeader (-want +got):\n%s", diff)
	}
}

func TestLengthError(t *testing.T) {
	for _, test := range []struct {
		err  pdu.LengthError
		want string
	}{
		{pdu.LengthError{Length: 5, Max: 100}, "frame length 5 is below 16"},
		{pdu.LengthError{Length: 101, Max: 100}, "frame length 101 is above the limit of 100"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%d of %d: %q, want %q", test.err.Length, test.err.Max, got, test.want)
		}
	}
}
