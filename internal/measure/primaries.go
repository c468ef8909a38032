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
		Disagreements: r.disagreements(), EpochForks: r.forks(acks), EpochRegressions: regressions(acks), Most: r.most(),
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
		if c := cmp.Compare(a.Done, b.Done); c != 0 { // of millions, hardly two
			return c
		}
		return cmp.Or(cmp.Compare(a.Probe, b.Probe), cmp.Compare(a.Slot, b.Slot))
	})
	return acks
}

// by is the member that answered.
func by(s slot) string { return cmp.Or(s.By, s.Member) }

// gapLimit is how many Δ may lie between two acknowledgements of a member that went on acknowledging all the time.
const gapLimit = 3

// tenure is a time in which one member acknowledged writes without a gap: from the first acknowledgement to the turn of
// the last one, which was executed at some time between its sending and its answer.
type tenure struct {
	by       string
	from, to drill.Offset
}

// tenures sorts acknowledgements by who gave them.
func tenures(acks []slot, delta time.Duration) []tenure {
	var all []tenure
	open, last := map[string]int{}, map[string]drill.Offset{}
	for _, a := range acks {
		i, ok := open[by(a)]
		if !ok || a.Done.Sub(last[by(a)]) > gapLimit*delta {
			i = len(all)
			open[by(a)], all = i, append(all, tenure{by(a), a.Done, a.Sent})
		}
		all[i].to, last[by(a)] = max(all[i].to, a.Sent), a.Done
	}
	return all
}

// dualPrimary is the time in which two members acknowledged writes: each of them one that was sent after the other had
// acknowledged one. A handover, however quick, is none. Both ends of such a time are found up to Δ late and early, so
// Δ is added: what is left of the error is ± Δ.
func dualPrimary(acks []slot, delta time.Duration) time.Duration {
	var both []span
	all := tenures(acks, delta)
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.by != b.by && a.to > b.from && b.to > a.from {
				from := max(a.from, b.from)
				both = append(both, span{from, max(from, min(a.to, b.to)).Add(delta)})
			}
		}
	}
	return overlap(merge(both), span{0, forever})
}

// forks counts the epochs with more than one line of history: those in which two members acknowledged writes, and those
// that a later epoch did not go on from, so that in the end not one of their acknowledged writes is there.
func (r *run) forks(acks []slot) int {
	var held map[string]drill.Numbers
	if r.readBack != nil {
		held = r.readBack.Streams[r.readBack.Primary]
	}
	members, kept := map[int64]map[string]bool{}, map[int64]bool{}
	var newest int64 // with a write that is there
	for _, a := range acks {
		if a.Epoch == 0 {
			continue
		}
		if members[a.Epoch] == nil {
			members[a.Epoch] = map[string]bool{}
		}
		members[a.Epoch][by(a)] = true
		if held[a.Probe].Has(a.Slot) {
			kept[a.Epoch], newest = true, max(newest, a.Epoch)
		}
	}
	n := 0
	for epoch, who := range members {
		if len(who) > 1 || epoch < newest && !kept[epoch] {
			n++
		}
	}
	return n
}

// regressions counts the acknowledged writes that were sent after an epoch newer than theirs had acknowledged one.
func regressions(acks []slot) int {
	began := map[int64]drill.Offset{} // when each epoch acknowledged first
	n := 0
	for _, a := range acks {
		if a.Epoch == 0 {
			continue
		}
		if _, ok := began[a.Epoch]; !ok {
			began[a.Epoch] = a.Done
		}
		for epoch, at := range began {
			if epoch > a.Epoch && at < a.Sent {
				n++
				break
			}
		}
	}
	return n
}

// most is the largest number of primaries at any time after the injection, by each view.
func (r *run) most() map[string]int {
	if r.injection == nil || len(r.views) == 0 {
		return nil
	}
	n := map[string]int{"label": 0, "service": 0, "member": 0}
	for i, v := range r.views {
		if i+1 < len(r.views) && r.views[i+1].at <= r.injection.from {
			continue // over before the fault
		}
		n["label"] = max(n["label"], len(v.Label))
		n["service"] = max(n["service"], len(v.Service))
		n["member"] = max(n["member"], len(v.Member))
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
	if r.injection == nil {
		return tail
	}
	for _, part := range r.parts() {
		tail = max(tail, part.outlived(acks))
	}
	return tail
}

// outlived is how long the primary of before the fault went on acknowledging after another one's first acknowledgement.
func (r *run) outlived(acks []slot) time.Duration {
	end, _ := slices.BinarySearchFunc(acks, r.until, func(a slot, t drill.Offset) int { return cmp.Compare(a.Done, t) })
	acks = acks[:end]
	former := r.former()
	if len(acks) == 0 || by(acks[len(acks)-1]) == former || former == "" {
		return 0
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
		return 0
	}
	return last.Sub(first)
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
