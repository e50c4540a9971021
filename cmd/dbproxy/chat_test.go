package main

import (
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/tryout/chatui"
	"github.com/teamtalk-go/dbproxy/internal/tryout/company"
)

// seat is a screen with somebody before it.
type seat struct {
	t       *testing.T
	typed   chan string
	printed chan string
	left    chan error // what Run returned
}

func (s *seat) Lines() <-chan string { return s.typed }
func (s *seat) Print(line string)    { s.printed <- line }
func (s *seat) Complain(line string) { s.printed <- "! " + line }
func (s *seat) Prompt(string)        {}
func (s *seat) Live() bool           { return true }

// sees waits for a line that has text in it.
func (s *seat) sees(text string) {
	s.t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case line := <-s.printed:
			if strings.Contains(line, text) {
				return
			}
		case <-late:
			s.t.Fatalf("%q was not seen", text)
		}
	}
}

// leaves waits for the end of the chat, which has an error of this text, or none.
func (s *seat) leaves(text string) {
	s.t.Helper()
	got := ""
	select {
	case err := <-s.left:
		if err != nil {
			got = err.Error()
		}
	case <-time.After(5 * time.Second):
		s.t.Fatal("the chat does not end")
	}
	if got != text {
		s.t.Errorf("the chat ended with %q, want %q", got, text)
	}
}

// TestTwoChat has two people at their screens: each sees what the other writes, without doing
// anything.
func TestTwoChat(t *testing.T) {
	addr, _ := demoProxy(t)
	ann, bob := sit(t, addr, "ann"), sit(t, addr, "bob")
	ann.sees("You are Ann Miller")
	bob.sees("You are Bob Novak")
	ann.typed <- "/open bob"
	ann.sees("[voice, 1 s, 8044 bytes]")
	bob.typed <- "/open ann"
	bob.sees("[voice, 1 s, 8044 bytes]")
	ann.typed <- "are you there?"
	bob.sees("#7 ann: are you there?")
	bob.typed <- "sure"
	ann.sees("#8 bob: sure")

	// After a mistyped name nothing goes to the talk before.
	ann.typed <- "/open nobody"
	ann.sees("! ")
	ann.typed <- "for somebody else"
	ann.sees("! nothing was sent: no talk is open")
	ann.typed <- "/open bob"
	ann.sees("--- bob")

	// A talk that is not open is announced.
	bob.typed <- "/open #engineering"
	bob.sees("--- #engineering, 2 unread ---")
	bob.typed <- "look here"
	bob.sees("#9 bob: look here")
	ann.sees("(4 unread from #engineering)")
	ann.typed <- "and you here"
	bob.sees("(1 unread from ann)")
	ann.typed <- "/quit"
	bob.typed <- "/quit"
	ann.leaves("")
	bob.leaves("")
}

// TestChatEndsWithTheProxy stops the proxy below a chat.
func TestChatEndsWithTheProxy(t *testing.T) {
	addr, stop := demoProxy(t)
	ann := sit(t, addr, "ann")
	ann.sees("You are Ann Miller")
	stop()
	ann.sees("! the proxy is stopping")
	ann.leaves("the proxy has stopped; chat again when it is back")
}

// sit starts a chat that ends with the test at the latest.
func sit(t *testing.T, addr, name string) *seat {
	conn, err := reach(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{
		t: t, typed: make(chan string, 10), printed: make(chan string, 1000),
		left: make(chan error, 1),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.left <- chatui.Run(t.Context(), chatui.Options{
			Client: conn, Screen: s, Name: name, Password: company.Password,
			Every: 10 * time.Millisecond,
		})
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return s
}

// demoProxy runs a proxy with the demo company until stop, or the end of the test.
func demoProxy(t *testing.T) (addr string, stop func()) {
	t.Helper()
	return serveHere(t, serving{data: t.TempDir(), demo: true})
}
