package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	progress(&out, "importing", nil)()
	if out.Len() > 0 {
		t.Errorf("shown without a terminal: %q", out.String())
	}
	asked := make(chan struct{}, 1000)
	stop := showProgress(&out, "importing", func() string {
		asked <- struct{}{}
		return "3 of 7"
	}, time.Millisecond, time.Millisecond)
	<-asked
	stop()
	stop() // once more does no harm
	const line = "\rimporting … 3 of 7\x1b[K"
	if got := out.String(); !strings.HasPrefix(got, line) ||
		!strings.HasSuffix(got, line+"\r\x1b[K") {
		t.Errorf("shown: %q", got)
	}
}
