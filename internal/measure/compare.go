package measure

import (
	"fmt"
	"math"
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// Compare says whether the new runs do worse than those of the base: recover more slowly, fail more often, or lose more
// writes. docs/compare.md gives the rules.
func Compare(base, next []drill.Trial) drill.Comparison {
	c := drill.Comparison{FormatVersion: drill.FormatVersion, Base: runSet(base), New: runSet(next)}
	c.Recovery = compareRecovery(base, next)
	if c.Base.Measured > 0 && c.New.Measured > 0 {
		p, smallest := fisher(c.Base.Failed, c.Base.Measured, c.New.Failed, c.New.Measured)
		c.Failures = &drill.FisherTest{P: p, SmallestP: smallest}
	}
	if b, n := lostWrites(base), lostWrites(next); len(b) > 0 && len(n) > 0 {
		c.LostWrites = rankReport(b, n)
	}
	judgeComparison(&c, base, next)
	if text := definitions(base, next); text != "" {
		c.Text = append(c.Text, text)
	}
	return c
}

// definitions warns of recovery times that do not compare, because they were measured by different definitions.
func definitions(base, next []drill.Trial) string {
	b, n := older(base), older(next)
	if b+n == 0 || b+n == len(recoveries(base))+len(recoveries(next)) {
		return ""
	}
	return fmt.Sprintf("The recovery times do not compare: %d of BASE and %d of NEW were measured by the definition of format 1, in which any single late answer moved the recovery, "+
		"and the others by that of format %s, in which an outage is more than a blip. What differs may be the definition. "+
		"drill report RUN --recompute --format json computes such a run again, by the present one.", b, n, drill.FormatVersion)
}

// older counts the recovery times that were measured by the definition of format 1.
func older(trials []drill.Trial) int {
	n := 0
	for _, t := range trials {
		if t.Counts() && t.Older() {
			n++
		}
	}
	return n
}

func runSet(trials []drill.Trial) drill.RunSet {
	s := drill.RunSet{Runs: []string{}, Drills: []string{}, Statistics: Statistics(trials)}
	lost := 0
	for _, t := range trials {
		s.Runs = append(s.Runs, t.Run)
		if !t.Verdict.Measured() {
			continue
		}
		s.Measured++
		if t.Failed() {
			s.Failed++
		}
		if t.Lost != nil {
			lost += *t.Lost
			s.LostWrites = &lost
			if *t.Lost > 0 {
				s.LostIn++
			}
		}
	}
	return s
}

func compareRecovery(base, next []drill.Trial) *drill.RankTest {
	b, n := recoveries(base), recoveries(next)
	if len(b) == 0 || len(n) == 0 {
		return nil
	}
	r := rankReport(b, n)
	estimate, bounds := shift(b, n)
	r.Shift = new(drill.Seconds(estimate))
	if bounds != nil {
		r.ShiftBounds = &drill.Bounds{Lower: drill.Seconds(bounds[0]), Upper: drill.Seconds(bounds[1])}
	}
	r.MedianDifference = new(drill.Seconds(difference(float64(*Statistics(base).Median), float64(*Statistics(next).Median))))
	r.Resolution = new(resolution(slices.Concat(base, next)))
	return r
}

func rankReport(base, next []float64) *drill.RankTest {
	t := rankTest(base, next)
	return &drill.RankTest{BaseN: len(base), NewN: len(next), U: t.u, P: t.p, SmallestP: t.smallest, Exact: t.exact,
		Worse: t.u / float64(len(base)*len(next))}
}

// recoveries are the recovery times of the runs that have one.
func recoveries(trials []drill.Trial) []float64 {
	var all []float64
	for _, t := range trials {
		if t.Counts() {
			all = append(all, float64(t.Recovery.Estimate))
		}
	}
	return all
}

func lostWrites(trials []drill.Trial) []float64 {
	var all []float64
	for _, t := range trials {
		if t.Verdict.Measured() && t.Lost != nil {
			all = append(all, float64(*t.Lost))
		}
	}
	return all
}

// resolution is half the width of the typical error bar.
func resolution(trials []drill.Trial) drill.Seconds {
	var halves []drill.Seconds
	for _, t := range trials {
		if t.Counts() && t.Recovery.Upper != drill.Never() {
			halves = append(halves, (t.Recovery.Upper-t.Recovery.Lower)/2)
		}
	}
	if len(halves) == 0 {
		return 0
	}
	slices.Sort(halves)
	return median(halves)
}

// alike reports whether no new run is slower, by more than a resolution, than the base's run of the same rank: then the
// two sets differ by less than one run can tell, however often that is seen.
func alike(base, next []float64, within drill.Seconds) bool {
	slices.Sort(base)
	slices.Sort(next)
	for i, v := range next {
		b := base[(2*i+1)*len(base)/(2*len(next))]
		if difference(b, v) > float64(within) {
			return false
		}
	}
	return true
}

// judgeComparison finds the result. Each question may raise a false alarm, so the doubt is divided among those that could
// be answered with yes at all (after Tarone): where nothing failed and nothing was lost, all of it is recovery's.
func judgeComparison(c *drill.Comparison, base, next []drill.Trial) {
	said := func(format string, args ...any) { c.Text = append(c.Text, fmt.Sprintf(format, args...)) }
	least := 1.0 // the smallest p that any of the questions can have
	for _, smallest := range smallestPs(c) {
		if open(smallest) {
			c.Tests++
		}
		least = min(least, smallest)
	}
	seen := func(p, smallest float64) bool { return open(p*float64(c.Tests)) && open(smallest) }
	regressed := false
	if r := c.Recovery; r != nil && seen(r.P, r.SmallestP) {
		if alike(recoveries(base), recoveries(next), *r.Resolution) {
			said("NEW is slower (%s), by less than the error bar of one run, %s: that is none.", pText(r.P), say(*r.Resolution))
		} else {
			regressed = true
			said("NEW recovers more slowly than BASE%s: %s.", slower(r), pText(r.P))
		}
	}
	if f := c.Failures; f != nil && seen(f.P, f.SmallestP) {
		regressed = true
		said("NEW fails more often than BASE, in %d of %d runs against %d of %d: %s.", c.New.Failed, c.New.Measured, c.Base.Failed, c.Base.Measured, pText(f.P))
	}
	if l := c.LostWrites; l != nil && seen(l.P, l.SmallestP) {
		regressed = true
		said("NEW loses more writes than BASE, %d in %s against %d in %s: %s.", *c.New.LostWrites, plural(l.NewN, "run"),
			*c.Base.LostWrites, plural(l.BaseN, "run"), pText(l.P))
	}
	switch {
	case regressed:
		c.Result = drill.ComparedRegression
	case c.Tests == 0 || !open(least*float64(c.Tests)):
		c.Result = drill.ComparedTooLittle
		c.Text = append(c.Text, tooLittle(c))
	default:
		c.Result = drill.ComparedNoEvidence
		said("There is no evidence that NEW does worse.")
		if r := c.Recovery; r != nil && r.ShiftBounds != nil && r.ShiftBounds.Upper > 0 {
			said("That it recovers up to %s more slowly cannot be ruled out either (95 %% confidence).", say(r.ShiftBounds.Upper))
		}
		c.Text = append(c.Text, couldTell(c))
	}
}

// open reports whether a p is small enough for a claim, whatever adding up has done to its last digits.
func open(p float64) bool {
	const rounding = 1e-9
	return p < doubt-rounding
}

// smallestPs are the least p that each question can have, with its ties; of those that can be asked.
func smallestPs(c *drill.Comparison) []float64 {
	var all []float64
	if c.Recovery != nil {
		all = append(all, c.Recovery.SmallestP)
	}
	if c.Failures != nil {
		all = append(all, c.Failures.SmallestP)
	}
	if c.LostWrites != nil {
		all = append(all, c.LostWrites.SmallestP)
	}
	return all
}

// tooLittle says why these runs could not have shown anything.
func tooLittle(c *drill.Comparison) string {
	baseN, newN := counting(c.Base), counting(c.New)
	switch {
	case c.Recovery == nil:
		return fmt.Sprintf("There is nothing to compare: BASE has %s that measured a recovery, and NEW %d.", plural(baseN, "run"), newN)
	case open(leastP(baseN, newN) * float64(max(1, c.Tests))):
		return fmt.Sprintf("Too many of the %d against %d recovery times are alike: with such ties the smallest possible p is %s, and no claim can be made.",
			baseN, newN, number(c.Recovery.SmallestP))
	}
	return fmt.Sprintf("With %d against %d the smallest possible p is %s: no claim can be made. 4 against 4 are enough for one question, 5 against 5 for all.",
		baseN, newN, number(c.Recovery.SmallestP))
}

// couldTell says what the recovery times could have shown.
func couldTell(c *drill.Comparison) string {
	baseN, newN := counting(c.Base), counting(c.New)
	switch r := c.Recovery; {
	case r == nil:
		return fmt.Sprintf("Of the recovery nothing can be said: BASE has %s that measured it, and NEW %d.", plural(baseN, "run"), newN)
	case !open(r.SmallestP):
		return fmt.Sprintf("Of the recovery nothing can be said: with %d against %d, and their ties, the smallest possible p is %s.", baseN, newN, number(r.SmallestP))
	default:
		return fmt.Sprintf("With %d against %d the smallest possible p is %s.", baseN, newN, number(r.SmallestP))
	}
}

// counting is how many recovery times a set has.
func counting(s drill.RunSet) int {
	if s.Statistics == nil {
		return 0
	}
	return s.Statistics.N
}

// slower says by how much, where that can be said.
func slower(r *drill.RankTest) string {
	switch {
	case *r.Shift == drill.Never():
		return ", if at all"
	case *r.Shift <= *r.Resolution:
		return " in some of its runs"
	}
	text := fmt.Sprintf(" by %s", say(*r.Shift))
	if r.ShiftBounds != nil && !math.IsInf(float64(r.ShiftBounds.Upper), 0) && !math.IsInf(float64(r.ShiftBounds.Lower), 0) {
		text += fmt.Sprintf(" (95 %% confidence: %s to %s)", say(r.ShiftBounds.Lower), say(r.ShiftBounds.Upper))
	}
	return text
}

func pText(p float64) string { return "p = " + number(p) }

// number writes a probability with two digits that count.
func number(p float64) string { return fmt.Sprintf("%.2g", p) }
