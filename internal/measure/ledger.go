package measure

import (
	"fmt"

	"github.com/failoverdrill/drill/internal/drill"
)

// stream is what became of the writes of one probe, by sequence number.
type stream struct {
	name string
	sent map[int64]*slot // every slot that was sent, write or not
}

// ledger compares what was written with what the members hold (MEASURING.md, "The ledger"). nil when no probe writes.
func (r *run) ledger() (*drill.WritesReport, []drill.Finding) {
	rep := &drill.WritesReport{}
	streams := map[string]*stream{}
	var order []*stream
	for _, p := range r.probes {
		if p.Target != r.target || !writes(p) {
			continue
		}
		st := &stream{p.Name, map[int64]*slot{}}
		streams[p.Name], order = st, append(order, st)
		for i, s := range p.slots {
			switch {
			case s.Outcome == drill.OutcomeUnsent && (s.Write || p.Class != drill.ClassPinned):
				rep.Unsent++
			case s.Outcome == drill.OutcomeUnsent || s.Outcome == drill.OutcomeBlocked:
			default:
				st.sent[s.Slot] = &p.slots[i]
				tally(rep, s)
			}
		}
	}
	if len(order) == 0 {
		return nil, nil
	}
	if r.readBack == nil {
		return rep, nil
	}
	r.uninvited(rep, streams)
	held, ok := r.readBack.Streams[r.readBack.Primary]
	if !ok || held == nil {
		return rep, []drill.Finding{{Severity: "warning", Code: "read_back_incomplete",
			Text: "The primary could not be read at the end: whether writes were lost is not known."}}
	}
	r.lost(rep, order, held)
	return rep, append(r.doomed(order, held), r.replicaFindings(order, held)...)
}

// writes reports whether the probe enters anything in the ledger.
func writes(p *probe) bool {
	for _, s := range p.slots {
		if s.Write {
			return true
		}
	}
	return false
}

// tally counts one slot that was sent. Slots that were no attempt to write are in no count.
func tally(rep *drill.WritesReport, s slot) {
	if !s.Write {
		return
	}
	rep.Sent++
	switch s.Outcome {
	case drill.OutcomeOK:
		rep.Acked++
	case drill.OutcomeFail:
		rep.Failed++
	}
}

// lost compares the journal with what the primary holds.
func (r *run) lost(rep *drill.WritesReport, order []*stream, held map[string][]int64) {
	var n int
	var first, last drill.Offset
	for _, st := range order {
		has := set(held[st.name])
		for seq, s := range st.sent {
			present := has[seq]
			switch {
			case s.Outcome == drill.OutcomeIndeterminate && present:
				rep.IndeterminatePresent++
			case s.Outcome == drill.OutcomeIndeterminate && s.Write:
				rep.IndeterminateAbsent++
			case s.Outcome == drill.OutcomeOK && s.Write && !present:
				if n == 0 || s.Done < first {
					first = s.Done
				}
				last = max(last, s.Done)
				n++
			}
		}
	}
	rep.Lost, rep.LostSpan = &n, new(seconds(last.Sub(first)))
}

// doomed tells of the writes that the former primary went on acknowledging after the fault and that are lost: it was cut
// off and did not know, or did not care.
func (r *run) doomed(order []*stream, held map[string][]int64) []drill.Finding {
	former := r.former()
	if r.injection == nil || former == "" {
		return nil
	}
	n := 0
	var last drill.Offset
	for _, st := range order {
		has := set(held[st.name])
		for seq, s := range st.sent {
			if acknowledged(*s) && by(*s) == former && s.Sent > r.injection.at && !has[seq] {
				n++
				last = max(last, s.Done)
			}
		}
	}
	if n == 0 {
		return nil
	}
	return []drill.Finding{{Severity: "warning", Code: "doomed_writes", Text: fmt.Sprintf(
		"%s went on acknowledging writes until %s after the fault: %s of that time are lost.", former, say(r.since(last)), plural(n, "acknowledged write"))}}
}

// uninvited counts what must not be there, on whichever member: each number once, however many members show it.
func (r *run) uninvited(rep *drill.WritesReport, streams map[string]*stream) {
	type number struct {
		stream string
		seq    int64
	}
	phantom, fabricated, duplicate := map[number]bool{}, map[number]bool{}, map[number]bool{}
	for _, held := range r.readBack.Streams {
		for name, seqs := range held {
			st := streams[name]
			seen := make(map[int64]bool, len(seqs))
			for _, seq := range seqs {
				n := number{name, seq}
				if seen[seq] {
					duplicate[n] = true
				}
				seen[seq] = true
				var s *slot
				if st != nil {
					s = st.sent[seq]
				}
				switch {
				case s == nil || s.Outcome == drill.OutcomeOK && !s.Write:
					fabricated[n] = true
				case s.Outcome == drill.OutcomeFail:
					phantom[n] = true
				}
			}
		}
	}
	rep.Phantom, rep.Fabricated, rep.Duplicate = len(phantom), len(fabricated), len(duplicate)
}

// replicaFindings tells of acknowledged writes that the primary holds and a replica that had caught up does not.
func (r *run) replicaFindings(order []*stream, held map[string][]int64) []drill.Finding {
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
		for _, st := range order {
			on, has := set(held[st.name]), set(r.readBack.Streams[m][st.name])
			for seq, s := range st.sent {
				if s.Outcome == drill.OutcomeOK && s.Write && on[seq] && !has[seq] {
					missing++
				}
			}
		}
		if missing > 0 {
			found = append(found, drill.Finding{Severity: "warning", Code: "replica_misses_writes", Text: fmt.Sprintf(
				"%s says that it has caught up, but does not hold %s that %s holds.", m, plural(missing, "acknowledged write"), r.readBack.Primary)})
		}
	}
	return found
}

func set(seqs []int64) map[int64]bool {
	s := make(map[int64]bool, len(seqs))
	for _, seq := range seqs {
		s[seq] = true
	}
	return s
}
