package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// compared says in a word or two what a comparison came to.
var compared = map[drill.ComparisonResult]struct {
	text string
	ink  ink
}{
	drill.ComparedRegression: {"REGRESSION", red},
	drill.ComparedNoEvidence: {"NO EVIDENCE OF A REGRESSION", green},
	drill.ComparedTooLittle:  {"TOO LITTLE TO COMPARE", yellow},
}

// Comparison writes a comparison for people, the result first.
func Comparison(w io.Writer, c drill.Comparison, o Style) error {
	p := &page{style: o}
	result := compared[c.Result]
	p.line(p.style.paint(result.text, bold, result.ink))
	for _, text := range c.Text {
		for _, l := range wrap(text, width-2) {
			p.line("  ", l)
		}
	}
	p.sets(c)
	if r := c.Recovery; r != nil {
		p.section("Is NEW slower?")
		p.row("median differs", signed(*r.MedianDifference))
		shift := signed(*r.Shift)
		if b := r.ShiftBounds; b != nil {
			shift += fmt.Sprintf(", at 95 %% confidence from %s to %s", signed(b.Lower), signed(b.Upper))
		}
		p.row("shift", shift+" (Hodges-Lehmann)")
		p.row("chance", fmt.Sprintf("a run of NEW is slower than one of BASE with %.0f %%", 100*r.Worse))
		p.rank(r)
		p.row("one run tells", fmt.Sprintf("± %s, typically", seconds(*r.Resolution)))
	}
	if f := c.Failures; f != nil {
		p.section("Does NEW fail more often?")
		p.row("p", probability(f.P)+", by Fisher's exact test, one-sided")
	}
	if r := c.LostWrites; r != nil {
		p.section("Does NEW lose more writes?")
		p.rank(r)
	}
	if c.Tests > 1 {
		p.line()
		p.row("", fmt.Sprintf("%d questions share the 5 %% of false alarms: a p below %s counts.", c.Tests, probability(0.05/float64(c.Tests))))
	}
	return p.to(w)
}

// sets puts the two sets side by side.
func (p *page) sets(c drill.Comparison) {
	const column = 34
	row := func(name, base, next string) {
		p.line("    ", p.style.paint(pad(name, label), dim), pad(clean(base), column), "  ", pad(clean(next), column))
	}
	p.line()
	p.line("    ", strings.Repeat(" ", label), p.style.paint(pad("BASE", column), bold), "  ", p.style.paint("NEW", bold))
	row("of", c.Base.Name, c.New.Name)
	row("drill", strings.Join(c.Base.Drills, ", "), strings.Join(c.New.Drills, ", "))
	each := func(name string, value func(drill.RunSet) string) { row(name, value(c.Base), value(c.New)) }
	each("runs", func(s drill.RunSet) string {
		if out := len(s.Runs) - s.Measured; out > 0 {
			return fmt.Sprintf("%d, and %d that measured nothing", s.Measured, out)
		}
		return strconv.Itoa(s.Measured)
	})
	known := func(value func(*drill.StatisticsReport) string) func(drill.RunSet) string {
		return func(s drill.RunSet) string {
			if s.Statistics == nil || s.Statistics.N == 0 {
				return "–"
			}
			return value(s.Statistics)
		}
	}
	each("median", known(func(s *drill.StatisticsReport) string { return withBounds(*s.Median, s.MedianBounds) }))
	each("max", known(func(s *drill.StatisticsReport) string { return withBounds(*s.Max, s.MaxBounds) }))
	each("mean", known(func(s *drill.StatisticsReport) string {
		if s.Mean == nil {
			return "–"
		}
		if s.NeverRecovered > 0 {
			return fmt.Sprintf("%s, of %d that recovered", seconds(*s.Mean), s.N-s.NeverRecovered)
		}
		return seconds(*s.Mean)
	}))
	each("failed", func(s drill.RunSet) string { return fmt.Sprintf("%d of %d", s.Failed, s.Measured) })
	each("lost writes", func(s drill.RunSet) string {
		switch {
		case s.LostWrites == nil:
			return "–"
		case *s.LostWrites == 0:
			return "none"
		}
		return fmt.Sprintf("%d, in %s", *s.LostWrites, plural(s.LostIn, "run"))
	})
}

func (p *page) rank(r *drill.RankTest) {
	how := "every arrangement of the ranks counted"
	if !r.Exact {
		how = "normal approximation"
	}
	p.row("p", fmt.Sprintf("%s, by a one-sided rank test (Mann-Whitney), %s", probability(r.P), how))
}

// probability writes a p with two digits that count.
func probability(p float64) string { return fmt.Sprintf("%.2g", p) }

// signed writes a difference.
func signed(s drill.Seconds) string {
	switch {
	case math.IsInf(float64(s), 0):
		return map[bool]string{true: "for ever slower", false: "for ever faster"}[s > 0]
	case s > 0:
		return seconds(s) + " slower"
	case s < 0:
		return seconds(-s) + " faster"
	}
	return "0 s"
}
