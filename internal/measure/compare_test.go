package measure

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// with changes the last of the trials.
func with(all []drill.Trial, n int, edit func(*drill.Trial)) []drill.Trial {
	for i := range n {
		edit(&all[len(all)-1-i])
	}
	return all
}

func lose(n int) func(*drill.Trial) { return func(t *drill.Trial) { t.Lost = new(n) } }

func ends(v drill.Verdict) func(*drill.Trial) { return func(t *drill.Trial) { t.Verdict = v } }

func TestCompare(t *testing.T) {
	never := math.Inf(1)
	nine := func(by float64) []drill.Trial {
		return trials(10+by, 11+by, 12+by, 13+by, 14+by, 15+by, 16+by, 17+by, 18+by)
	}
	for name, tc := range map[string]struct {
		base, next []drill.Trial
		result     drill.ComparisonResult
		says       string
	}{
		"the same":         {nine(0), nine(0), drill.ComparedNoEvidence, "no evidence that NEW does worse"},
		"clearly slower":   {nine(0), nine(9), drill.ComparedRegression, "NEW recovers more slowly than BASE by 9 s (95 % confidence: 6 s to 12 s): p = 2.1e-05"},
		"faster":           {nine(9), nine(0), drill.ComparedNoEvidence, "no evidence"},
		"a little slower":  {nine(0), nine(1), drill.ComparedNoEvidence, "more slowly cannot be ruled out"},
		"three of each":    {trials(1, 2, 3), trials(4, 5, 6), drill.ComparedTooLittle, "With 3 against 3 the smallest possible p is 0.05: no claim can be made."},
		"four of each":     {trials(1, 2, 3, 4), trials(5, 6, 7, 8), drill.ComparedRegression, "p = 0.014"},
		"one of each":      {trials(1), trials(100), drill.ComparedTooLittle, "smallest possible p is 0.5"},
		"one against many": {trials(100), trials(counted(19)...), drill.ComparedTooLittle, "smallest possible p is 0.05"},
		"nothing at all":   {nil, nine(0), drill.ComparedTooLittle, "nothing to compare: BASE has 0 runs"},
		"never recovered": {nine(0), trials(never, never, never, never, never, never, 10, 11, 12), drill.ComparedRegression,
			"NEW fails more often than BASE, in 6 of 9 runs against 0 of 9: p = 0.0045."},
		"none recovered": {nine(0), trials(never, never, never, never, never, never, never), drill.ComparedRegression, "NEW recovers more slowly than BASE, if at all: p = 8.7e-05."},
		"no outage in either": {trials(0, 0, 0, 0, 0, 0), trials(0, 0, 0, 0, 0, 0), drill.ComparedTooLittle,
			"Too many of the 6 against 6 recovery times are alike: with such ties the smallest possible p is 1, and no claim can be made."},
		"tied but one":        {trials(1, 1, 1, 1), trials(1, 1, 1, 2), drill.ComparedTooLittle, "4 against 4 recovery times are alike: with such ties the smallest possible p is 0.5"},
		"never against never": {trials(never, never, never, never), trials(never, never, never, never), drill.ComparedTooLittle, "smallest possible p is 1"},
		"ties that leave one question": {with(trials(1, 1, 1, 1, 1, 1), 6, lose(0)), with(with(trials(1, 1, 1, 1, 1, 1), 6, lose(0)), 4, lose(9)), drill.ComparedRegression,
			"NEW loses more writes than BASE"},
		"ties, and a question without an alarm": {with(trials(1, 1, 1, 1, 1, 1), 2, ends(drill.VerdictFailed)), with(trials(1, 1, 1, 1, 1, 1), 4, ends(drill.VerdictFailed)), drill.ComparedNoEvidence, "and their ties, the smallest possible p is 1."},
		"quoted with ties":                      {trials(1, 1, 1, 2, 2), trials(1, 1, 1, 2, 2), drill.ComparedNoEvidence, "With 5 against 5 the smallest possible p is 0.024."},
		"nothing measured in NEW":               {nine(0), with(nine(0), 9, ends(drill.VerdictInvalid)), drill.ComparedTooLittle, "BASE has 9 runs that measured a recovery, and NEW 0."},
		"an outage in some": {trials(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), trials(0, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5, 5), drill.ComparedRegression,
			"NEW recovers more slowly than BASE in some of its runs: p = 0.019"},
		"by less than an error bar": {trials(10, 10.01, 10.02, 10.03, 10.04), trials(10.1, 10.11, 10.12, 10.13, 10.14), drill.ComparedNoEvidence,
			"by less than the error bar of one run, 0.375 s"},
		"fails more often": {nine(0), with(nine(0), 6, ends(drill.VerdictFailed)), drill.ComparedRegression,
			"NEW fails more often than BASE, in 6 of 9 runs against 0 of 9: p = 0.0045"},
		"is aborted": {nine(0), with(nine(0), 6, ends(drill.VerdictAborted)), drill.ComparedRegression, "in 6 of 9 runs against 0 of 9"},
		"is invalid": {nine(0), with(nine(0), 6, ends(drill.VerdictInvalid)), drill.ComparedNoEvidence, "With 9 against 3"},
		"all aborted": {nine(0), with(nine(0), 9, ends(drill.VerdictAborted)), drill.ComparedRegression,
			"in 9 of 9 runs against 0 of 9"},
		"loses writes": {with(nine(0), 9, lose(0)), with(with(nine(0), 9, lose(0)), 6, lose(40)), drill.ComparedRegression,
			"NEW loses more writes than BASE, 240 in 9 runs against 0 in 9 runs: p = 0.0045"},
		"loses more":      {with(nine(0), 9, lose(1)), with(nine(0), 9, lose(50)), drill.ComparedRegression, "450 in 9 runs against 9 in 9 runs"},
		"loses no more":   {with(nine(0), 9, lose(3)), with(nine(0), 9, lose(3)), drill.ComparedNoEvidence, "no evidence"},
		"one failure":     {nine(0), with(nine(0), 1, ends(drill.VerdictFailed)), drill.ComparedNoEvidence, "no evidence"},
		"doubt is shared": {with(trials(1, 2, 3, 4, 5), 2, ends(drill.VerdictFailed)), with(with(trials(3.1, 4.1, 5.1, 6.1, 7.1), 3, ends(drill.VerdictFailed)), 5, lose(0)), drill.ComparedNoEvidence, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := Compare(tc.base, tc.next)
			require.Equal(t, tc.result, c.Result, "%v", c.Text)
			if tc.says != "" {
				text := ""
				for _, s := range c.Text {
					text += s + " "
				}
				require.Contains(t, text, tc.says)
			}
			require.NotEmpty(t, c.Text)
			raw, err := json.Marshal(c)
			require.NoError(t, err)
			var back drill.Comparison
			require.NoError(t, json.Unmarshal(raw, &back))
			require.Equal(t, c.Result, back.Result)
		})
	}
}

func TestCompareNamesItsNumbers(t *testing.T) {
	base, next := trials(10, 11, 12, 13), trials(20, 21, 22, math.Inf(1))
	base[0].Run, next[0].Run = "a", "b"
	c := Compare(base, next)
	r := c.Recovery
	require.Equal(t, 16.0, r.U)
	require.Equal(t, 1.0, r.Worse, "a new run is slower, whichever are picked")
	require.InDelta(t, 1.0/70, r.P, 1e-12)
	require.Equal(t, r.P, r.SmallestP)
	require.Equal(t, drill.Seconds(10), *r.MedianDifference)
	require.Equal(t, drill.Seconds(10), *r.Shift)
	require.Equal(t, drill.Seconds(7), r.ShiftBounds.Lower)
	require.Equal(t, drill.Never(), r.ShiftBounds.Upper)
	require.Equal(t, 1, c.Tests, "of failures and lost writes there is nothing to ask")
	require.Equal(t, []string{"a", "", "", ""}, c.Base.Runs)
	require.Equal(t, 1, c.New.Failed)
	require.Equal(t, 4, c.New.Statistics.N)
	require.Nil(t, c.LostWrites)

	c = Compare(next, base)
	require.Equal(t, 0.0, c.Recovery.Worse)
	require.Equal(t, drill.ComparedNoEvidence, c.Result)
	raw, err := json.Marshal(Compare(trials(math.Inf(1), math.Inf(1), math.Inf(1), math.Inf(1)), base))
	require.NoError(t, err, "a difference may be minus infinity")
	require.Contains(t, string(raw), `"shift_seconds":"-Inf"`)
}

// TestFalseAlarms compares a system with itself, over and over. In 5 of 100 comparisons an alarm may be false; a rule on
// the mean, as dashboards have it, gives many more.
func TestFalseAlarms(t *testing.T) {
	r := rand.New(rand.NewPCG(2026, 11))
	const comparisons = 1500
	run := func() drill.Trial {
		s := 10 + 5*r.ExpFloat64() // skewed, as recoveries are
		one := trials(s)[0]
		if r.Float64() < 0.2 {
			one = trials(0)[0]
		}
		if s > 22 {
			one.Verdict = drill.VerdictFailed
		}
		one.Lost = new(0)
		if r.Float64() < 0.3 {
			*one.Lost = r.IntN(50)
		}
		return one
	}
	alarms, byMean := 0, 0
	for range comparisons {
		var base, next []drill.Trial
		for range 9 {
			base, next = append(base, run()), append(next, run())
		}
		c := Compare(base, next)
		if c.Result == drill.ComparedRegression {
			alarms++
		}
		if *c.New.Statistics.Mean > 1.1**c.Base.Statistics.Mean {
			byMean++
		}
	}
	t.Logf("%d of %d comparisons of a system with itself raised an alarm; by the rule of a mean that is 10 %% higher %d", alarms, comparisons, byMean)
	require.LessOrEqual(t, alarms, comparisons*5/100)
	require.Greater(t, byMean, comparisons*20/100)
}

// TestItSeesWhatThereIs: half as long again is found most of the time.
func TestItSeesWhatThereIs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	seen := 0
	for range 500 {
		var base, next []float64
		for range 12 {
			base, next = append(base, 10+3*r.ExpFloat64()), append(next, 15+4.5*r.ExpFloat64())
		}
		if Compare(trials(base...), trials(next...)).Result == drill.ComparedRegression {
			seen++
		}
	}
	require.Greater(t, seen, 450)
}

// TestComparedDefinitions: runs of both formats are compared, and the reader told that they do not compare.
func TestComparedDefinitions(t *testing.T) {
	old, next := trials(10, 11, 12, 13), trials(20, 21, 22, 23)
	for i := range next {
		old[i].Format, next[i].Format = "1", "2"
	}
	last := func(c drill.Comparison) string { return c.Text[len(c.Text)-1] }
	mixed := Compare(old, next)
	require.Equal(t, drill.ComparedRegression, mixed.Result, "the numbers are what they are")
	require.Contains(t, last(mixed), "The recovery times do not compare: 4 of BASE and 0 of NEW were measured by the definition of format 1")
	require.Contains(t, last(mixed), "drill report RUN --recompute --format json")
	require.Contains(t, last(Compare(append(next[:2:2], old[0]), next[2:])), "1 of BASE and 0 of NEW")

	for name, c := range map[string]drill.Comparison{"both old": Compare(old[:2], old[2:]), "both new": Compare(next[:2], next[2:])} {
		require.NotContains(t, last(c), "format 1", name)
	}
	old[0].Format = ""
	require.NotContains(t, last(Compare(old[:2], old[2:])), "format 1", "what names no format is of the first")
	cut := with(old, 4, ends(drill.VerdictAborted))
	require.NotContains(t, last(Compare(append(cut, next[:2]...), next[2:])), "format 1", "a run without a recovery time has none to compare")
}
