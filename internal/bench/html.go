package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

//go:embed report.html
var reportPage string

// WriteHTML writes the report as a page that needs nothing else: no other file, and no network.
func (r *Report) WriteHTML(w io.Writer) error {
	all := r.bounds()
	rated := slices.ContainsFunc(r.Results, func(res *Result) bool { return res.Rate > 0 })
	about := make(map[string]string)
	for _, p := range Profiles() {
		about[p.Name] = p.About
	}
	page, err := template.New("report").Funcs(template.FuncMap{
		"digits": Digits,
		"count":  func(n int64) string { return Digits(float64(n)) },
		"millis": Millis,
		"about":  func(name string) string { return about[name] },
		"plot":   func(res *Result) plot { return res.plot(all) },
		"rated":  func() bool { return rated },
	}).Parse(reportPage)
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

// bounds are those of all curves of a report: of their latency, as the logarithm of milliseconds,
// and of their percentages, in nines.
type bounds struct{ low, high, nines float64 }

func (r *Report) bounds() bounds {
	b := bounds{math.Inf(1), math.Inf(-1), 2}
	for _, res := range r.Results {
		for i, p := range res.Curve {
			took := math.Log10(max(p.Took, 0.001))
			b.low, b.high = min(b.low, took), max(b.high, took)
			b.nines = max(b.nines, res.ninesAt(i))
		}
	}
	if b.high < b.low {
		b.low, b.high = 0, 1
	}
	b.high = max(b.high, b.low+0.5)
	return b
}

// ninesAt is how many nines the percentage of a point of the curve has: 1 for 90, 2 for 99. The
// last point, of 100 %, stands a step after the one before.
func (r *Result) ninesAt(i int) float64 {
	if percent := r.Curve[i].Percent; percent < 100 {
		return -math.Log10(1 - percent/100)
	}
	if i == 0 {
		return 0
	}
	return r.ninesAt(i-1) + 1.0/8
}

// The size of a plot and of the margins around its grid, in the units of its SVG.
const (
	plotWidth, plotHeight = 340.0, 190.0
	plotLeft, plotRight   = 48.0, 20.0
	plotTop, plotBottom   = 12.0, 26.0
)

// plot is a latency curve as it is drawn: percentiles to the right, each further nine as wide as
// the one before, and milliseconds upwards, each power of ten as high as the others.
type plot struct {
	Line          string // the curve, as a path
	Columns, Rows []tick
	Width, Height float64
	Left, Right   float64 // of the grid
	Top, Bottom   float64
}

// tick is a line of the grid with its label.
type tick struct {
	At   float64
	Text string
}

// plot draws the curve of a result between the bounds of all.
func (r *Result) plot(b bounds) plot {
	p := plot{Width: plotWidth, Height: plotHeight, Left: plotLeft,
		Right: plotWidth - plotRight, Top: plotTop, Bottom: plotHeight - plotBottom}
	x := func(nine float64) float64 { return p.Left + (p.Right-p.Left)*nine/b.nines }
	y := func(log float64) float64 {
		return p.Bottom - (p.Bottom-p.Top)*(log-b.low)/(b.high-b.low)
	}
	var path strings.Builder
	for i, point := range r.Curve {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x(r.ninesAt(i)),
			y(math.Log10(max(point.Took, 0.001))))
	}
	p.Line = path.String()
	p.Columns = append(p.Columns, tick{x(-math.Log10(0.5)), "50 %"})
	for n := 1; float64(n) <= b.nines; n++ {
		text := strconv.FormatFloat(100*(1-math.Pow(10, -float64(n))), 'f', max(0, n-2), 64)
		if n <= 2 { // there is space for it
			text += " %"
		}
		p.Columns = append(p.Columns, tick{x(float64(n)), text})
	}
	steps := []float64{1, 2, 5}
	if b.high-b.low > 2 {
		steps = steps[:1]
	}
	for n := math.Floor(b.low); n <= b.high; n++ {
		for _, step := range steps {
			ms := step * math.Pow(10, n)
			text := strconv.FormatFloat(ms, 'g', 3, 64) + " ms"
			if ms >= 1000 {
				text = strconv.FormatFloat(ms/1000, 'g', 3, 64) + " s"
			}
			if at := math.Log10(ms); at >= b.low && at <= b.high {
				p.Rows = append(p.Rows, tick{y(at), text})
			}
		}
	}
	return p
}
