package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
)

//go:embed report.html
var reportPage string

// WriteHTML writes the report as a page that needs nothing else: no other file, and no network.
func (r *Report) WriteHTML(w io.Writer) error {
	low, high := r.decades()
	about := make(map[string]string)
	for _, p := range Profiles() {
		about[p.Name] = p.About
	}
	page, err := template.New("report").Funcs(template.FuncMap{
		"digits": Digits,
		"count":  func(n int64) string { return Digits(float64(n)) },
		"millis": Millis,
		"about":  func(name string) string { return about[name] },
		"plot":   func(res *Result) plot { return res.plot(low, high) },
	}).Parse(reportPage)
	if err != nil {
		return err
	}
	return page.Execute(w, r)
}

// decades are the powers of ten of milliseconds between which all curves of a report lie.
func (r *Report) decades() (low, high int) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, res := range r.Results {
		for _, p := range res.Curve {
			least, most = min(least, p.Took), max(most, p.Took)
		}
	}
	if most < least {
		return 0, 1
	}
	low = int(math.Floor(math.Log10(max(least, 0.001))))
	return low, max(low+1, int(math.Ceil(math.Log10(max(most, 0.001)))))
}

// The size of a plot and of the margins around its grid, in the units of its SVG.
const (
	plotWidth, plotHeight = 340.0, 190.0
	plotLeft, plotRight   = 48.0, 12.0
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
	At     float64
	Text   string
	Anchor string // where of the text the line is: "middle" or "end"
}

// plot draws the curve of a result between two powers of ten of milliseconds.
func (r *Result) plot(low, high int) plot {
	p := plot{Width: plotWidth, Height: plotHeight, Left: plotLeft,
		Right: plotWidth - plotRight, Top: plotTop, Bottom: plotHeight - plotBottom}
	nines := 2.0
	for _, point := range r.Curve {
		if point.Percent < 100 {
			nines = max(nines, ninesOf(point.Percent))
		}
	}
	x := func(nine float64) float64 { return p.Left + (p.Right-p.Left)*nine/nines }
	y := func(ms float64) float64 {
		share := (math.Log10(max(ms, 0.001)) - float64(low)) / float64(high-low)
		return p.Bottom - (p.Bottom-p.Top)*share
	}
	var path strings.Builder
	for i, point := range r.Curve {
		at := nines // the slowest of all
		if point.Percent < 100 {
			at = ninesOf(point.Percent)
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], x(at), y(point.Took))
	}
	p.Line = path.String()
	p.Columns = append(p.Columns, tick{x(ninesOf(50)), "50 %", "middle"})
	for n := 1; float64(n) <= nines; n++ {
		text := strconv.FormatFloat(100*(1-math.Pow(10, -float64(n))), 'f', max(0, n-2), 64) + " %"
		anchor := "middle"
		if x(float64(n)) > p.Right-plotRight {
			anchor = "end"
		}
		p.Columns = append(p.Columns, tick{x(float64(n)), text, anchor})
	}
	for n := low; n <= high; n++ {
		ms := math.Pow(10, float64(n))
		text := strconv.FormatFloat(ms, 'f', max(0, -n), 64) + " ms"
		if n >= 3 {
			text = strconv.FormatFloat(ms/1000, 'f', 0, 64) + " s"
		}
		p.Rows = append(p.Rows, tick{y(ms), text, "end"})
	}
	return p
}

// ninesOf is how many nines a percentage has: 1 for 90, 2 for 99.
func ninesOf(percent float64) float64 { return -math.Log10(1 - percent/100) }
