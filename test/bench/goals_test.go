package bench

import (
	"fmt"

	"github.com/teamtalk-go/dbproxy/internal/bench"
)

// goal is what is wanted of a profile. docs/benchmarks.md says where the goals are from.
type goal struct {
	share float64 // of a yardstick
	of    string  // R, S or P; empty: share is answers a second
	alone float64 // the most milliseconds of the p50, one at a time on one connection; 0: any
	paced float64 // the most milliseconds of the p99, at half the rate that is wanted
}

const (
	pacedRead = 15.0
	pacedSend = 30.0
)

var goals = map[string]goal{
	"page":       {3, "P", 0, pacedRead},
	"page-many":  {2, "P", 0, pacedRead},
	"recent":     {1, "S", 0, pacedRead},
	"recent-100": {2000, "", 0, pacedRead},
	"unread":     {1, "S", 0, pacedRead},
	"unread-100": {3000, "", 0, pacedRead},
	"login":      {0.75, "S", 0.4, pacedRead},
	"tokens":     {0.7, "S", 0, pacedRead},
	"group-info": {1.4, "S", 0, pacedRead},
	"users":      {1.5, "S", 0, pacedRead},
	"text":       {0.15, "R", 1.2, pacedSend},
	"text-32":    {0.29, "R", 0, pacedSend},
	"text-500":   {0.11, "R", 0, pacedSend},
	"group-text": {0.11, "R", 0, pacedSend},
	"mixed":      {0.38, "S", 0, pacedSend},
}

// rate is the goal in answers a second, where the yardsticks are these.
func (g goal) rate(y bench.Yardsticks) float64 {
	switch g.of {
	case "R":
		return g.share * y.Rows
	case "S":
		return g.share * y.Selects
	case "P":
		return g.share * y.Pages
	}
	return g.share
}

// text is the goal for people.
func (g goal) text() string {
	if g.of == "" {
		return bench.Digits(g.share) + "/s"
	}
	return fmt.Sprintf("%.2f %s", g.share, g.of)
}
