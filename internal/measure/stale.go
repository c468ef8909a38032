package measure

import (
	"cmp"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// stale says how late each replica showed acknowledged writes of the headline (MEASURING.md, "The ledger"). A write is
// stale there when the replica was asked after its acknowledgement and did not show it. Writes that it never shows are
// lost or missing, not stale.
func (r *run) stale() map[string]drill.StaleReport {
	if r.headline == nil {
		return nil
	}
	all := map[string]*late{}
	journal := numbered(r.headline.slots)
	for _, p := range r.of(drill.ClassPinned) {
		r.lateOn(p, journal, all)
	}
	reps := map[string]drill.StaleReport{}
	for name, l := range all {
		if l.asked {
			reps[name] = l.report()
		}
	}
	return reps
}

// late is how late one member showed writes: each at least and at most so long after its acknowledgement.
type late struct {
	asked         bool // as a replica
	least, atMost []time.Duration
}

// lateOn walks through the answers of a pinned probe in the order in which they came, and notes them by member. Another
// pod begins with nothing, whatever its name is: it cannot have been asked before it was there.
func (r *run) lateOn(p *probe, journal []slot, all map[string]*late) {
	var answers []*slot
	for i := range p.slots {
		if p.slots[i].Reading != nil {
			answers = append(answers, &p.slots[i])
		}
	}
	slices.SortStableFunc(answers, func(a, b *slot) int { return cmp.Compare(a.Done, b.Done) })
	var asked drill.Offset // when the member, as a replica, was last asked before
	var who pod
	var shown []bool
	for _, a := range answers {
		if now := (pod{by(*a), cmp.Or(uidOf(*a), who.uid)}); now != who {
			who, asked, shown = now, 0, make([]bool, len(journal))
		}
		l := all[who.name]
		if l == nil {
			l = &late{}
			all[who.name] = l
		}
		for _, seq := range a.Reading.Seen {
			i, ok := find(journal, seq)
			if !ok || shown[i] {
				continue
			}
			shown[i] = true
			l.note(journal[i], asked, a.Done)
		}
		if a.Role == drill.RoleReplica {
			l.asked, asked = true, max(asked, a.Sent)
		}
	}
	if r.readBack == nil || shown == nil {
		return
	}
	// What it showed only when everything was over is late as well.
	held := r.readBack.Streams[who.name][r.headline.Name]
	for i, s := range journal {
		if !shown[i] && held.Has(s.Slot) {
			all[who.name].note(s, asked, r.lastMoment)
		}
	}
}

// find looks a number up in a journal. Most begin with the first slot and miss none.
func find(journal []slot, seq int64) (int, bool) {
	if seq >= 0 && seq < int64(len(journal)) && journal[seq].Slot == seq {
		return int(seq), true
	}
	return slices.BinarySearchFunc(journal, seq, func(s slot, seq int64) int { return cmp.Compare(s.Slot, seq) })
}

// note takes a write that the member did not show when it was asked, and had shown by the time of a later answer.
func (l *late) note(write slot, asked, answered drill.Offset) {
	if acknowledged(write) && write.Done < asked {
		l.least = append(l.least, asked.Sub(write.Done))
		l.atMost = append(l.atMost, answered.Sub(write.Sent))
	}
}

func (l *late) report() drill.StaleReport {
	rep := drill.StaleReport{Writes: len(l.least)}
	if rep.Writes == 0 {
		return rep
	}
	slices.Sort(l.least)
	slices.Sort(l.atMost)
	// The n-th least of the lower bounds is no more than the n-th least of the true latencies.
	at := func(p float64) *drill.Bounds {
		return &drill.Bounds{Lower: seconds(percentile(l.least, p)), Upper: seconds(percentile(l.atMost, p))}
	}
	rep.P50, rep.P99, rep.Max = at(0.5), at(0.99), at(1)
	return rep
}
