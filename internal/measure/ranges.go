package measure

import "slices"

// span of numbers, both ends included.
type stretch struct{ first, last int64 }

// ranges is a set of numbers: stretches in order that do not overlap.
type ranges []stretch

// shown is what an answer says is there: above a number, which it looked no deeper than, exactly the ranges.
type shown struct {
	after int64
	ranges
}

// shownIn reads what a probe was answered. An answer that makes no sense says nothing.
func shownIn(got []int64) (s shown, ok bool) {
	if len(got)%2 == 0 {
		return shown{}, false
	}
	s.after = got[0]
	last := s.after
	for i := 1; i < len(got); i += 2 {
		if got[i] <= last || got[i+1] < got[i] {
			return shown{}, false
		}
		last = got[i+1]
		s.ranges = append(s.ranges, stretch{got[i], last})
	}
	return s, true
}

// missing counts the numbers of r above after that are not in other, and names the first.
func (r ranges) missing(other ranges, after int64) (n, first int64) {
	note := func(from, to int64) {
		if from > to {
			return
		}
		if n == 0 {
			first = from
		}
		n += to - from + 1
	}
	j := 0
	for _, x := range r {
		from := max(x.first, after+1)
		for ; j < len(other) && other[j].last < from; j++ {
		}
		k := j
		for ; k < len(other) && other[k].first <= x.last; k++ {
			note(from, other[k].first-1)
			from = max(from, other[k].last+1)
		}
		note(from, x.last)
	}
	return n, first
}

// replaced is r up to what the answer looked at, and from there on what it shows.
func (r ranges) replaced(s shown) ranges {
	i, _ := slices.BinarySearchFunc(r, s.after, func(x stretch, n int64) int {
		if x.last <= n {
			return -1
		}
		return 1
	})
	out := slices.Clone(r[:i])
	if i < len(r) && r[i].first <= s.after {
		out = append(out, stretch{r[i].first, s.after})
	}
	for _, x := range s.ranges {
		out = out.with(x)
	}
	return out
}

// with adds a stretch that does not begin before the last one of the set ends.
func (r ranges) with(x stretch) ranges {
	if n := len(r); n > 0 && r[n-1].last+1 >= x.first {
		r[n-1].last = max(r[n-1].last, x.last)
		return r
	}
	return append(r, x)
}
