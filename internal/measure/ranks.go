package measure

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/combin"
	"gonum.org/v1/gonum/stat/distuv"
)

// mostExact is up to how many values every arrangement of their ranks is counted.
const mostExact = 100

// ranked is the outcome of a rank test.
type ranked struct {
	u           float64 // in how many pairs the new value is the larger one; a tie is half a pair
	p, smallest float64
	exact       bool
}

// rankTest asks whether the values of next tend to be larger than those of base: the one-sided test of Mann and Whitney.
// Few values are judged by every arrangement of their ranks, ties included; many by the normal approximation with the
// corrections for ties and for continuity.
func rankTest(base, next []float64) ranked {
	m, n := len(base), len(next)
	if m == 0 || n == 0 {
		return ranked{p: 1, smallest: 1, exact: true}
	}
	ranks, ties := doubledRanks(slices.Concat(base, next))
	sum := 0
	for _, r := range ranks[m:] {
		sum += r
	}
	t := ranked{u: float64(sum)/2 - float64(n*(n+1))/2}
	if m+n <= mostExact {
		t.exact = true
		ways := arrangements(ranks, n)
		all, tail, largest := 0.0, 0.0, 0
		for s, w := range ways {
			all += w
			if s >= sum {
				tail += w
			}
			if w > 0 {
				largest = s
			}
		}
		t.p, t.smallest = tail/all, ways[largest]/all
		return t
	}
	size := float64(m + n)
	pairs := float64(m) * float64(n)
	variance := pairs / 12 * (size + 1 - ties/(size*(size-1)))
	t.p, t.smallest = 1, 1
	if variance > 0 {
		t.p = distuv.UnitNormal.Survival((t.u - pairs/2 - 0.5) / math.Sqrt(variance))
		t.smallest = distuv.UnitNormal.Survival((pairs/2 - 0.5) / math.Sqrt(variance))
	}
	return t
}

// doubledRanks are twice the ranks of the values, so that the mean rank of a tie is a whole number, too; and the sum of
// t³ − t over the ties.
func doubledRanks(values []float64) (ranks []int, ties float64) {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	ranks = make([]int, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			ranks[at] = i + 1 + j // the first rank and the last
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, ties
}

// arrangements counts, by their sum, the ways to take n of the ranks.
func arrangements(ranks []int, n int) []float64 {
	total := 0
	for _, r := range ranks {
		total += r
	}
	ways := make([][]float64, n+1)
	for i := range ways {
		ways[i] = make([]float64, total+1)
	}
	ways[0][0] = 1
	reached := 0
	for seen, r := range ranks {
		reached += r
		for k := min(n, seen+1); k >= 1; k-- {
			with, without := ways[k], ways[k-1]
			for s := reached; s >= r; s-- {
				with[s] += without[s-r]
			}
		}
	}
	return ways[n]
}

// leastP is the least p that a rank test of so many values without ties can give.
func leastP(m, n int) float64 {
	if m == 0 || n == 0 {
		return 1
	}
	return math.Exp(-combin.LogGeneralizedBinomial(float64(m+n), float64(n)))
}

// shift is by how much next is larger than base: the median of all differences between the two (Hodges and Lehmann), and
// where it lies at 95 % confidence, if there are enough values to say so.
func shift(base, next []float64) (estimate float64, bounds *[2]float64) {
	m, n := len(base), len(next)
	differences := make([]float64, 0, m*n)
	for _, b := range base {
		for _, v := range next {
			differences = append(differences, difference(b, v))
		}
	}
	slices.Sort(differences)
	count := len(differences)
	estimate = differences[count/2]
	if count%2 == 0 {
		estimate = middle(differences[count/2-1], estimate)
	}
	if k := outermost(m, n); k > 0 {
		bounds = &[2]float64{differences[k-1], differences[count-k]}
	}
	return estimate, bounds
}

// difference is how much longer the second of two times is. Two that never ended are alike.
func difference(first, second float64) float64 {
	if first == second {
		return 0
	}
	return second - first
}

// middle is half-way between two differences in order; between never and always there is nothing.
func middle(lower, upper float64) float64 {
	if math.IsInf(lower, -1) && math.IsInf(upper, 1) {
		return 0
	}
	return (lower + upper) / 2
}

// outermost is which of the differences in order bound the shift at 95 % confidence, counted from both ends; 0 when even
// the first does not.
func outermost(m, n int) int {
	if m+n <= mostExact {
		return exactlyOutermost(m, n)
	}
	pairs := float64(m) * float64(n)
	return int(pairs/2 - distuv.UnitNormal.Quantile(1-doubt/2)*math.Sqrt(pairs*float64(m+n+1)/12))
}

func exactlyOutermost(m, n int) int {
	ranks := make([]int, m+n)
	for i := range ranks {
		ranks[i] = i + 1
	}
	ways := arrangements(ranks, n)
	all := 0.0
	for _, w := range ways {
		all += w
	}
	k, below := 0, 0.0
	for s := n * (n + 1) / 2; s < len(ways); s++ { // U counts from the least sum
		below += ways[s]
		if below/all > doubt/2 {
			break
		}
		k++
	}
	return k
}

// fisher asks whether it is chance that so many of the failures are among the new runs: Fisher's exact test, one-sided.
func fisher(baseFailed, base, newFailed, next int) (p, smallest float64) {
	failed, all := baseFailed+newFailed, base+next
	probability := func(k int) float64 {
		return math.Exp(choose(failed, k) + choose(all-failed, next-k) - choose(all, next))
	}
	most := min(failed, next)
	for k := newFailed; k <= most; k++ {
		p += probability(k)
	}
	return min(p, 1), min(probability(most), 1)
}

// choose is the logarithm of the number of ways to take k of n.
func choose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	return combin.LogGeneralizedBinomial(float64(n), float64(k))
}
