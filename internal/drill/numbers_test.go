package drill

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNumbers compares the set with a plain list, whatever the order of what it is given.
func TestNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		var list, other []int64
		for range random.IntN(40) {
			list = append(list, random.Int64N(30)-5)
		}
		for range random.IntN(10) {
			other = append(other, random.Int64N(30)-5)
		}
		n, o := NumbersOf(list...), NumbersOf(other...)
		slices.Sort(list)
		unique := slices.Compact(slices.Clone(list))
		repeated := 0
		for _, seq := range unique {
			if i, _ := slices.BinarySearch(list, seq); i+1 < len(list) && list[i+1] == seq {
				repeated++
			}
		}
		require.Equal(t, unique, slices.Collect(n.All()))
		require.Equal(t, len(unique), n.Count())
		require.Equal(t, repeated, n.Repeated())
		for i, r := range n.Ranges {
			require.LessOrEqual(t, r.First, r.Last)
			require.True(t, i == 0 || n.Ranges[i-1].Last+1 < r.First, "%v touch", n.Ranges)
		}
		includes := true
		for _, seq := range other {
			includes = includes && slices.Contains(list, seq)
		}
		for seq := int64(-6); seq < 26; seq++ {
			require.Equal(t, slices.Contains(list, seq), n.Has(seq))
			require.Equal(t, slices.Contains(list, seq) || slices.Contains(other, seq), n.Union(o).Has(seq))
		}
		require.Equal(t, includes, n.Includes(o))
		require.Equal(t, NumbersOf(slices.Concat(unique, other)...).Ranges, n.Union(o).Ranges)
	}
}

// TestNumbersAreCompact: rows that follow each other take no memory of their own.
func TestNumbersAreCompact(t *testing.T) {
	var n Numbers
	require.Less(t, testing.AllocsPerRun(1, func() {
		for seq := range int64(1_000_000) {
			n.Add(seq)
		}
	}), 10.0)
	require.Len(t, n.Ranges, 1)
}
