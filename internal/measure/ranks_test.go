package measure

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// bruteForce goes through every way to call n of the values new, and counts those in which at least as many pairs are
// won. It shares nothing with the test that it checks.
func bruteForce(base, next []float64) (u, p, smallest float64) {
	all := append(append([]float64{}, base...), next...)
	wins := func(chosen uint) (u float64) {
		for i := range all {
			for j := range all {
				if chosen>>i&1 == 0 || chosen>>j&1 == 1 {
					continue
				}
				switch {
				case all[i] > all[j]:
					u++
				case all[i] == all[j]:
					u += 0.5
				}
			}
		}
		return u
	}
	var observed uint
	for i := range next {
		observed |= 1 << (len(base) + i)
	}
	u = wins(observed)
	total, tail, best, bests := 0.0, 0.0, -1.0, 0.0
	for chosen := uint(0); chosen < 1<<len(all); chosen++ {
		if bits.OnesCount(chosen) != len(next) {
			continue
		}
		total++
		v := wins(chosen)
		if v >= u {
			tail++
		}
		if v > best {
			best, bests = v, 0
		}
		if v == best {
			bests++
		}
	}
	return u, tail / total, bests / total
}

// TestRankTestIsExact: every arrangement is counted, with ties and with runs that never recovered.
func TestRankTestIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 11))
	for m := 1; m <= 6; m++ {
		for n := 1; n <= 6; n++ {
			for _, values := range []int{3, 1000} { // many ties, and hardly any
				base, next := make([]float64, m), make([]float64, n)
				for i := range base {
					base[i] = float64(r.IntN(values))
				}
				for i := range next {
					next[i] = float64(r.IntN(values) + r.IntN(2))
				}
				if m > 2 {
					base[0], next[0] = math.Inf(1), math.Inf(1)
				}
				u, p, smallest := bruteForce(base, next)
				got := rankTest(base, next)
				what := fmt.Sprint(base, next)
				require.True(t, got.exact)
				require.Equal(t, u, got.u, what)
				require.InDelta(t, p, got.p, 1e-12, what)
				require.InDelta(t, smallest, got.smallest, 1e-12, what)
			}
		}
	}
}

// TestRankTestReferences are examples from the documentation of R (wilcox.test, after Hollander and Wolfe) and of SciPy
// (mannwhitneyu).
func TestRankTestReferences(t *testing.T) {
	x := []float64{0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46}
	y := []float64{1.15, 0.88, 0.90, 0.74, 1.21}
	got := rankTest(y, x)
	require.Equal(t, 35.0, got.u)
	require.InDelta(t, 0.1272, got.p, 0.00005)

	males, females := []float64{19, 22, 16, 29, 24}, []float64{20, 11, 17, 12}
	got = rankTest(females, males)
	require.Equal(t, 17.0, got.u)
	require.InDelta(t, 0.1111111111111111/2, got.p, 1e-12)

	require.InDelta(t, 0.05, rankTest([]float64{1, 2, 3}, []float64{4, 5, 6}).p, 1e-12)
	require.InDelta(t, 1.0/70, leastP(4, 4), 1e-12)
	require.Equal(t, 1.0, rankTest(nil, []float64{1}).p)
	require.Equal(t, 1.0, rankTest([]float64{0, 0, 0, 0}, []float64{0, 0, 0, 0}).p, "nothing but ties")
}

// TestManyRuns: from 101 values on the normal approximation takes over, and hands over close to where it took it.
func TestManyRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, shift := range []float64{0, 0.4} {
		for _, grain := range []float64{0.01, 1} { // without and with ties
			draw := func(n int, by float64) []float64 {
				var all []float64
				for range n {
					all = append(all, math.Round((r.NormFloat64()+by)/grain)*grain)
				}
				return all
			}
			base, next := draw(50, 0), draw(50, shift)
			exact := rankTest(base, next)
			require.True(t, exact.exact)
			// One more value that is larger than all changes little.
			approximate := rankTest(append(base, 99), next)
			require.False(t, approximate.exact)
			exactly := arrangementTail(append(base, 99), next)
			require.InDelta(t, exactly, approximate.p, 0.005)
		}
	}
	same := make([]float64, 60)
	require.Equal(t, 1.0, rankTest(same, same).p)
	other := make([]float64, 60)
	for i := range other {
		other[i] = 1
	}
	require.Less(t, rankTest(same, other).p, 1e-6)
	require.Greater(t, rankTest(other, same).p, 0.999)
}

// arrangementTail is the exact p, however many values there are.
func arrangementTail(base, next []float64) float64 {
	ranks, _ := doubledRanks(append(append([]float64{}, base...), next...))
	sum := 0
	for _, r := range ranks[len(base):] {
		sum += r
	}
	all, tail := 0.0, 0.0
	for s, w := range arrangements(ranks, len(next)) {
		all += w
		if s >= sum {
			tail += w
		}
	}
	return tail / all
}

// TestOutermost compares with the table of critical values of U, two-sided at 5 %: the interval begins one after them.
func TestOutermost(t *testing.T) {
	for n, critical := range map[int]int{4: 0, 5: 2, 6: 5, 7: 8, 8: 13, 9: 17, 10: 23, 12: 37, 15: 64, 20: 127} {
		require.Equal(t, critical+1, outermost(n, n), n)
	}
	require.Zero(t, outermost(3, 3), "too few for any interval")
	require.InDelta(t, exactlyOutermost(51, 50), outermost(51, 50), 3, "the approximation goes on from there")
}

func TestShift(t *testing.T) {
	never := math.Inf(1)
	estimate, bounds := shift([]float64{10, 11, 12}, []float64{13, 14, 15})
	require.Equal(t, 3.0, estimate)
	require.Nil(t, bounds, "3 against 3 allow no interval")

	estimate, bounds = shift([]float64{1, 2, 3, 4, 5}, []float64{11, 12, 13, 14, 15})
	require.Equal(t, 10.0, estimate)
	require.Equal(t, [2]float64{7, 13}, *bounds, "the third of 25 differences from either end")

	estimate, _ = shift([]float64{10, never}, []float64{10, never})
	require.Zero(t, estimate, "those that never recovered are alike")
	estimate, _ = shift([]float64{10, 10}, []float64{never, never})
	require.Equal(t, never, estimate)
	estimate, _ = shift([]float64{never, never}, []float64{10, 10})
	require.Equal(t, -never, estimate)
	estimate, _ = shift([]float64{10, never}, []float64{never, 10})
	require.False(t, math.IsNaN(estimate))
}

// TestShiftCovers: the interval holds the true shift in at least 95 of 100 experiments.
func TestShiftCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	const experiments, truth = 2000, 2.5
	missed := 0
	for range experiments {
		var base, next []float64
		for range 9 {
			base = append(base, 10+r.ExpFloat64())
			next = append(next, 10+r.ExpFloat64()+truth)
		}
		if _, b := shift(base, next); truth < b[0] || truth > b[1] {
			missed++
		}
	}
	require.LessOrEqual(t, missed, experiments*5/100+20)
	require.Greater(t, missed, experiments/100, "and it is no wider than it must be")
}

// TestFisher: the lady tasting tea, and every small table against the rank test of zeros and ones, which asks the same.
func TestFisher(t *testing.T) {
	p, smallest := fisher(1, 4, 3, 4)
	require.InDelta(t, 17.0/70, p, 1e-12)
	require.InDelta(t, 1.0/70, smallest, 1e-12)
	p, _ = fisher(0, 4, 4, 4)
	require.InDelta(t, 1.0/70, p, 1e-12)
	p, smallest = fisher(0, 9, 0, 9)
	require.Equal(t, []float64{1, 1}, []float64{p, smallest}, "where nothing failed there is nothing to ask")
	flags := func(failed, n int) []float64 {
		all := make([]float64, n)
		for i := range failed {
			all[i] = 1
		}
		return all
	}
	for m := 1; m <= 7; m++ {
		for n := 1; n <= 7; n++ {
			for a := 0; a <= m; a++ {
				for b := 0; b <= n; b++ {
					p, smallest := fisher(a, m, b, n)
					want := rankTest(flags(a, m), flags(b, n))
					require.InDelta(t, want.p, p, 1e-9, "%d/%d %d/%d", a, m, b, n)
					require.InDelta(t, want.smallest, smallest, 1e-9, "%d/%d %d/%d", a, m, b, n)
				}
			}
		}
	}
}
