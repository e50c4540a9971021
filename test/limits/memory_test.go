package limits

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/teamtalk-go/dbproxy/internal/impb"
	"github.com/teamtalk-go/dbproxy/internal/pdu"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
)

// TestAnnouncedAndNotSent has 32 connections announce frames of 16 MiB and send little of them:
// neither is their memory taken, nor do they keep the others out.
func TestAnnouncedAndNotSent(t *testing.T) {
	const conns, announced, sent = 32, 16 << 20, 64 << 10
	p := rig.Start(t, rig.NewStore(t))
	other := rig.Dial(t, p)
	var stuck []*rig.Wire
	for range conns {
		w := rig.Connect(t, p)
		frame := pdu.Frame{Service: 3, Command: 0x0301, Body: make([]byte, sent)}.Append(nil)
		binary.BigEndian.PutUint32(frame, announced)
		w.Put(t, frame)
		stuck = append(stuck, w)
	}
	for range 50 {
		rig.CheckServed(t, other)
	}
	rig.CheckServed(t, rig.Dial(t, p))
	closed := 0
	for _, w := range stuck {
		select {
		case <-w.Frames:
			closed++
		default:
		}
	}
	if closed > 0 {
		t.Errorf("the others were not served before %d of the %d connections were closed", closed,
			conns)
	}
	rig.CheckMemory(t, p, 128<<20)
}

// TestAnswersNotTaken has a client ask for large pages, thousands of them, and read none of the
// answers: the proxy stops reading it before its memory grows, and serves the others.
func TestAnswersNotTaken(t *testing.T) {
	const requests = 20_000 // of 1 KiB; their answers would have 8 GB
	p := rig.Start(t, rig.NewStore(t))
	other := rig.Dial(t, p)
	text := strings.Repeat("x", 4000)
	for range 100 {
		rig.Call[*impb.IMMsgData](t, other, rig.PairText(1, 2, text))
	}
	w := rig.Connect(t, p)
	req := rig.Page(1, rig.Pair, 2, 0, 100)
	req.AttachData = make([]byte, 1000)
	frame := rig.FrameOf(t, req, 1).Append(nil)
	written := 0
	for ; written < requests; written++ {
		// Nothing taken for that long means that it will not be: the proxy does not read any more.
		if err := w.SetWriteDeadline(time.Now().Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(frame); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Logf("the connection was closed after %d requests: %v", written, err)
			break
		}
		if written%1000 == 0 {
			rig.CheckServed(t, other)
		}
	}
	t.Logf("%d requests went out", written)
	rig.CheckServed(t, other)
	rig.CheckMemory(t, p, 400<<20)
}

// TestLargeAnswersAtOnce has many connections ask for the largest answers at the same time, and
// read them. What the proxy has no time for it leaves unanswered, and its memory stays bounded.
func TestLargeAnswersAtOnce(t *testing.T) {
	const conns, each = 32, 8
	p := rig.Start(t, rig.NewStore(t))
	first := rig.Dial(t, p)
	text := strings.Repeat("😀", 4096)
	for range 300 {
		rig.Call[*impb.IMMsgData](t, first, rig.PairText(1, 2, text))
	}
	var asking []*rig.Wire
	for range conns {
		w := rig.Connect(t, p)
		asking = append(asking, w)
		for i := range uint16(each) {
			w.Put(t, rig.FrameOf(t, rig.Page(1, rig.Pair, 2, 0, 4294967295), i).Append(nil))
		}
		if err := w.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	var answered atomic.Int64
	var reading sync.WaitGroup
	for _, w := range asking {
		reading.Go(func() {
			n := countPages(t, w)
			answered.Add(int64(n))
			line, err := p.Log.Await(rig.Within(t), func(l harness.Line) bool {
				return l.Text("peer") == w.LocalAddr().String() && l.Message == "connection closed"
			})
			if err != nil || line.Text("requests") != fmt.Sprint(each) ||
				line.Text("answers") != fmt.Sprint(n) {
				t.Errorf("of %d requests, %d were answered; the log says: %s (%v)", each, n,
					line.Raw, err)
			}
		})
	}
	reading.Wait()
	t.Logf("%d of %d were answered", answered.Load(), conns*each)
	if answered.Load() == 0 {
		t.Error("nothing was answered")
	}
	rig.CheckMemory(t, p, 600<<20)
}

// countPages counts the pages that come until the server closes.
func countPages(t *testing.T, w *rig.Wire) (n int) {
	ctx := rig.Within(t)
	for {
		f, err := w.Next(ctx)
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Error(err)
			return n
		}
		var page impb.IMGetMsgListRsp
		if err := proto.Unmarshal(f.Body, &page); err != nil || len(page.GetMsgList()) < 200 ||
			f.Len() > 5<<20 {
			t.Errorf("a page of %d messages in %d bytes: %v", len(page.GetMsgList()), f.Len(), err)
		}
		n++
	}
}

// TestFileListsNotTaken does the same with a request that waits for changes of its user before it
// reads.
func TestFileListsNotTaken(t *testing.T) {
	const files, requests = 300, 1000 // answers of 1.2 MB each
	p := rig.Start(t, rig.NewStore(t))
	other := rig.Dial(t, p)
	for i := range files {
		req := &impb.IMFileAddOfflineReq{
			FromUserId: proto.Uint32(1), ToUserId: proto.Uint32(2),
			TaskId:   proto.String(strconv.Itoa(i)),
			FileName: proto.String(strings.Repeat("x", 4096)), FileSize: proto.Uint32(1),
		}
		if err := other.Post(rig.Within(t), req); err != nil {
			t.Fatal(err)
		}
	}
	list := &impb.IMFileHasOfflineReq{UserId: proto.Uint32(2)}
	if got := rig.Call[*impb.IMFileHasOfflineRsp](t, other,
		list); len(got.GetOfflineFileList()) != files {
		t.Fatalf("%d files are listed, %d were added before", len(got.GetOfflineFileList()), files)
	}
	w := rig.Connect(t, p)
	frame := rig.FrameOf(t, list, 1).Append(nil)
	w.Put(t, bytes.Repeat(frame, requests))
	for range 200 {
		rig.CheckServed(t, other)
	}
	rig.CheckMemory(t, p, 400<<20)
}
