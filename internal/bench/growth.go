package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Dimension is something that grows, point by point, while all else stays as it is.
type Dimension struct {
	Name   string `json:"name"`
	Unit   string `json:"unit"`   // what its points are numbers of
	Points []int  `json:"points"` // from small to large

	requests []request // those whose cost is measured at each point
	// prepare has the store, and the options of the load, be as a point wants.
	prepare func(ctx context.Context, f *filler, n int) error
	// texts is how many are written for all points into a new store; nil: next to none.
	texts func(points []int) int
}

// request is a kind of request.
type request struct {
	name string
	make func(b *Bench, n int) kind
}

// chainTextCount is how many texts each of the chain's talks is given.
const chainTextCount = 5

// Points of dimensions. Each point of sessions and of rows has users of its own, see Users.
var (
	sessionPoints = []int{1, 3, 10, 30, 100, 300, 1000}
	rowPoints     = []int{10, 100, 1000, 10_000, 100_000, 1_000_000}
)

// dimensions are all there are, in the order in which they are measured.
func dimensions() []Dimension {
	ringLoad := []request{
		{"page", func(b *Bench, _ int) kind { return ringPages(b) }},
		{"text", func(b *Bench, _ int) kind { return ringTexts(b) }},
	}
	login := request{"login", func(b *Bench, _ int) kind { return logins(b) }}
	logged := append(slices.Clone(ringLoad), login)
	return []Dimension{
		{Name: "talks", Unit: "talks with 5 texts each",
			Points:   []int{10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000},
			requests: []request{{"page", chainPages}, {"text", talkTexts}},
			prepare: func(ctx context.Context, f *filler, n int) error {
				f.talks = f.Users.chain(n)
				return f.fill(ctx, f.talks, chainTextCount)
			},
			texts: func(points []int) int { return slices.Max(points) * chainTextCount }},
		{Name: "group-size", Unit: "members of each of 10 groups",
			Points: []int{2, 10, 30, 100, 300, 1000, 3000, memberCount},
			requests: []request{
				{"group-info", func(b *Bench, _ int) kind { return groupInfos(b) }},
				{"group-text", func(b *Bench, _ int) kind { return groupTexts(b) }}},
			prepare: func(ctx context.Context, f *filler, n int) error {
				return f.findGroups(ctx, fmt.Sprintf("%sof %d, ", mark, n), f.Users.sized(n))
			}},
		{Name: "sessions", Unit: "sessions of a user, each with an unread text",
			Points:   slices.Clone(sessionPoints),
			requests: []request{{"recent", hubSessions}, {"unread", hubUnread}},
			prepare: func(ctx context.Context, f *filler, n int) error {
				return f.fill(ctx, f.Users.hubs(hubsOf(n), n), 1)
			},
			texts: func(points []int) int { return sum(points) * hubCount }},
		{Name: "rows", Unit: "rows of one talk",
			Points: slices.Clone(rowPoints),
			requests: []request{
				{"page", func(b *Bench, n int) kind { return b.pages(b.talks, n) }},
				{"page-back", func(b *Bench, n int) kind { return b.pagesBack(b.talks[0], n) }},
				{"text", talkTexts}}, // last, as it adds rows
			prepare: prepareRows, texts: sum},
		{Name: "conns", Unit: "connections with one request in flight each",
			Points:   []int{1, 3, 10, 30, 100, 300, 1000, 3000, 10_000},
			requests: slices.Clone(logged),
			prepare: func(ctx context.Context, f *filler, n int) error {
				f.Conns, f.InFlight = n, 1
				return f.fillRing(ctx)
			}},
		{Name: "inflight", Unit: "requests in flight on each connection",
			Points:   []int{1, 3, 10, 30, 100, 300, 512},
			requests: slices.Clone(logged),
			prepare: func(ctx context.Context, f *filler, n int) error {
				f.InFlight = n
				return f.fillRing(ctx)
			}},
		{Name: "proxies", Unit: "proxies that share a store",
			Points:   []int{1, 2, 3},
			requests: ringLoad,
			prepare:  func(ctx context.Context, f *filler, _ int) error { return f.fillRing(ctx) }},
	}
}

// GrowthDefaults are options that have enough users for all dimensions.
func GrowthDefaults() Options {
	o := Defaults()
	o.Users.Last, o.For = o.Users.First+growthUsers-1, 3*time.Second
	return o
}

// DimensionNames are those of all dimensions.
func DimensionNames() (names []string) {
	for _, d := range dimensions() {
		names = append(names, d.Name)
	}
	return names
}

func sum(points []int) (all int) {
	for _, n := range points {
		all += n
	}
	return all
}

func chainPages(b *Bench, _ int) kind { return b.pages(b.talks, chainTextCount) }
func talkTexts(b *Bench, _ int) kind  { return b.texts(b.talks) }

// hubsOf is the position of the first user who has n sessions.
func hubsOf(n int) int { return hubFirst + hubCount*slices.Index(sessionPoints, n) }

// hubSessions expects the newest 100 at most: servers answer no more.
func hubSessions(b *Bench, n int) kind { return b.sessions(hubsOf(n), hubCount, min(n, 100)) }
func hubUnread(b *Bench, n int) kind   { return b.unread(hubsOf(n), hubCount, n) }

func (f *filler) fillRing(ctx context.Context) error {
	return f.fill(ctx, f.Users.ring(), ringTextCount)
}

// prepareRows takes a talk that has at most twice as many rows as are wanted: what is measured, or
// was in former loads, adds some.
func prepareRows(ctx context.Context, f *filler, n int) error {
	at := rowsFirst + 2*slices.Index(rowPoints, n)
	for ; at < rowsEnd; at += 2 * len(rowPoints) {
		talk := pair{f.Users.at(at), f.Users.at(at + 1)}
		there, err := f.latest(ctx, talk)
		if err != nil {
			return err
		}
		if there <= 2*n {
			f.talks = []pair{talk}
			return f.fill(ctx, f.talks, n)
		}
	}
	return errors.New("all talks for it have grown too much in former loads: take other users")
}
