package measure

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// trials are runs that passed, with these recoveries.
func trials(recoveries ...float64) []drill.Trial {
	var all []drill.Trial
	for _, s := range recoveries {
		t := drill.Trial{Verdict: drill.VerdictPassed, Outcome: drill.OutcomeFailedOver,
			Recovery: &drill.Estimate{Estimate: drill.Seconds(s), Lower: drill.Seconds(s - 0.25), Upper: drill.Seconds(s + 0.5)}}
		switch {
		case s == 0:
			t.Outcome, t.Recovery.Lower = drill.OutcomeNoImpact, 0
		case math.IsInf(s, 1):
			t.Verdict, t.Outcome, t.Recovery.Lower = drill.VerdictFailed, drill.OutcomeNotRecovered, 60
		}
		all = append(all, t)
	}
	return all
}

func counted(n int) []float64 {
	var all []float64
	for i := range n {
		all = append(all, float64(n-i)) // the slowest first: order must not matter
	}
	return all
}

// TestStatistics is the whole table of what several runs say.
func TestStatistics(t *testing.T) {
	never := math.Inf(1)
	for name, tc := range map[string]struct {
		recoveries        []float64
		mean              *float64
		median, p90, max  float64 // p90 0: there is none
		lower, upper      float64 // of the median
		neverBack, failed int
		text              string
	}{
		"one": {[]float64{12}, new(12.0), 12, 0, 12, 11.75, 12.5, 0, 0, "1 clean run still leaves a 95 % failure probability at 95 % confidence."},
		"an even number": {[]float64{40, 10, 30, 20}, new(25.0), 25, 0, 40, 24.75, 25.5, 0, 0,
			"4 clean runs still leave a 53 % failure probability at 95 % confidence. A p90 takes 10 runs."},
		"nine have no p90 but their maximum": {counted(9), new(5.0), 5, 0, 9, 4.75, 5.5, 0, 0,
			"9 clean runs still leave a 28 % failure probability at 95 % confidence. A p90 takes 10 runs."},
		"ten":    {counted(10), new(5.5), 5.5, 9, 10, 5.25, 6, 0, 0, "10 clean runs still leave a 26 % failure probability at 95 % confidence."},
		"eleven": {counted(11), new(6.0), 6, 10, 11, 5.75, 6.5, 0, 0, "11 clean runs still leave a 24 % failure probability at 95 % confidence."},
		"twelve": {counted(12), new(6.5), 6.5, 11, 12, 6.25, 7, 0, 0, "12 clean runs still leave a 22 % failure probability at 95 % confidence."},
		"twenty-nine": {counted(29), new(15.0), 15, 27, 29, 14.75, 15.5, 0, 0,
			"29 clean runs still leave a 9.8 % failure probability at 95 % confidence. At 95 % confidence, 9 of 10 runs recover no later than the slowest of these."},
		"one of three never": {[]float64{10, never, 20}, new(15.0), 20, 0, never, 19.75, 20.5, 1, 1,
			"1 of 3 runs failed: at 95 % confidence the failure probability is at most 86 %. A p90 takes 10 runs."},
		"half never": {[]float64{10, never}, new(10.0), never, 0, never, (9.75 + 60) / 2, never, 1, 1,
			"1 of 2 runs failed: at 95 % confidence the failure probability is at most 97 %. A p90 takes 10 runs."},
		"never at all": {[]float64{never, never}, nil, never, 0, never, 60, never, 2, 2, "All 2 runs failed. A p90 takes 10 runs."},
		"no outage":    {[]float64{0, 0, 3}, new(1.0), 0, 0, 3, 0, 0.5, 0, 0, "3 clean runs still leave a 63 % failure probability at 95 % confidence. A p90 takes 10 runs."},
	} {
		t.Run(name, func(t *testing.T) {
			s := Statistics(trials(tc.recoveries...))
			require.Equal(t, len(tc.recoveries), s.N)
			require.Zero(t, s.LeftOut)
			require.Equal(t, tc.neverBack, s.NeverRecovered)
			require.Equal(t, tc.failed, s.Failed)
			if tc.mean == nil {
				require.Nil(t, s.Mean)
			} else {
				require.InDelta(t, *tc.mean, float64(*s.Mean), 1e-9)
			}
			require.Equal(t, drill.Seconds(tc.median), *s.Median)
			require.Equal(t, drill.Bounds{Lower: drill.Seconds(tc.lower), Upper: drill.Seconds(tc.upper)}, *s.MedianBounds)
			require.Equal(t, drill.Seconds(tc.max), *s.Max)
			if tc.p90 == 0 {
				require.Nil(t, s.P90)
			} else {
				require.Equal(t, drill.Seconds(tc.p90), *s.P90)
			}
			require.Equal(t, tc.text, s.Text)
		})
	}
}

// TestWhatMeasuredNothingIsInNoStatistics: a run that was cut short did not recover slowly, it did not recover while
// somebody looked.
func TestWhatMeasuredNothingIsInNoStatistics(t *testing.T) {
	all := trials(10, 20, 99, 99, 99, 99, 99)
	for i, v := range []drill.Verdict{drill.VerdictInvalid, drill.VerdictInterrupted, drill.VerdictError, drill.VerdictRefused, ""} {
		all[2+i].Verdict = v
	}
	s := Statistics(all)
	require.Equal(t, 2, s.N)
	require.Equal(t, 2, s.Measured)
	require.Equal(t, 5, s.LeftOut)
	require.Equal(t, drill.Seconds(20), *s.Max)
	require.InDelta(t, 0.776, s.FailureProbabilityUpper, 0.001, "of two clean runs")
	require.Contains(t, s.Text, "5 trials measured nothing to the end, and are left out.")
	require.Nil(t, Statistics(all[2:]), "nothing is known of nothing")
	require.Nil(t, Statistics(nil))
}

// TestAnAbortedTrialHasFailed: it has no recovery time, and is a failure all the same, as it is to Compare.
func TestAnAbortedTrialHasFailed(t *testing.T) {
	all := with(trials(1, 2, 3, 4, 5, 99), 1, ends(drill.VerdictAborted))
	s := Statistics(all)
	require.Equal(t, []int{6, 1, 1, 5, 0}, []int{s.Measured, s.Failed, s.Aborted, s.N, s.LeftOut})
	require.InDelta(t, 0.582, s.FailureProbabilityUpper, 0.0005, "of 1 in 6, by tables; 5 clean runs would leave 0.451")
	require.Equal(t, drill.Seconds(5), *s.Max, "what an aborted run saw is no recovery time")
	require.Equal(t, "1 of 6 runs failed, 1 of them aborted: at 95 % confidence the failure probability is at most 58 %. "+
		"1 run has no recovery time. A p90 takes 10 runs.", s.Text)
	c := Compare(all, trials(1, 2, 3, 4, 5))
	require.Equal(t, []int{s.Measured, s.Failed}, []int{c.Base.Measured, c.Base.Failed}, "one rule")

	s = Statistics(all[5:])
	require.Zero(t, s.N)
	require.Nil(t, s.Median)
	require.Equal(t, 1.0, s.FailureProbabilityUpper)
	require.Equal(t, "The one run was aborted. 1 run has no recovery time.", s.Text)
	require.Equal(t, "All 2 runs failed, 2 of them aborted. 2 runs have no recovery time.", Statistics(append(all[5:], all[5])).Text)

	lost := append(trials(1, 2), drill.Trial{Verdict: drill.VerdictPassed}) // its record was too long, and lost its numbers
	s = Statistics(lost)
	require.Equal(t, []int{3, 0, 2}, []int{s.Measured, s.Failed, s.N})
	require.Contains(t, s.Text, "3 clean runs still leave a 63 % failure probability")
}

// TestTheSlowestOf29: that 9 of 10 runs are no slower than the slowest says something only when that one came back, and
// when the recovery of each is known.
func TestTheSlowestOf29(t *testing.T) {
	const claim = "9 of 10 runs recover no later than the slowest"
	require.Contains(t, Statistics(trials(counted(29)...)).Text, claim)
	require.NotContains(t, Statistics(trials(append(counted(28), math.Inf(1))...)).Text, claim)
	require.NotContains(t, Statistics(with(trials(counted(30)...), 1, ends(drill.VerdictAborted))).Text, claim)
}

// TestStatisticsOfTwoDefinitions: a series that went on while drill was replaced by a newer version says so.
func TestStatisticsOfTwoDefinitions(t *testing.T) {
	all := trials(10, 20, 30)
	require.NotContains(t, Statistics(all).Text, "format 1")
	all[2].Format = drill.FormatVersion
	require.Contains(t, Statistics(all).Text, "The recovery times do not compare: 2 of 3 were measured by the definition of format 1.")
	all[0].Format, all[1].Format = drill.FormatVersion, drill.FormatVersion
	require.NotContains(t, Statistics(all).Text, "format 1")
}

// TestFailureBound compares with tables of the one-sided 95 % bound of Clopper and Pearson, and with its definition:
// with that probability k failures or fewer in n runs are seen 5 times in 100.
func TestFailureBound(t *testing.T) {
	for n, want := range map[int]float64{1: 0.95, 3: 0.632, 6: 0.393, 12: 0.221, 24: 0.117, 59: 0.0495, 299: 0.00997} {
		require.InDelta(t, want, failureBound(0, n), 0.0005, n)
	}
	require.InDelta(t, 0.3942, failureBound(1, 10), 0.0001)
	require.InDelta(t, 0.6066, failureBound(3, 10), 0.0001)
	require.Equal(t, 1.0, failureBound(4, 4))
	for n := 2; n <= 60; n++ {
		for k := range n {
			p := failureBound(k, n)
			tail, term := 0.0, math.Pow(1-p, float64(n))
			for i := 0; i <= k; i++ {
				tail += term
				term *= float64(n-i) / float64(i+1) * p / (1 - p)
			}
			require.InDelta(t, 0.05, tail, 1e-9, "%d of %d", k, n)
		}
	}
}

// TestAReportCoversItsSeries: the statistics of trial k are those of the trials 1 to k, and come out of the recording.
func TestAReportCoversItsSeries(t *testing.T) {
	sc := failover()
	rec := sc.recording()
	alone := Report(rec)
	require.Equal(t, 1, alone.Statistics.N)
	require.Equal(t, alone.Recovery.Estimate.Estimate, *alone.Statistics.Mean)
	require.Nil(t, alone.Statistics.P90)
	require.Equal(t, drill.Bounds{Lower: alone.Recovery.Lower, Upper: alone.Recovery.Upper}, *alone.Statistics.MaxBounds)

	rec.Earlier = trials(1, 100)
	rec.Earlier = append(rec.Earlier, drill.Trial{Verdict: drill.VerdictInvalid})
	rep := Report(rec)
	require.Equal(t, 3, rep.Statistics.N)
	require.Equal(t, 1, rep.Statistics.LeftOut)
	require.Equal(t, rep.Recovery.Estimate.Estimate, *rep.Statistics.Median)
	require.Equal(t, rep, Report(rec), "computed again, it is the same")
	require.Len(t, rec.Earlier, 3, "what was recorded is not touched")

	sc.end_ = &drill.End{Cause: drill.EndInterrupted, Code: "interrupted"}
	rec = sc.recording()
	rep = Report(rec)
	require.Nil(t, rep.Statistics)
	require.Contains(t, rep.Unknown, "statistics")
	rec.Earlier = trials(1)
	rep = Report(rec)
	require.Equal(t, 1, rep.Statistics.N, "the earlier ones still count")
	require.Equal(t, 1, rep.Statistics.LeftOut)
}
