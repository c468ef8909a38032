package drill

import (
	"cmp"
	"iter"
	"slices"
)

// Numbers is a set of sequence numbers that knows which of them it was given more than once. Of millions of rows nearly
// all follow each other, so it keeps stretches of them.
type Numbers struct {
	Ranges []Range // what it holds: ascending, and no two of them touch
	Again  []Range // what it was given more than once, likewise
}

// Range is a stretch of numbers, with both of its ends.
type Range struct{ First, Last int64 }

// NumbersOf makes a set of the numbers.
func NumbersOf(seqs ...int64) Numbers {
	var n Numbers
	for _, seq := range seqs {
		n.Add(seq)
	}
	return n
}

// Add puts a number into the set. It is fastest in ascending order.
func (n *Numbers) Add(seq int64) {
	var had bool
	if n.Ranges, had = insert(n.Ranges, seq); had {
		n.Again, _ = insert(n.Again, seq)
	}
}

func insert(rs []Range, seq int64) (_ []Range, had bool) {
	i := len(rs) // of the first range that begins after seq
	if i > 0 && rs[i-1].First > seq {
		i = search(rs, seq)
	}
	switch {
	case i > 0 && seq <= rs[i-1].Last:
		return rs, true
	case i > 0 && seq == rs[i-1].Last+1:
		rs[i-1].Last = seq
		if i < len(rs) && rs[i].First == seq+1 {
			rs[i-1].Last = rs[i].Last
			rs = slices.Delete(rs, i, i+1)
		}
	case i < len(rs) && rs[i].First == seq+1:
		rs[i].First = seq
	default:
		rs = slices.Insert(rs, i, Range{seq, seq})
	}
	return rs, false
}

// search finds the first range that begins after seq.
func search(rs []Range, seq int64) int {
	i, found := slices.BinarySearchFunc(rs, seq, func(r Range, seq int64) int { return cmp.Compare(r.First, seq) })
	if found {
		i++
	}
	return i
}

// Has reports whether the set holds the number.
func (n Numbers) Has(seq int64) bool {
	i := search(n.Ranges, seq)
	return i > 0 && seq <= n.Ranges[i-1].Last
}

// Count is how many different numbers the set holds.
func (n Numbers) Count() int { return size(n.Ranges) }

// Repeated is how many of them it was given more than once.
func (n Numbers) Repeated() int { return size(n.Again) }

func size(rs []Range) int {
	var count int64
	for _, r := range rs {
		count += r.Last - r.First + 1
	}
	return int(count)
}

// All walks through the numbers in ascending order, each of them once.
func (n Numbers) All() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, r := range n.Ranges {
			for seq := r.First; seq <= r.Last; seq++ {
				if !yield(seq) {
					return
				}
			}
		}
	}
}

// Union holds what either set holds; a number that both hold is not a repetition.
func (n Numbers) Union(other Numbers) Numbers {
	return Numbers{Ranges: join(n.Ranges, other.Ranges), Again: join(n.Again, other.Again)}
}

func join(a, b []Range) []Range {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y Range) int { return cmp.Compare(x.First, y.First) })
	var out []Range
	for _, r := range all {
		if last := len(out) - 1; last >= 0 && r.First <= out[last].Last+1 {
			out[last].Last = max(out[last].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Includes reports whether the set holds everything that the other one does.
func (n Numbers) Includes(other Numbers) bool {
	i := 0
	for _, r := range other.Ranges {
		for i < len(n.Ranges) && n.Ranges[i].Last < r.First {
			i++
		}
		if i == len(n.Ranges) || n.Ranges[i].First > r.First || n.Ranges[i].Last < r.Last {
			return false
		}
	}
	return true
}
