package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/admin"
	"github.com/teamtalk-go/dbproxy/internal/doctor"
	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/tryout/terminal"
)

// reportWidth is how many cells a line of a report may take.
const reportWidth = 80

// writeReport prints a report for people: first what it means, then each finding.
func writeReport(w io.Writer, report *doctor.Report, e *examining, complete bool) error {
	var b strings.Builder
	style := terminal.NewStyle(w)
	said := terminal.Indent(conclusion(report, e, complete), "", reportWidth)
	if report.Open() > 0 {
		said = style.Red(said)
	}
	b.WriteString(said + "\n")
	for _, f := range report.Findings {
		head := terminal.Indent(fmt.Sprintf("%s: %s: %s: %s", f.Kind.Severity(), f.Kind,
			f.Kind.What(), admin.Digits(f.Count)), "", reportWidth)
		if f.Kind.Severity() == finding.Wrong {
			head = style.Red(head)
		}
		b.WriteString(head + "\n")
		for _, example := range f.Examples {
			b.WriteString(terminal.Indent(printable(example), "    ", reportWidth) + "\n")
		}
		if more := f.Count - len(f.Examples); more > 0 {
			fmt.Fprintf(&b, "    … and %s more\n", admin.Digits(more))
		}
		b.WriteString(terminal.Indent(fate(f, e.repair), "  ", reportWidth) + "\n")
		for _, left := range f.Left {
			b.WriteString(terminal.Indent("left: "+printable(left), "  ", reportWidth) + "\n")
		}
	}
	if len(report.Ranges) > 0 {
		r := report.Ranges[0]
		fmt.Fprintf(&b, "Ids used: at most %.0f %% of what a table can give (%s).\n",
			math.Ceil(100*r.Share), r.Table)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// conclusion says what a report means, and what to do. A report that is not complete cannot say
// that nothing is wrong.
func conclusion(report *doctor.Report, e *examining, complete bool) string {
	found := "Something is wrong: "
	if e.original {
		found = "An original server may not take over yet: "
	}
	found += kindsOf(report.Open()) + " (" + strings.Join(open(report), ", ") + ")."
	switch {
	case !complete && report.Open() > 0:
		return found + " Not everything was looked at."
	case !complete:
		return "Not everything was looked at; nothing was wrong until then."
	case report.Open() > 0 && e.repair:
		return found + " It was left as it is; docs/doctor.md says why."
	case report.Open() > 0 && mendable(report):
		return found + " \"" + e.repairing() + "\" mends what can be mended without loss."
	case report.Open() > 0:
		return found
	case e.original:
		return "An original server may take over."
	case mended(report):
		return "Nothing is wrong any more: what was repaired is listed below. What an earlier " +
			"run showed besides was right again once that was repaired."
	default:
		return "Nothing is wrong."
	}
}

// mendable reports whether a repair would do anything.
func mendable(report *doctor.Report) bool {
	return slices.ContainsFunc(report.Findings, func(f doctor.Finding) bool {
		return f.Kind.Mend() != ""
	})
}

// mended reports whether anything was repaired.
func mended(report *doctor.Report) bool {
	return slices.ContainsFunc(report.Findings, func(f doctor.Finding) bool { return f.Mended > 0 })
}

// open returns the kinds of the findings that are still wrong.
func open(report *doctor.Report) (kinds []string) {
	for _, f := range report.Findings {
		if f.Open() {
			kinds = append(kinds, f.Kind.String())
		}
	}
	return kinds
}

// fate says what a repair would do about a finding, or has done.
func fate(f doctor.Finding, repaired bool) string {
	switch {
	case f.Kind.Mend() == "":
		return "only reported"
	case repaired:
		return "repaired: " + admin.Digits(f.Mended)
	default:
		return "--repair: " + f.Kind.Mend()
	}
}

// kindsOf says how many findings there are.
func kindsOf(n int) string { return admin.Count(n, "finding") }

// reportedJSON and the others are a report as programs get it. The names of the fields stay as they
// are.
type reportedJSON struct {
	Kind     string   `json:"kind"`
	Severity string   `json:"severity"`
	What     string   `json:"what"`
	Count    int      `json:"count"`
	Examples []string `json:"examples"`
	Repair   string   `json:"repair"`
	Repaired int      `json:"repaired"`
	Left     []string `json:"left"`
	Open     bool     `json:"open"`
}

type rangeJSON struct {
	Table string  `json:"table"`
	Last  int64   `json:"last"`
	Max   int64   `json:"max"`
	Share float64 `json:"share"`
}

type doctorJSON struct {
	Findings []reportedJSON `json:"findings"`
	Ranges   []rangeJSON    `json:"ranges"`
	Complete bool           `json:"complete"`
}

func reportJSON(report *doctor.Report, err error) doctorJSON {
	out := doctorJSON{Findings: []reportedJSON{}, Ranges: []rangeJSON{}, Complete: err == nil}
	for _, f := range report.Findings {
		out.Findings = append(out.Findings, reportedJSON{
			f.Kind.String(), string(f.Kind.Severity()), f.Kind.What(), f.Count, notNil(f.Examples),
			f.Kind.Mend(), f.Mended, notNil(f.Left), f.Open(),
		})
	}
	for _, r := range report.Ranges {
		out.Ranges = append(out.Ranges, rangeJSON(r))
	}
	return out
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
