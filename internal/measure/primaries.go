package measure

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// defaultPinned is Δ of the pinned probes where there are none: the default rate of MEASURING.md.
const defaultPinned = 100 * time.Millisecond

// primaries says who accepted writes, and how long the views differed (MEASURING.md, "Split brain").
func (r *run) primaries() *drill.PrimariesReport {
	if r.headline == nil {
		return nil
	}
	delta := defaultPinned
	for _, p := range r.of(drill.ClassPinned) {
		delta = p.Interval
	}
	acks := r.acks()
	rep := &drill.PrimariesReport{
		DualPrimary: seconds(dualPrimary(acks, delta)), ZombieTail: seconds(r.zombieTail(acks)),
		Disagreements: r.disagreements(),
	}
	last := ""
	for _, a := range acks {
		if a.Class != drill.ClassPooled {
			continue
		}
		if last != "" && by(a) != last {
			rep.LeaderChanges++
		}
		last = by(a)
	}
	return rep
}

// acks lists every write that a known member accepted, through the Service or pinned, by Done.
func (r *run) acks() []slot {
	var acks []slot
	for _, p := range r.probes {
		if p.Target != r.target || p.Class == drill.ClassPooled && p != r.headline {
			continue
		}
		for _, s := range p.slots {
			if acknowledged(s) && by(s) != "" {
				acks = append(acks, s)
			}
		}
	}
	slices.SortFunc(acks, func(a, b slot) int {
		return cmp.Or(cmp.Compare(a.Done, b.Done), cmp.Compare(a.Probe, b.Probe), cmp.Compare(a.Slot, b.Slot))
	})
	return acks
}

// by is the member that answered.
func by(s slot) string { return cmp.Or(s.By, s.Member) }

// dualPrimary sums the intervals Δ in which two members acknowledged writes. A handover puts the last write of one
// and the first of the next into one interval without their ever having been primary together: an interval in whose
// surroundings the acknowledging member changes once and for good is not counted.
func dualPrimary(acks []slot, delta time.Duration) time.Duration {
	var total time.Duration
	bin := func(i int) int64 { return int64(acks[i].Done) / int64(delta) }
	before, start := 0, 0 // the first acks of the interval before, and of this one
	for start < len(acks) {
		end := start
		for end < len(acks) && bin(end) == bin(start) {
			end++
		}
		after := end
		for after < len(acks) && bin(after) <= bin(start)+1 {
			after++
		}
		if bin(before) < bin(start)-1 {
			before = start
		}
		if switches(acks[start:end]) > 0 && switches(acks[before:after]) > 1 {
			total += delta
		}
		before, start = start, end
	}
	return total
}

// switches counts how often the acknowledging member changes.
func switches(acks []slot) int {
	n := 0
	for i := 1; i < len(acks); i++ {
		if by(acks[i]) != by(acks[i-1]) {
			n++
		}
	}
	return n
}

// zombieTail is how long the old primary went on acknowledging after the new one's first acknowledgement. Epochs tell
// the two apart; where they are not known, or the same, the member that led before the fault is the old one unless it
// leads again.
func (r *run) zombieTail(acks []slot) time.Duration {
	var tail time.Duration
	began := map[int64]drill.Offset{}
	var epoch int64
	for _, a := range acks {
		if a.Epoch > epoch {
			epoch = a.Epoch
			began[epoch] = a.Done
		}
		if a.Epoch != 0 && a.Epoch < epoch {
			// Of the epochs that superseded it the first one counts.
			for _, e := range slices.Sorted(maps.Keys(began)) {
				if e > a.Epoch {
					tail = max(tail, a.Done.Sub(began[e]))
					break
				}
			}
		}
	}
	if r.injection == nil || len(acks) == 0 {
		return tail
	}
	former := r.former()
	if by(acks[len(acks)-1]) == former || former == "" {
		return tail
	}
	var first, last drill.Offset
	for _, a := range acks {
		if a.Done < r.injection.from {
			continue
		}
		if by(a) == former {
			last = a.Done
		} else if first == 0 {
			first = a.Done
		}
	}
	if first == 0 || last <= first {
		return tail
	}
	return max(tail, last.Sub(first))
}

// disagreements lists the stretches after the fault in which the three views differed; views that say the same again
// are one stretch.
func (r *run) disagreements() []drill.Disagreement {
	ds := []drill.Disagreement{}
	if r.injection == nil {
		return ds
	}
	t0 := r.injection.from
	for i := 0; i < len(r.views); {
		v := r.views[i]
		next := i + 1
		for next < len(r.views) && maps.Equal(spoken(r.views[next].Views), spoken(v.Views)) {
			next++
		}
		end := max(r.finish, v.at)
		if next < len(r.views) {
			end = r.views[next].at
		}
		if start := max(v.at, t0); !v.Agree() && end > start {
			ds = append(ds, drill.Disagreement{Views: spoken(v.Views), Start: r.since(start), Seconds: seconds(end.Sub(start))})
		}
		i = next
	}
	return ds
}

// spoken writes the three views as the report does.
func spoken(v drill.Views) map[string]string {
	say := func(ms []string) string {
		if len(ms) == 0 {
			return "none"
		}
		return strings.Join(slices.Sorted(slices.Values(ms)), "+")
	}
	return map[string]string{"label": say(v.Label), "service": say(v.Service), "member": say(v.Member)}
}
