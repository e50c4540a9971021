package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/teamtalk-go/dbproxy/internal/spelling"
)

// Growth is what a load has shown while dimensions grew.
type Growth struct {
	Origin
	Addrs      []string `json:"addresses"`
	Users      Users    `json:"users"`
	Size       int      `json:"text_bytes"`
	Conns      int      `json:"connections"` // where they are not what grows
	InFlight   int      `json:"in_flight"`   // on each
	Seconds    float64  `json:"seconds"`     // for which each measurement counts
	Filled     Filled   `json:"filled"`
	Dimensions []*Grown `json:"dimensions"`
}

// Grown is what each point of a dimension has shown.
type Grown struct {
	Name   string       `json:"name"`
	Unit   string       `json:"unit"`
	Points []GrownPoint `json:"points"`
}

// GrownPoint is what each kind of request has shown at a point.
type GrownPoint struct {
	At    int         `json:"at"`
	Kinds []GrownKind `json:"kinds"`
}

// GrownKind is what a kind of request has shown, or why it was left out.
type GrownKind struct {
	Kind
	LeftOut string `json:"left_out"` // empty: it was measured
}

// Dimensions are those of these names, as far as options allow: with points up to most, no more
// proxies than there are addresses, and logins only with a password. No names stand for all, and 0
// for any most. skipped tells of which nothing is left, and why; the error also if of none.
func Dimensions(
	names []string, o *Options, most int,
) (left []Dimension, skipped []string, err error) {
	known := DimensionNames()
	for _, name := range names {
		if !slices.Contains(known, name) {
			mend := "there are " + strings.Join(known, ", ")
			if near := spelling.Nearest(name, known); len(near) > 0 {
				mend = spelling.DidYouMean(near)
			}
			return nil, nil, fmt.Errorf("there is no dimension %q; %s", name, mend)
		}
	}
	for _, d := range dimensions() {
		if len(names) > 0 && !slices.Contains(names, d.Name) {
			continue
		}
		if o.Password == "" {
			d.requests = slices.DeleteFunc(d.requests,
				func(r request) bool { return r.name == "login" })
		}
		first := d.Points[0]
		d.Points = slices.DeleteFunc(d.Points, func(n int) bool {
			return most > 0 && n > most || d.Name == "proxies" && n > len(o.Addrs)
		})
		switch {
		case d.Name == "proxies" && len(o.Addrs) == 1:
			skipped = append(skipped,
				"proxies is left out: give it two or three --addr that share a store")
		case len(d.Points) == 0:
			skipped = append(skipped, fmt.Sprintf("%s is left out: it begins with %d", d.Name,
				first))
		default:
			left = append(left, d)
		}
	}
	if left == nil {
		err = errors.New("no dimension is left")
	}
	return left, skipped, err
}

// Kinds are the names of the kinds of requests that are measured at each point.
func (d *Dimension) Kinds() (names []string) {
	for _, r := range d.requests {
		names = append(names, r.name)
	}
	return names
}

// Takes is how long measuring takes, without what is written before.
func (d *Dimension) Takes(o *Options) time.Duration {
	return time.Duration(len(d.Points)*len(d.requests)) * (o.Warmup + o.For)
}

// Writes is how many texts are written into a new store before something is measured.
func (d *Dimension) Writes() int {
	if d.texts == nil {
		return 0
	}
	return d.texts(d.Points)
}

// CheckGrowth returns an error if an option is out of its bounds, or too little for growth.
func (o *Options) CheckGrowth() error {
	return o.Check([]Profile{{Name: "growth", needs: needs{growth: true}}})
}

// Grow measures dimensions, all but proxies on the first of the servers. After each point it calls
// measured with its dimension, of which it is the last point then; an error of that ends it. What
// cannot be measured is left out, and says why. The result has what was measured before an error.
func Grow(
	ctx context.Context, o Options, from Origin, dims []Dimension, measured func(*Grown) error,
) (*Growth, error) {
	all := &Growth{Origin: from, Addrs: o.Addrs, Users: o.Users, Size: o.Size, Conns: o.Conns,
		InFlight: o.InFlight, Seconds: o.For.Seconds(), Dimensions: []*Grown{}}
	base, err := prepareFor(ctx, o, needs{growth: true, people: o.Password != "",
		logins: o.Password != ""})
	if err != nil {
		return all, err
	}
	g := grower{base: base}
	for i := range dims {
		g.steps += len(dims[i].Points) * len(dims[i].requests)
	}
	for i := range dims {
		d := &dims[i]
		grown := &Grown{d.Name, d.Unit, []GrownPoint{}}
		all.Dimensions = append(all.Dimensions, grown)
		for _, n := range d.Points {
			point := g.measure(ctx, d, n)
			if all.Filled = base.Filled; ctx.Err() != nil {
				all.Interrupted = true
				return all, errors.New("interrupted")
			}
			grown.Points = append(grown.Points, point)
			if err := measured(grown); err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// grower measures points.
type grower struct {
	base        *Bench // what all points have in common
	step, steps int    // which measurement is the next, and how many there are
}

// measure prepares the store for a point of a dimension, and measures it.
func (g *grower) measure(ctx context.Context, d *Dimension, n int) GrownPoint {
	o := g.base.Options
	if o.Addrs = o.Addrs[:1]; d.Name == "proxies" {
		o.Addrs = g.base.Addrs[:n]
	}
	o.Progress = func(what string, at func() string) func() {
		return g.base.showing(fmt.Sprintf("%d of %d, %s %s: %s", g.step+1, g.steps, d.Name,
			Digits(float64(n)), what), at)
	}
	b, cause := g.prepare(ctx, o, d, n)
	p := GrownPoint{At: n}
	for _, r := range d.requests {
		k := GrownKind{Kind: Kind{Name: r.name}}
		err := cause
		if err == nil {
			err = b.measure(ctx, r, n, &k.Kind)
		}
		if err != nil {
			k.LeftOut = err.Error()
		}
		p.Kinds = append(p.Kinds, k)
		g.step++
	}
	return p
}

// prepare prepares the store for a point, through connections of its own: a server that has too
// many may have closed those of the point before.
func (g *grower) prepare(ctx context.Context, o Options, d *Dimension, n int) (*Bench, error) {
	f, err := newFiller(ctx, o)
	if err != nil {
		return nil, err
	}
	defer f.close()
	f.people, f.Filled = g.base.people, g.base.Filled
	err = d.prepare(ctx, f, n)
	g.base.Filled = f.Filled
	return f.Bench, err
}

// measure measures a kind of request at a point. The error is why it is left out.
func (b *Bench) measure(ctx context.Context, r request, n int, k *Kind) error {
	p := Profile{Name: r.name, mix: one(func(b *Bench) kind { return r.make(b, n) })}
	if err := b.Check([]Profile{p}); err != nil {
		return err
	}
	res, err := b.Run(ctx, p)
	if err != nil {
		return err
	}
	if trouble := res.Trouble(); trouble != "" {
		return errors.New(trouble)
	}
	k.PerSecond, k.Latency = res.PerSecond, res.Latency
	return nil
}

// WriteHead writes the head of the table of a dimension.
func (g *Grown) WriteHead(w io.Writer) error {
	names, units := fmt.Sprintf("\n%-11s", g.Name), strings.Repeat(" ", 11)
	for _, k := range g.Points[0].Kinds {
		names += fmt.Sprintf("%22s", k.Name)
		units += fmt.Sprintf("%12s%10s", "answers/s", "p99 ms")
	}
	_, err := fmt.Fprintln(w, names+"\n"+units)
	return err
}

// WriteLast writes the last point as a row of the table.
func (g *Grown) WriteLast(w io.Writer) error {
	p := g.Points[len(g.Points)-1]
	line := fmt.Sprintf("%11s", Digits(float64(p.At)))
	for _, k := range p.Kinds {
		if k.LeftOut != "" {
			line += fmt.Sprintf("%22s", "left out")
			continue
		}
		line += fmt.Sprintf("%12s%10s", Digits(k.PerSecond), Millis(k.Latency.P99))
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// WriteLeftOut writes why what was left out was, a paragraph for each.
func (g *Growth) WriteLeftOut(w io.Writer) error {
	for _, d := range g.Dimensions {
		for _, p := range d.Points {
			for _, k := range p.Kinds {
				if k.LeftOut == "" {
					continue
				}
				if _, err := fmt.Fprintf(w, "\n%s %s, %s: %s\n", d.Name, Digits(float64(p.At)),
					k.Name, k.LeftOut); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Err is an error if a kind of request was left out at all points of a dimension.
func (g *Growth) Err() error {
	var none []string
	for _, d := range g.Dimensions {
		measured := make(map[string]bool)
		for _, p := range d.Points {
			for _, k := range p.Kinds {
				measured[k.Name] = measured[k.Name] || k.LeftOut == ""
			}
		}
		for _, k := range slices.Sorted(maps.Keys(measured)) {
			if !measured[k] {
				none = append(none, d.Name+", "+k)
			}
		}
	}
	if none == nil {
		return nil
	}
	return fmt.Errorf("measured at no point, see why above: %s", strings.Join(none, "; "))
}
