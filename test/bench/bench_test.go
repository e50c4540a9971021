package bench

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/bench/yardstick"
	"github.com/teamtalk-go/dbproxy/test/rig"
	"github.com/teamtalk-go/dbproxy/test/rig/harness"
	"github.com/teamtalk-go/dbproxy/test/rig/servers"
)

var (
	measure = flag.String("measure", "", "have TestBench measure a proxy on `mysql`, or embedded")
	base    = flag.String("base", "",
		"have TestBench compare it with the proxy of another `revision`; redis: compare this one "+
			"without Redis and with it")
	named  = flag.String("profiles", "all", "the `profiles`, separated by blanks")
	lasts  = flag.String("lasts", "3s", "how `long` each is measured")
	rounds = flag.String("rounds", "3", "how many `times` two revisions are measured in turn")
	into   = flag.String("into", "", "the `directory` for bench.json and bench.html")
)

const (
	warmup   = 500 * time.Millisecond
	sticksIn = 2 * time.Second // each of the yardsticks
)

// TestBench is "make bench" and its relatives. Without flags it tries a few profiles on the
// embedded store.
func TestBench(t *testing.T) {
	if *measure == "" {
		*measure, *named, *into = "embedded", "page login text", t.TempDir()
		*lasts = "500ms"
	}
	each, turns := settings(t)
	profiles, err := bench.Pick(strings.Fields(*named))
	if err != nil {
		t.Fatal(err)
	}
	var server *servers.DatabaseServer
	if *measure == "mysql" {
		server = servers.StartMariaDB(t, durable()...)
	}
	start := func(name, binary string) *side {
		if server == nil {
			return embedded(t, name, binary)
		}
		return onMySQL(t, name, binary, server, true)
	}
	var spare *side // without Redis
	if server != nil && (*base == "" || *base == "redis") {
		spare = onMySQL(t, "without Redis", rig.Binary, server, false)
	}
	s := start("with Redis", rig.Binary)
	o := s.options()
	o.Warmup, o.For = warmup, each
	switch *base {
	case "":
	case "redis":
		compare(t, []*side{s, spare}, turns, o, profiles)
		return
	default:
		compare(t, []*side{start("revision "+*base, buildOf(t, *base)), s}, turns, o,
			profiles)
		return
	}
	s.prepare(t, o, profiles)
	if spare != nil {
		o.Addrs = []string{spare.addr}
		spare.prepare(t, o, profiles)
	}
	report, spared := s.closed(t, profiles, spare)
	var alone, paced map[string]*bench.Result
	if s.pool != nil {
		alone = s.alone(t, profiles)
		paced = s.paced(t, report, profiles)
	}
	if err := errors.Join(table(report, spared, alone, paced), write(report)); err != nil {
		t.Fatal(err)
	}
}

// settings reads what "make bench" was told, before anything takes long.
func settings(t *testing.T) (each time.Duration, turns int) {
	t.Helper()
	each, err := time.ParseDuration(*lasts)
	if err != nil || each < 100*time.Millisecond || each > time.Hour {
		t.Fatalf("FOR=%s: it must be a time from 100ms to 1h, such as 10s", *lasts)
	}
	if turns, err = strconv.Atoi(*rounds); err != nil || turns < 1 {
		t.Fatalf("ROUNDS=%s: it must be a number from 1", *rounds)
	}
	if *base != "" && *base != "redis" {
		revision := exec.CommandContext(t.Context(), "git", "rev-parse", "--verify", "--quiet",
			*base+"^{commit}")
		if revision.Dir = rig.Root(); revision.Run() != nil {
			t.Fatalf("BASE=%s: there is no such revision", *base)
		}
	}
	return each, turns
}

// closed runs profiles in closed loop, and yardsticks before, between and after. After each it runs
// the same without Redis, if spare is not nil.
func (s *side) closed(
	t *testing.T, profiles []bench.Profile, spare *side,
) (report *bench.Report, spared map[string]*bench.Result) {
	t.Helper()
	report, spared = bench.NewReport(&s.Options, origin(t)), make(map[string]*bench.Result)
	report.Filled = s.Filled
	sticks := func() {
		if s.pool == nil {
			return
		}
		y, err := yardstick.Measure(t.Context(), s.pool, sticksIn)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("MySQL by itself: R %s, S %s, P %s a second\n", bench.Digits(y.Rows),
			bench.Digits(y.Selects), bench.Digits(y.Pages))
		report.Measure(y)
	}
	for i, p := range profiles {
		if i == 0 || i == len(profiles)/2 {
			sticks()
		}
		r := s.run(t.Context(), t, p)
		report.Results = append(report.Results, r)
		fmt.Printf("%-11s %9s/s", p.Name, bench.Digits(r.PerSecond))
		if spare != nil {
			spared[p.Name] = spare.run(t.Context(), t, p)
			fmt.Printf("   without Redis %9s/s", bench.Digits(spared[p.Name].PerSecond))
		}
		fmt.Println()
	}
	sticks()
	return report, spared
}

// origin is that of what this test measures.
func origin(t *testing.T) bench.Origin {
	t.Helper()
	version, err := harness.Run(t.Context(), rig.Binary, "", "version")
	if err != nil {
		t.Fatal(err)
	}
	return bench.NewOrigin(strings.TrimSpace(version), strings.Join(os.Args, " "))
}

// alone runs those profiles on one connection, one request at a time, for which that is wanted.
func (s *side) alone(t *testing.T, profiles []bench.Profile) map[string]*bench.Result {
	t.Helper()
	lone := *s.Bench
	lone.Conns, lone.InFlight = 1, 1
	results := make(map[string]*bench.Result)
	for _, p := range profiles {
		if goals[p.Name].alone > 0 {
			fmt.Printf("%-11s one at a time\n", p.Name)
			results[p.Name] = (&side{s.name, s.addr, s.pool, &lone}).run(t.Context(), t, p)
		}
	}
	return results
}

// paced runs profiles in open loop, at half the rate that is wanted.
func (s *side) paced(
	t *testing.T, report *bench.Report, profiles []bench.Profile,
) map[string]*bench.Result {
	t.Helper()
	results := make(map[string]*bench.Result)
	for _, p := range profiles {
		half := *s.Bench
		half.Rate = goals[p.Name].rate(report.Yardsticks) / 2
		fmt.Printf("%-11s at %s/s\n", p.Name, bench.Digits(half.Rate))
		r, err := half.Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		results[p.Name] = r // one that cannot keep up fails, and shows it
	}
	return results
}

// table prints all results beside what is wanted.
func table(report *bench.Report, spared, alone, paced map[string]*bench.Result) error {
	if paced == nil {
		fmt.Println()
		for i, r := range report.Results {
			if i == 0 {
				r.WriteHead(os.Stdout)
			}
			if err := r.Write(os.Stdout); err != nil {
				return err
			}
		}
		return nil
	}
	if err := report.WriteYardsticks(os.Stdout); err != nil {
		return err
	}
	fmt.Printf("%d processors, shared by the load and all servers.\n\n", report.Processors)
	missed, all := 0, 0
	mark := func(text string, reached bool) string {
		if all++; reached {
			return text + " "
		}
		missed++
		return text + "*"
	}
	const form = "%-10s %9s %7s %7s %7s %5s %6s %6s %7s %6s\n"
	fmt.Printf(form, "", "", "", "", "without", "", "alone,", "", "p99 at", "")
	fmt.Printf(form, "profile", "answers/s", "share", "wanted", "Redis/s", "ratio", "p50 ms",
		"wanted", "half", "wanted")
	for _, r := range report.Results {
		g := goals[r.Profile]
		lone, most := "", ""
		if a := alone[r.Profile]; a != nil {
			lone = mark(bench.Millis(a.Latency.P50), a.Latency.P50 <= g.alone)
			most = bench.Millis(g.alone)
		}
		p99 := paced[r.Profile].Latency.P99
		half := mark(bench.Millis(p99), p99 <= g.paced)
		if paced[r.Profile].Trouble() != "" {
			if half = "failed*"; p99 <= g.paced {
				missed++
			}
		}
		without := spared[r.Profile].PerSecond
		fmt.Printf(form, r.Profile, bench.Digits(r.PerSecond),
			mark(fmt.Sprintf("%.2f %s", r.Share, r.Yardstick),
				r.PerSecond >= g.rate(report.Yardsticks)), g.text(), bench.Digits(without),
			fmt.Sprintf("%.2f", without/math.Max(r.PerSecond, 1)), lone, most, half,
			bench.Millis(g.paced))
	}
	fmt.Printf("\n%d of %d goals not reached", missed, all)
	if missed > 0 {
		fmt.Print(": those with a *")
	}
	fmt.Println()
	return nil
}

// write writes a report as JSON, and as a page.
func write(report *bench.Report) error {
	if *into == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(*into, "bench.json"), text, 0o644); err != nil {
		return err
	}
	page, err := os.Create(filepath.Join(*into, "bench.html"))
	if err != nil {
		return err
	}
	fmt.Printf("\ncurves of the latency: %s\n", page.Name())
	return errors.Join(report.WriteHTML(page), page.Close())
}

// compare measures two proxies in turn, and prints the ratios of their medians.
func compare(
	t *testing.T, sides []*side, turns int, o bench.Options, profiles []bench.Profile,
) {
	t.Helper()
	results := make(map[string][][]*bench.Result) // by profile: by side, of all rounds
	for _, s := range sides {
		o.Addrs = []string{s.addr}
		s.prepare(t, o, profiles)
	}
	for round := range turns {
		for _, p := range profiles {
			if results[p.Name] == nil {
				results[p.Name] = make([][]*bench.Result, len(sides))
			}
			for i := range sides {
				i = (i + round) % len(sides) // each is the first one half of the time
				results[p.Name][i] = append(results[p.Name][i], sides[i].run(t.Context(), t, p))
			}
			fmt.Printf("round %d of %d, %s\n", round+1, turns, p.Name)
		}
	}
	const form = "%-11s %9s %9s %6s %13s %9s %9s\n"
	fmt.Printf("\nA is %s, B %s; medians of %d rounds in turn\n\n", sides[0].name,
		sides[1].name, turns)
	fmt.Printf(form, "profile", "A/s", "B/s", "B/A", "of rounds", "A p99 ms", "B p99 ms")
	for _, p := range profiles {
		var rate, late [2]float64
		for i, all := range results[p.Name] {
			rate[i] = middle(all, func(r *bench.Result) float64 { return r.PerSecond })
			late[i] = middle(all, func(r *bench.Result) float64 { return r.Latency.P99 })
		}
		least, most := math.Inf(1), 0.0
		for round, a := range results[p.Name][0] {
			ratio := results[p.Name][1][round].PerSecond / math.Max(a.PerSecond, 1)
			least, most = min(least, ratio), max(most, ratio)
		}
		fmt.Printf(form, p.Name, bench.Digits(rate[0]), bench.Digits(rate[1]),
			fmt.Sprintf("%.2f", rate[1]/math.Max(rate[0], 1)),
			fmt.Sprintf("%.2f to %.2f", least, most), bench.Millis(late[0]),
			bench.Millis(late[1]))
	}
}

// middle is the median of what results show.
func middle(all []*bench.Result, of func(*bench.Result) float64) float64 {
	var values []float64
	for _, r := range all {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
