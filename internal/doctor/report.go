package doctor

import (
	"cmp"
	"slices"

	"github.com/teamtalk-go/dbproxy/internal/doctor/finding"
	"github.com/teamtalk-go/dbproxy/internal/doctor/repair"
)

// Finding is all that was found of one kind.
type Finding struct {
	Kind     finding.Kind
	Count    int
	Examples []string // of what was found, at most maxExamples
	Mended   int      // how many of them were mended
	Left     []string // why some were not mended, at most maxExamples
}

// Open reports whether some of it is still there and should not be.
func (f Finding) Open() bool { return f.Kind.Severity() != finding.Note && f.Mended < f.Count }

// Report is what was found, the worst first.
type Report struct {
	Findings []Finding
	Ranges   []repair.Range // the fullest first
}

// Open is how many findings are open.
func (r *Report) Open() (n int) {
	for _, f := range r.Findings {
		if f.Open() {
			n++
		}
	}
	return n
}

// maxExamples is how many examples of a kind are kept.
const maxExamples = 5

// finding returns the finding of a kind. It makes one if there is none yet.
func (r *Report) finding(kind finding.Kind) *Finding {
	i, there := slices.BinarySearchFunc(r.Findings, kind, func(f Finding, kind finding.Kind) int {
		return cmp.Compare(f.Kind, kind)
	})
	if !there {
		r.Findings = slices.Insert(r.Findings, i, Finding{Kind: kind})
	}
	return &r.Findings[i]
}

// add counts one more of a kind.
func (r *Report) add(kind finding.Kind, text string) {
	f := r.finding(kind)
	f.Count++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, text)
	}
}

// addMany counts n more of a kind. text names the first ones, of which there are known.
func (r *Report) addMany(kind finding.Kind, n int, text func(i int) string, known int) {
	if n == 0 {
		return
	}
	f := r.finding(kind)
	f.Count += n
	for i := 0; i < known && len(f.Examples) < maxExamples; i++ {
		f.Examples = append(f.Examples, text(i))
	}
}

// mended notes that n of a kind were mended, and why others were left.
func (r *Report) mended(kind finding.Kind, n int, left []string) {
	f := r.finding(kind)
	f.Mended = min(f.Count, f.Mended+n)
	f.Left = append(f.Left, left[:min(len(left), maxExamples-len(f.Left))]...)
}
