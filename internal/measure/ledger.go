package measure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// stream is the journal of one probe's writes.
type stream struct {
	*probe
	journal []slot // by sequence number, each number once
}

// each walks through what was sent, beside whether it is among the numbers. Both are in order, so it is linear.
func (st stream) each(held drill.Numbers, do func(s slot, present bool)) {
	ranges := held.Ranges
	for _, s := range st.journal {
		for len(ranges) > 0 && ranges[0].Last < s.Slot {
			ranges = ranges[1:]
		}
		if sent(s) {
			do(s, len(ranges) > 0 && ranges[0].First <= s.Slot)
		}
	}
}

// wrote reports whether the slot was an attempt to write. Of one that is in doubt and there, the row says so.
func wrote(s slot, present bool) bool {
	return s.Write || s.Outcome == drill.OutcomeIndeterminate && present
}

// ledger compares what was written with what the members hold (MEASURING.md, "The ledger"). nil when no probe writes.
func (r *run) ledger() (*drill.WritesReport, []drill.Finding) {
	var streams []stream
	for _, p := range r.probes {
		if p.Target == r.target && writes(p) {
			streams = append(streams, stream{p, numbered(p.slots)})
		}
	}
	if len(streams) == 0 {
		return nil, nil
	}
	var held map[string]drill.Numbers // by the primary
	if r.readBack != nil {
		held = r.readBack.Streams[r.readBack.Primary]
	}
	total, classes := &tally{}, map[drill.Class]*tally{}
	for _, st := range streams {
		if classes[st.Class] == nil {
			classes[st.Class] = &tally{}
		}
		n := r.tally(st, held)
		total.add(n)
		classes[st.Class].add(n)
	}
	rep := total.report(held != nil)
	rep.ByClass, rep.Stale = map[drill.Class]drill.WritesReport{}, r.stale()
	for class, n := range classes {
		rep.ByClass[class] = *n.report(held != nil)
	}
	if r.readBack == nil {
		return rep, nil
	}
	for _, n := range r.strangers(streams) {
		rep.Fabricated += n.Count()
		rep.Duplicate += n.Repeated()
	}
	if held == nil {
		return rep, []drill.Finding{{Severity: "warning", Code: "read_back_incomplete",
			Text: "The primary could not be read at the end: whether writes were lost is not known."}}
	}
	return rep, append(r.doomed(streams, held), r.replicaFindings(streams, held)...)
}

// writes reports whether the probe enters anything in the ledger.
func writes(p *probe) bool {
	return slices.ContainsFunc(p.slots, func(s slot) bool { return s.Write })
}

// numbered puts slots in the order of their numbers, which is that of the schedule unless the record is broken.
func numbered(slots []slot) []slot {
	ordered := true
	for i := 1; i < len(slots) && ordered; i++ {
		ordered = slots[i-1].Slot < slots[i].Slot
	}
	if ordered {
		return slots
	}
	slots = slices.SortedStableFunc(slices.Values(slots), func(a, b slot) int { return cmp.Compare(a.Slot, b.Slot) })
	return slices.CompactFunc(slots, func(a, b slot) bool { return a.Slot == b.Slot })
}

// tally counts what became of writes.
type tally struct {
	drill.WritesReport
	lost []loss
}

// loss is a write that was acknowledged and is not there.
type loss struct {
	at    drill.Offset  // its acknowledgement
	delta time.Duration // between two slots of its probe
}

// tally counts one stream. Whatever is not held by the primary is absent; what must not be there is looked for on every
// member, and counts once however many of them show it.
func (r *run) tally(st stream, held map[string]drill.Numbers) *tally {
	n := &tally{}
	for _, s := range st.journal {
		if s.Outcome == drill.OutcomeUnsent && (s.Write || st.Class != drill.ClassPinned) {
			n.Unsent++
		}
	}
	st.each(held[st.Name], func(s slot, present bool) {
		if !wrote(s, present) {
			return
		}
		n.Sent++
		switch {
		case s.Outcome == drill.OutcomeFail:
			n.Failed++
		case s.Outcome == drill.OutcomeOK:
			if n.Acked++; !present {
				n.lost = append(n.lost, loss{s.Done, st.Interval})
			}
		case held == nil:
		case present:
			n.IndeterminatePresent++
		default:
			n.IndeterminateAbsent++
		}
	})
	if r.readBack == nil {
		return n
	}
	var anywhere drill.Numbers
	for _, m := range sorted(r.readBack.Streams) {
		anywhere = anywhere.Union(r.readBack.Streams[m][st.Name])
	}
	known := 0
	st.each(anywhere, func(s slot, present bool) {
		switch {
		case !present:
		case s.Outcome == drill.OutcomeFail:
			n.Phantom++
		case s.Outcome == drill.OutcomeIndeterminate || s.Write:
			known++
		}
	})
	n.Fabricated = anywhere.Count() - n.Phantom - known
	n.Duplicate = anywhere.Repeated()
	return n
}

// add counts another stream's writes as well.
func (n *tally) add(o *tally) {
	n.Sent, n.Acked, n.Failed, n.Unsent = n.Sent+o.Sent, n.Acked+o.Acked, n.Failed+o.Failed, n.Unsent+o.Unsent
	n.IndeterminatePresent += o.IndeterminatePresent
	n.IndeterminateAbsent += o.IndeterminateAbsent
	n.Phantom, n.Fabricated, n.Duplicate = n.Phantom+o.Phantom, n.Fabricated+o.Fabricated, n.Duplicate+o.Duplicate
	n.lost = append(n.lost, o.lost...)
}

// report gives the counts; of lost writes nothing is said unless it is known.
func (n *tally) report(known bool) *drill.WritesReport {
	rep := &n.WritesReport
	if !known {
		return rep
	}
	rep.Lost, rep.LostSpan = new(len(n.lost)), new(seconds(lostSpan(n.lost)))
	return rep
}

// lostGap is how far apart the acknowledgements of two lost writes may be that belong to one loss. What was
// acknowledged between two faults and kept is no part of what they lost.
const lostGap = time.Second

// lostSpan is the time that lost writes stand for: that of every stretch of them, summed. A lost write stands for its
// slot: n of them, Δ apart, are n × Δ of lost time. The time between the first and the last would be up to 2Δ short of
// the truth.
func lostSpan(lost []loss) (sum time.Duration) {
	slices.SortFunc(lost, func(a, b loss) int { return cmp.Compare(a.at, b.at) })
	for i := 0; i < len(lost); {
		first, last, delta := lost[i], lost[i], lost[i].delta
		for i++; i < len(lost) && lost[i].at.Sub(last.at) <= lostGap; i++ {
			last, delta = lost[i], min(delta, lost[i].delta)
		}
		sum += last.at.Sub(first.at) + delta
	}
	return sum
}

// strangers are rows of streams that nobody wrote.
func (r *run) strangers(streams []stream) map[string]drill.Numbers {
	foreign := map[string]drill.Numbers{}
	for _, held := range r.readBack.Streams {
		for name, n := range held {
			if !slices.ContainsFunc(streams, func(st stream) bool { return st.Name == name }) {
				foreign[name] = foreign[name].Union(n)
			}
		}
	}
	return foreign
}

// doomed tells of the writes that the former primary went on acknowledging after a fault and that are lost: it was cut
// off and did not know, or did not care.
func (r *run) doomed(streams []stream, held map[string]drill.Numbers) (found []drill.Finding) {
	for _, part := range r.parts() {
		found = append(found, part.doomedHere(streams, held)...)
	}
	return found
}

func (r *run) doomedHere(streams []stream, held map[string]drill.Numbers) []drill.Finding {
	former := r.former()
	if r.injection == nil || former == "" {
		return nil
	}
	n := 0
	var last drill.Offset
	for _, st := range streams {
		st.each(held[st.Name], func(s slot, present bool) {
			if acknowledged(s) && by(s) == former && s.Sent > r.injection.at && s.Sent < r.until && !present {
				n++
				last = max(last, s.Done)
			}
		})
	}
	if n == 0 {
		return nil
	}
	return []drill.Finding{{Severity: "warning", Code: "doomed_writes", Text: fmt.Sprintf(
		"%s went on acknowledging writes until %s after the fault: %s of that time are lost.", former, say(r.since(last)), plural(n, "acknowledged write"))}}
}

// replicaFindings tells of acknowledged writes that the primary holds and a replica that had caught up does not.
func (r *run) replicaFindings(streams []stream, held map[string]drill.Numbers) []drill.Finding {
	if !r.readBack.Complete {
		return []drill.Finding{{Severity: "warning", Code: "read_back_incomplete",
			Text: "Not every replica could be read at the end, or had caught up: what they hold was not compared with the primary."}}
	}
	var found []drill.Finding
	for _, m := range sorted(r.readBack.Streams) {
		if m == r.readBack.Primary {
			continue
		}
		missing := 0
		for _, st := range streams {
			st.each(held[st.Name], func(s slot, present bool) {
				if present && acknowledged(s) && !r.readBack.Streams[m][st.Name].Has(s.Slot) {
					missing++
				}
			})
		}
		if missing > 0 {
			found = append(found, drill.Finding{Severity: "warning", Code: "replica_misses_writes", Text: fmt.Sprintf(
				"%s says that it has caught up, but does not hold %s that %s holds.", m, plural(missing, "acknowledged write"), r.readBack.Primary)})
		}
	}
	return found
}
