package measure

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/failoverdrill/drill/internal/drill"
)

const (
	// leastForP90 is from how many runs on a p90 says something that the maximum does not.
	leastForP90 = 10
	// leastForMax is from how many runs on the slowest is at least the true p90 with 95 % confidence: 1 − 0.9^29 > 0.95.
	leastForMax = 29
	// doubt is how often a claim may be wrong.
	doubt = 0.05
)

// Statistics says what the trials of a series allow one to claim (MEASURING.md, "Statistics"); nil when none of them
// measured anything. A trial without an outage counts as recovered at once: the truth lies between that and its upper
// bound. One that never recovered is slower than any other, and in no mean. One that was aborted has failed, and has no
// recovery time: it was ended before there could be one.
func Statistics(trials []drill.Trial) *drill.StatisticsReport {
	s := &drill.StatisticsReport{}
	var estimates, lowers, uppers []drill.Seconds
	var sum drill.Seconds
	older := 0
	for _, t := range trials {
		switch {
		case !t.Verdict.Measured():
			s.LeftOut++
			continue
		case t.Verdict == drill.VerdictAborted:
			s.Aborted++
		}
		s.Measured++
		if t.Failed() {
			s.Failed++
		}
		if !t.Counts() {
			continue
		}
		s.N++
		if t.Older() {
			older++
		}
		if t.Outcome == drill.OutcomeNoImpact {
			s.NoImpact++
		}
		if t.Recovery.Estimate == drill.Never() {
			s.NeverRecovered++
		} else {
			sum += t.Recovery.Estimate
		}
		estimates = append(estimates, t.Recovery.Estimate)
		lowers = append(lowers, t.Recovery.Lower)
		uppers = append(uppers, t.Recovery.Upper)
	}
	if s.Measured == 0 {
		return nil
	}
	s.FailureProbabilityUpper = failureBound(s.Failed, s.Measured)
	recoveryTimes(s, estimates, lowers, uppers, sum)
	s.Text = allows(s)
	if older > 0 && older < s.N {
		s.Text += fmt.Sprintf(" The recovery times do not compare: %d of %d were measured by the definition of format 1.", older, s.N)
	}
	return s
}

// recoveryTimes fills in what the recovery times say, if there are any.
func recoveryTimes(s *drill.StatisticsReport, estimates, lowers, uppers []drill.Seconds, sum drill.Seconds) {
	if s.N == 0 {
		return
	}
	slices.Sort(estimates)
	slices.Sort(lowers)
	slices.Sort(uppers)
	if back := s.N - s.NeverRecovered; back > 0 {
		s.Mean = new(sum / drill.Seconds(back))
	}
	s.Median, s.Max = new(median(estimates)), new(estimates[s.N-1])
	s.MedianBounds = &drill.Bounds{Lower: median(lowers), Upper: median(uppers)}
	s.MaxBounds = &drill.Bounds{Lower: lowers[s.N-1], Upper: uppers[s.N-1]}
	if s.N >= leastForP90 {
		// The nearest rank: a run that there was, and no point between two.
		s.P90 = new(estimates[(9*s.N+9)/10-1])
	}
}

// median is the middle of sorted values, or the mean of the two in the middle.
func median(sorted []drill.Seconds) drill.Seconds {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// failureBound is the highest failure probability that k failures in n runs leave possible at 95 % confidence: the exact
// one-sided bound of Clopper and Pearson.
func failureBound(k, n int) float64 {
	switch k {
	case 0:
		return 1 - math.Pow(doubt, 1/float64(n))
	case n:
		return 1
	}
	return distuv.Beta{Alpha: float64(k + 1), Beta: float64(n - k)}.Quantile(1 - doubt)
}

// allows says what so many runs allow one to claim.
func allows(s *drill.StatisticsReport) string {
	var said []string
	add := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	bound, aborted := percent(s.FailureProbabilityUpper), ""
	if s.Aborted > 0 {
		aborted = fmt.Sprintf(", %d of them aborted", s.Aborted)
	}
	switch {
	case s.Measured == 1 && s.Aborted == 1:
		add("The one run was aborted.")
	case s.Measured == 1 && s.Failed == 1:
		add("The one run failed.")
	case s.Failed == s.Measured:
		add("All %d runs failed%s.", s.Measured, aborted)
	case s.Failed > 0:
		add("%d of %d runs failed%s: at 95 %% confidence the failure probability is at most %s.", s.Failed, s.Measured, aborted, bound)
	case s.Measured == 1:
		add("1 clean run still leaves a %s failure probability at 95 %% confidence.", bound)
	default:
		add("%d clean runs still leave a %s failure probability at 95 %% confidence.", s.Measured, bound)
	}
	switch without := s.Measured - s.N; {
	case without == 1:
		add("1 run has no recovery time.")
	case without > 1:
		add("%d runs have no recovery time.", without)
	case s.N >= leastForMax && *s.Max != drill.Never():
		add("At 95 %% confidence, 9 of 10 runs recover no later than the slowest of these.")
	}
	if s.N > 1 && s.N < leastForP90 {
		add("A p90 takes %d runs.", leastForP90)
	}
	switch {
	case s.LeftOut == 1:
		add("1 trial measured nothing to the end, and is left out.")
	case s.LeftOut > 1:
		add("%d trials measured nothing to the end, and are left out.", s.LeftOut)
	}
	return strings.Join(said, " ")
}

func percent(p float64) string {
	if p < 0.0995 {
		return fmt.Sprintf("%.1f %%", 100*p)
	}
	return fmt.Sprintf("%.0f %%", 100*p)
}
