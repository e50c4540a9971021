package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/teamtalk-go/dbproxy/internal/bench"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// growing is what "dbproxy bench growth" is asked for.
type growing struct {
	benching
	most int
	svg  string // a directory; empty: none
}

func growthCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "growth [DIMENSION...]",
		Short: "Measure what requests cost as a store and its load grow",
		Long: `Measure what requests cost as a store and its load grow: the rate and the p99 of
two or three kinds of request, in closed loop, at each point of a dimension.
--list tells all dimensions, what their points are numbers of, and how long they
take. Without names all are measured, one after the other.

What a point wants is written before it, between the users of --users, who need
not exist. It stays in the store, and no command removes it: measure on a store
that can be thrown away. Logins are measured only with a password,
among those of the users who exist. All but proxies load the first --addr alone.

What a limit keeps from being measured at a point is left out, and told. The
exit code is 1 if that is so at all points.`,
		Example: `  dbproxy bench growth --list
  dbproxy bench growth talks rows --most 10000 --svg .
  dbproxy bench growth proxies --addr 127.0.0.1:10600 --addr 127.0.0.1:10601
  echo secret | dbproxy bench growth conns --password-stdin --users 1-28000`,
		ValidArgs:   bench.DimensionNames(),
		Annotations: map[string]string{actsItself: "yes"},
	}
	g := growing{benching: benching{cmd: c}}
	g.flags(bench.GrowthDefaults(), "list the dimensions that the other flags leave")
	f := c.Flags()
	f.Lookup("addr").Usage += ", which only proxies loads"
	f.IntVar(&g.most, "most", 0, "leave out points above `n`")
	f.StringVar(&g.svg, "svg", "", "write a picture of each dimension into a `directory`")
	_ = c.MarkFlagDirname("svg") // fails only without the flag
	c.RunE = func(_ *cobra.Command, args []string) error {
		g.open()
		return g.run(c.Context(), args)
	}
	return c
}

// run lists or measures the dimensions with these names.
func (g *growing) run(ctx context.Context, names []string) error {
	if err := g.read(false); err != nil {
		return err
	}
	dims, skipped, err := bench.Dimensions(names, &g.Options, g.most)
	for _, text := range skipped {
		g.say("%s", text)
	}
	if err != nil {
		return err
	}
	if g.list {
		return g.showDimensions(dims)
	}
	if err := g.CheckGrowth(); err != nil {
		return err
	}
	if g.svg != "" {
		if err := os.MkdirAll(g.svg, 0o777); err != nil {
			return err
		}
	}
	if err := g.begin(ctx); err != nil {
		return err
	}
	var takes time.Duration
	texts := 0
	for i := range dims {
		takes += dims[i].Takes(&g.Options)
		texts += dims[i].Writes()
	}
	g.say("it takes %v at least, and longer by what it takes to write up to %s texts", takes,
		bench.Digits(float64(texts)))
	all, err := bench.Grow(ctx, g.Options, origin(), dims, g.show)
	if err != nil {
		return errors.Join(g.conclude(all), g.explain(err))
	}
	return errors.Join(g.conclude(all), g.draw(all), all.Err())
}

// showDimensions lists dimensions, and what they cost.
func (g *growing) showDimensions(dims []bench.Dimension) error {
	if g.json {
		return g.writeJSON(dims)
	}
	table := terminal.Table{{"dimension", "from", "to", "takes", "texts", "requests"}}
	for i := range dims {
		d := &dims[i]
		table = append(table, []string{d.Name, bench.Digits(float64(d.Points[0])),
			bench.Digits(float64(d.Points[len(d.Points)-1])), d.Takes(&g.Options).String(),
			bench.Digits(float64(d.Writes())), strings.Join(d.Kinds(), ", ")})
	}
	err := table.Write(g.out)
	_, more := fmt.Fprintln(g.out)
	units := make(terminal.Table, len(dims))
	for i := range dims {
		units[i] = []string{dims[i].Name, dims[i].Unit}
	}
	return errors.Join(err, more, units.Write(g.out))
}

// show prints the last point of a dimension.
func (g *growing) show(d *bench.Grown) (err error) {
	if g.json {
		return nil
	}
	if len(d.Points) == 1 {
		err = d.WriteHead(g.out)
	}
	return errors.Join(err, d.WriteLast(g.out))
}

// conclude prints what is still to be shown of what was measured.
func (g *growing) conclude(all *bench.Growth) error {
	if !g.json {
		return g.wrap(all.WriteLeftOut)
	}
	return g.writeJSON(all)
}

// draw writes a picture of each dimension, if pictures are wanted.
func (g *growing) draw(all *bench.Growth) error {
	if g.svg == "" {
		return nil
	}
	for _, d := range all.Dimensions {
		path := filepath.Join(g.svg, d.Name+".svg")
		if err := os.WriteFile(path, []byte(d.SVG()), 0o666); err != nil {
			return err
		}
		g.say("%s", path)
	}
	return nil
}
