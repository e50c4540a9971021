package bench

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// A picture of a dimension has two charts, one below the other, whose axes are all logarithmic:
// rates above, and p99 below. It is made for the width of a phone: texts have 15 of its 420 units.
// Its colours follow the viewer's, its background included, so that it can be read anywhere.
const (
	svgWidth, svgHeight = 420, 504
	svgLeft, svgRight   = 56.0, 406.0  // of both charts
	svgChart            = 150.0        // height of each
	svgRates, svgTimes  = 100.0, 296.0 // their tops
	svgGap              = 40.0         // the least between two labels below
	most125             = 6            // a longer axis has powers of ten only: see rung
)

// svgStyle has a colour for each of up to three kinds, a, b and c.
const svgStyle = `<style>
svg {
  --back: #fff; --text: #1b2430; --quiet: #5b6675; --grid: #dde2e8;
  --a: #1f6feb; --b: #bf5700; --c: #1a7f37;
}
@media (prefers-color-scheme: dark) {
  svg {
    --back: #161b22; --text: #e6ebf2; --quiet: #9aa6b5; --grid: #303a46;
    --a: #6ba5ff; --b: #ffa657; --c: #56d364;
  }
}
text { font: 15px system-ui, sans-serif; fill: var(--quiet); }
.title { font-size: 18px; font-weight: 600; fill: var(--text); }
.name { fill: var(--text); }
.grid { stroke: var(--grid); }
.line { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round; }
</style>
`

// SVG is a picture of a dimension that needs nothing else. Points that were left out are not in it.
func (g *Grown) SVG() string {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" `+
		`viewBox="0 0 %[1]d %[2]d" role="img">`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&s, "<title>%s: answers a second, and their p99</title>\n", g.Name)
	s.WriteString(svgStyle)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" rx="10" fill="var(--back)"/>`+"\n", svgWidth,
		svgHeight)
	fmt.Fprintf(&s, `<text class="title" x="16" y="30">%s</text>`+"\n", g.Name)
	x := 16.0
	for i, k := range g.Points[0].Kinds {
		fmt.Fprintf(&s, `<path class="line" stroke="var(--%c)" d="M%.0f 51h22"/>`+"\n", hue(i, k),
			x)
		s.WriteString(marker(hue(i, k), x+11, 51))
		fmt.Fprintf(&s, `<text class="name" x="%.0f" y="56">%s</text>`+"\n", x+29, k.Name)
		x += 52 + 8*float64(len(k.Name))
	}
	g.chart(&s, svgRates, "answers/s", func(k *GrownKind) float64 { return k.PerSecond })
	g.chart(&s, svgTimes, "p99 in ms", func(k *GrownKind) float64 { return k.Latency.P99 })
	for _, n := range g.labelled() {
		fmt.Fprintf(&s, `<text x="%.1f" y="%.0f" text-anchor="middle">%s</text>`+"\n", g.x(n),
			svgTimes+svgChart+20, short(float64(n)))
	}
	fmt.Fprintf(&s, `<text class="name" x="%.0f" y="%d" text-anchor="middle">%s</text>`+"\n",
		(svgLeft+svgRight)/2, svgHeight-14, html.EscapeString(g.Unit))
	s.WriteString("</svg>\n")
	return s.String()
}

// chart draws one value of all points.
func (g *Grown) chart(s *strings.Builder, top float64, name string, of func(*GrownKind) float64) {
	var values []float64
	for _, p := range g.Points {
		for i := range p.Kinds {
			if p.Kinds[i].LeftOut == "" {
				values = append(values, of(&p.Kinds[i]))
			}
		}
	}
	low, high := span(values)
	y := func(v float64) float64 {
		v = max(v, rung(low))
		return top + svgChart*math.Log(rung(high)/v)/math.Log(rung(high)/rung(low))
	}
	fmt.Fprintf(s, `<text class="name" x="16" y="%.0f">%s</text>`+"\n", top-13, name)
	for i := low; i <= high; i++ {
		if high-low > most125 && i%3 != 0 {
			continue
		}
		v := rung(i)
		fmt.Fprintf(s, `<path class="grid" d="M%.0f %.1fH%.0f"/>`+"\n", svgLeft, y(v), svgRight)
		fmt.Fprintf(s, `<text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n", svgLeft-8,
			y(v)+5, short(v))
	}
	for _, n := range g.labelled() {
		fmt.Fprintf(s, `<path class="grid" d="M%.1f %.0fv%.0f"/>`+"\n", g.x(n), top, svgChart)
	}
	for i, k := range g.Points[0].Kinds {
		var line, marks strings.Builder
		draw := byte('M')
		for _, p := range g.Points {
			k := &p.Kinds[i]
			if k.LeftOut != "" {
				draw = 'M'
				continue
			}
			fmt.Fprintf(&line, "%c%.1f %.1f", draw, g.x(p.At), y(of(k)))
			marks.WriteString(marker(hue(i, *k), g.x(p.At), y(of(k))))
			draw = 'L'
		}
		if line.Len() > 0 {
			fmt.Fprintf(s, `<path class="line" stroke="var(--%c)" d="%s"/>`+"\n", hue(i, k),
				line.String())
		}
		s.WriteString(marks.String())
	}
}

// hue names the colour of kind i of a picture: in all pictures that of texts is the same.
func hue(i int, k GrownKind) byte {
	switch {
	case strings.HasSuffix(k.Name, "text"):
		return 'b'
	case i == 0:
		return 'a'
	}
	return 'c'
}

// marker marks a point by a circle, a square or a triangle in a colour.
func marker(hue byte, x, y float64) string {
	shape := map[byte]string{'a': "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
		'b': "m-4 -4h8v8h-8z", 'c': "m0 -5.5l5 9.5h-10z"}[hue]
	return fmt.Sprintf(`<path fill="var(--%c)" d="M%.1f %.1f%s"/>`+"\n", hue, x, y, shape)
}

// x is where a point is.
func (g *Grown) x(n int) float64 {
	first, last := float64(g.Points[0].At), float64(g.Points[len(g.Points)-1].At)
	if first == last {
		return (svgLeft + svgRight) / 2
	}
	return svgLeft + 10 + (svgRight-svgLeft-20)*math.Log(float64(n)/first)/math.Log(last/first)
}

// labelled are the points that get labels: the first and the last, powers of ten, and of the others
// those that have a place.
func (g *Grown) labelled() (points []int) {
	var tens, others []int
	for _, p := range g.Points {
		if math.Trunc(math.Log10(float64(p.At))) == math.Log10(float64(p.At)) {
			tens = append(tens, p.At)
		} else {
			others = append(others, p.At)
		}
	}
	wanted := append([]int{g.Points[len(g.Points)-1].At, g.Points[0].At}, tens...)
	for _, n := range append(wanted, others...) {
		free := true
		for _, taken := range points {
			free = free && math.Abs(g.x(n)-g.x(taken)) >= svgGap
		}
		if free {
			points = append(points, n)
		}
	}
	return points
}

// rung is the number i of those that are 1, 2 or 5 times a power of ten, of which rung(0) is 0.001.
func rung(i int) float64 { return []float64{1, 2, 5}[i%3] * math.Pow10(i/3-3) }

// span is the numbers of the rungs between which an axis has all values. They are a power of ten
// apart at least, so that small differences look small; those of a long axis are powers of ten.
func span(values []float64) (low, high int) {
	least, most := math.Inf(1), 0.0
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	for rung(high) < most {
		high++
	}
	for low = high; low > 0 && rung(low) > least; {
		low--
	}
	for grow := 0; high-low < 3; grow++ {
		if grow%2 == 0 && low > 0 {
			low--
		} else {
			high++
		}
	}
	if high-low > most125 {
		return low - low%3, (high + 2) / 3 * 3
	}
	return low, high
}

// short is a number for an axis: 0.5, 20, 100k, 1M.
func short(v float64) string {
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= unit.of {
			return strconv.FormatFloat(v/unit.of, 'g', 4, 64) + unit.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
