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
	acks := r.acks()
	epochs := supersededEpochs(acks)
	both, _ := together(tenures(r.writes(acks), gapLimit*r.pinnedDelta()), r.pinnedDelta())
	return &drill.PrimariesReport{
		DualPrimary: seconds(both), ZombieTail: seconds(r.zombieTail(acks, epochs)), LeaderChanges: r.leaderChanges(acks),
		Disagreements: r.disagreements(), EpochForks: r.forks(acks, epochs), EpochRegressions: regressions(acks, epochs),
		Most: r.most(),
	}
}

// writers names the members that accepted writes at the same time, from the hold on; nil when no two of them did.
func (r *run) writers() []string {
	if r.headline == nil {
		return nil
	}
	_, who := together(tenures(r.writes(r.acks()), gapLimit*r.pinnedDelta()), r.pinnedDelta())
	return podNames(who)
}

// pinnedDelta is the time between two slots of a pinned probe: the error of dual_primary.
func (r *run) pinnedDelta() time.Duration {
	for _, p := range r.of(drill.ClassPinned) {
		return p.Interval
	}
	return defaultPinned
}

// acks lists every write that a known member accepted from the hold on, through the Service or pinned, by when it was
// sent. An answer may come long after the write was executed, so the order of answers says nothing of who led when.
func (r *run) acks() []slot {
	begin := r.baseline(r.headline).from
	var acks []slot
	for _, p := range r.probes {
		if p.Target != r.target || p.Class == drill.ClassPooled && p != r.headline {
			continue
		}
		for _, s := range p.slots {
			if acknowledged(s) && by(s) != "" && s.Sent >= begin {
				acks = append(acks, s)
			}
		}
	}
	slices.SortFunc(acks, bySending)
	return acks
}

func bySending(a, b slot) int {
	if c := cmp.Compare(a.Sent, b.Sent); c != 0 { // of millions, hardly two
		return c
	}
	return cmp.Or(cmp.Compare(a.Probe, b.Probe), cmp.Compare(a.Slot, b.Slot))
}

// by is the member that answered.
func by(s slot) string { return cmp.Or(s.By, s.Member) }

// supersededEpochs says of each epoch when a newer one acknowledged its first write; forever when none did.
func supersededEpochs(acks []slot) map[int64]drill.Offset {
	began := map[int64]drill.Offset{}
	for _, a := range acks {
		if at, ok := began[a.Epoch]; a.Epoch != 0 && (!ok || a.Done < at) {
			began[a.Epoch] = a.Done
		}
	}
	superseded, first := map[int64]drill.Offset{}, forever
	for _, epoch := range slices.Backward(slices.Sorted(maps.Keys(began))) {
		superseded[epoch] = first
		first = min(first, began[epoch])
	}
	return superseded
}

// outdated reports whether the write was sent after an epoch newer than its own had acknowledged one.
func outdated(a slot, superseded map[int64]drill.Offset) bool {
	return a.Epoch != 0 && a.Sent > superseded[a.Epoch]
}

// forks counts the epochs with more than one line of history: those in which two members acknowledged writes, those
// that went on after a newer one had begun, and those that a later epoch did not go on from, so that in the end none of
// their acknowledged writes is there.
func (r *run) forks(acks []slot, superseded map[int64]drill.Offset) int {
	var held map[string]drill.Numbers
	if r.readBack != nil {
		held = r.readBack.Streams[r.readBack.Primary]
	}
	members, kept, late := map[int64]map[string]bool{}, map[int64]bool{}, map[int64]bool{}
	var newest int64 // with a write that is there
	for _, a := range acks {
		if a.Epoch == 0 {
			continue
		}
		if members[a.Epoch] == nil {
			members[a.Epoch] = map[string]bool{}
		}
		members[a.Epoch][by(a)] = true
		if outdated(a, superseded) {
			late[a.Epoch] = true
		}
		if held[a.Probe].Has(a.Slot) {
			kept[a.Epoch], newest = true, max(newest, a.Epoch)
		}
	}
	n := 0
	for epoch, who := range members {
		if len(who) > 1 || late[epoch] || epoch < newest && !kept[epoch] {
			n++
		}
	}
	return n
}

// regressions counts the acknowledged writes that were sent after an epoch newer than theirs had acknowledged one.
func regressions(acks []slot, superseded map[int64]drill.Offset) (n int) {
	for _, a := range acks {
		if outdated(a, superseded) {
			n++
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

// zombieTail is how long the old primary went on acknowledging after the new one's first acknowledgement, by writes
// that were sent after that one. Epochs tell the two apart; where they are not known, or the same, the member that led
// before the fault is the old one unless it leads again.
func (r *run) zombieTail(acks []slot, superseded map[int64]drill.Offset) time.Duration {
	var tail time.Duration
	for _, a := range acks {
		if outdated(a, superseded) {
			tail = max(tail, a.Done.Sub(superseded[a.Epoch]))
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
	former := r.former()
	if former == "" {
		return 0
	}
	first := forever // acknowledgement of another member
	var last slot    // that was acknowledged
	for _, a := range acks {
		if a.Done >= r.until {
			continue
		}
		if by(a) != former && a.Done >= r.injection.from {
			first = min(first, a.Done)
		}
		if last.trait == nil || a.Done > last.Done {
			last = a
		}
	}
	if last.trait == nil || by(last) == former {
		return 0
	}
	var tail time.Duration
	for _, a := range acks {
		if by(a) == former && a.Sent > first && a.Done < r.until {
			tail = max(tail, a.Done.Sub(first))
		}
	}
	return tail
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
