package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Yardsticks are the rates at which a MySQL does three things by itself, each a second. See package
// yardstick.
type Yardsticks struct {
	Rows    float64 `json:"R"` // rows inserted, 256 in a transaction, on 4 connections
	Selects float64 `json:"S"` // rows selected, one by its key, on 16 connections
	Pages   float64 `json:"P"` // the newest 20 rows of a talk selected, on 16 connections
}

// MarshalJSON makes JSON of it: null if it was not measured.
func (y Yardsticks) MarshalJSON() ([]byte, error) {
	if y == (Yardsticks{}) {
		return []byte("null"), nil
	}
	type plain Yardsticks
	return json.Marshal(plain(y))
}

// of is the yardstick with a name; 0: there is none.
func (y Yardsticks) of(name string) float64 {
	return map[string]float64{"R": y.Rows, "S": y.Selects, "P": y.Pages}[name]
}

// median is the median of each yardstick.
func median(all []Yardsticks) (y Yardsticks) {
	if len(all) == 0 {
		return y
	}
	of := func(one func(Yardsticks) float64) float64 {
		sorted := slices.SortedFunc(slices.Values(all), func(a, b Yardsticks) int {
			return cmp.Compare(one(a), one(b))
		})
		return one(sorted[len(sorted)/2])
	}
	return Yardsticks{of(func(y Yardsticks) float64 { return y.Rows }),
		of(func(y Yardsticks) float64 { return y.Selects }),
		of(func(y Yardsticks) float64 { return y.Pages })}
}

// Origin says where a report is from.
type Origin struct {
	Begun   time.Time `json:"begun"`
	Version string    `json:"version"` // of the dbproxy that was the load
	Go      string    `json:"go"`      // the version of Go that it was built with
	Command string    `json:"command"` // its command line
	// Processors is how many this machine has; the server's may be another one.
	Processors int `json:"processors"`
	// Interrupted says that it ended before all was measured.
	Interrupted bool `json:"interrupted"`
}

// NewOrigin is the origin of what begins now, by a version of dbproxy and a command line.
func NewOrigin(version, command string) Origin {
	return Origin{Begun: time.Now().Truncate(time.Second), Version: version, Go: runtime.Version(),
		Command: command, Processors: runtime.NumCPU()}
}

// Report is what a load has shown.
type Report struct {
	Origin
	Addrs  []string `json:"addresses"`
	Users  Users    `json:"users"`
	Size   int      `json:"text_bytes"`
	Filled Filled   `json:"filled"`
	// Measured are the yardsticks as often as they were measured, and Yardsticks their medians.
	Measured   []Yardsticks `json:"yardsticks_measured"`
	Yardsticks Yardsticks   `json:"yardsticks"`
	Results    []*Result    `json:"profiles"`
}

// NewReport begins the report of a load with options, on a store that is not prepared yet.
func NewReport(o *Options, from Origin) *Report {
	return &Report{Origin: from, Addrs: o.Addrs, Users: o.Users, Size: o.Size,
		Measured: []Yardsticks{}, Results: []*Result{}}
}

// Measure adds yardsticks that were measured, and tells all rates in shares of their medians.
func (r *Report) Measure(y Yardsticks) {
	r.Measured = append(r.Measured, y)
	r.Yardsticks = median(r.Measured)
	for _, res := range r.Results {
		if of := r.Yardsticks.of(res.Yardstick); of > 0 {
			res.Share = Share(res.PerSecond / of)
		}
	}
}

// mostApart is how many times the smallest the largest of a yardstick may be.
const mostApart = 1.5

// WriteYardsticks writes the yardsticks, each with the smallest and the largest that was measured,
// and a warning if these are far apart; nothing if none was measured.
func (r *Report) WriteYardsticks(w io.Writer) error {
	if len(r.Measured) == 0 {
		return nil
	}
	text := fmt.Sprintf("\nMySQL by itself, the median and the range of %d measurements:\n",
		len(r.Measured))
	apart := false
	for _, y := range [][2]string{{"R", "rows inserted/s"}, {"S", "rows selected/s"},
		{"P", "pages selected/s"}} {
		least, most := math.Inf(1), 0.0
		for _, m := range r.Measured {
			least, most = min(least, m.of(y[0])), max(most, m.of(y[0]))
		}
		apart = apart || most > mostApart*least
		text += fmt.Sprintf("  %s %9s %-16s  %s to %s\n", y[0], Digits(r.Yardsticks.of(y[0])), y[1],
			Digits(least), Digits(most))
	}
	if apart {
		text += "They differ by more than 1.5 times: the machine did something else, too, and\n" +
			"shares say little.\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

// Err is an error if anything in it failed.
func (r *Report) Err() error {
	var failed []string
	for _, res := range r.Results {
		if res.Trouble() != "" {
			failed = append(failed, res.Profile)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("not all was answered as it should be: %s", strings.Join(failed, ", "))
}

// WriteHead writes the head of a table of results that are as this one: what was wanted has a
// column in open loop.
func (r *Result) WriteHead(w io.Writer) error {
	return r.writeRow(w, "profile", "answers/s", "wanted/s", "p50 ms", "p99 ms", "max ms", "failed",
		"share")
}

// Write writes a result as a row of the table.
func (r *Result) Write(w io.Writer) error {
	share := ""
	if r.Share > 0 {
		share = fmt.Sprintf("%.2f %s", r.Share, r.Yardstick)
	}
	l := r.Latency
	return r.writeRow(w, r.Profile, Digits(r.PerSecond), Digits(r.Rate), Millis(l.P50),
		Millis(l.P99), Millis(l.Max), Digits(float64(r.Failed.Sum())), share)
}

// writeRow writes texts in columns, within 80 cells.
func (r *Result) writeRow(
	w io.Writer, name, rate, wanted, p50, p99, most, failed, share string,
) error {
	if wanted = fmt.Sprintf(" %9s", wanted); r.Rate == 0 {
		wanted = ""
	}
	line := fmt.Sprintf("%-12s %10s%s %8s %8s %8s %9s %8s", name, rate, wanted, p50, p99, most,
		failed, share)
	_, err := fmt.Fprintln(w, strings.TrimRight(line, " "))
	return err
}

// WriteKinds writes the rows of the kinds of a result.
func (r *Result) WriteKinds(w io.Writer) error {
	for _, k := range r.Kinds {
		l := k.Latency
		if err := r.writeRow(w, "  "+k.Name, Digits(k.PerSecond), "", Millis(l.P50),
			Millis(l.P99), Millis(l.Max), "", ""); err != nil {
			return err
		}
	}
	return nil
}

// WriteTrouble writes what failed, a paragraph for each profile; nothing if nothing did.
func (r *Report) WriteTrouble(w io.Writer) error {
	for _, res := range r.Results {
		if text := res.Trouble(); text != "" {
			if _, err := fmt.Fprintf(w, "\n%s: %s\n", res.Profile, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// Digits is a rate for people: 12,345.
func Digits(rate float64) string {
	text := strconv.FormatFloat(rate, 'f', 0, 64)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Millis is a latency in milliseconds for people, with three digits; – if it is 0: there is none.
func Millis(ms float64) string {
	switch {
	case ms == 0:
		return "–"
	case ms >= 100:
		return Digits(ms)
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 2, 64)
}
