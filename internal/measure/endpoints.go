package measure

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// presence is who could serve from a moment on.
type presence struct {
	at drill.Offset
	drill.Readiness
}

// methodEvict is the only way of removing a pod that asks a PodDisruptionBudget.
const methodEvict = "evict"

// strikes is the target's standing with everybody hurt whom the run's faults hurt; with forGood, without the victims of
// those that last, who come back as they are: see Live.strike.
func (r *run) strikes(forGood bool) *standing {
	s := &standing{}
	for _, p := range r.plans {
		if forGood && p.Hold > 0 {
			continue
		}
		for _, f := range r.faults {
			if f.Kind == p.Kind && f.Name == p.Name && f.State == drill.FaultInjected {
				s.strike(p.Victims, f.Spared)
			}
		}
	}
	return s
}

// standings are the stretches in which the target without a ledger was whole again after the injection.
func (r *run) standings() []span {
	s := r.strikes(true)
	var whole []span
	for _, p := range r.aftermath() {
		s.see(p.at, p.Readiness)
		ok, _ := s.whole()
		n := len(whole)
		switch open := n > 0 && whole[n-1].to == forever; {
		case ok && !open:
			whole = append(whole, span{p.at, forever})
		case !ok && open:
			whole[n-1].to = p.at
		}
	}
	return whole
}

// aftermath lists who could serve from the injection on; the first entry is what held at that moment.
func (r *run) aftermath() []presence {
	if r.injection == nil {
		return nil
	}
	from := r.injection.from
	i, _ := slices.BinarySearchFunc(r.presence, from, func(p presence, t drill.Offset) int { return cmp.Compare(p.at, t+1) })
	end, _ := slices.BinarySearchFunc(r.presence, r.until, func(p presence, t drill.Offset) int { return cmp.Compare(p.at, t) })
	after := slices.Clone(r.presence[min(max(0, i-1), end):end])
	if len(after) > 0 && i > 0 {
		after[0].at = from
	}
	return after
}

// replaced is how long after the injection the target was whole again, and stayed so; nil when nobody told who could
// serve, never when the observation ended without it.
func (r *run) replaced(c *recovery) *drill.Seconds {
	if len(r.presence) == 0 {
		return nil
	}
	if c.never {
		return new(drill.Never())
	}
	for _, w := range r.standings() {
		from := max(w.from, c.at)
		if r.lasting(span{from, w.to}) {
			return new(max(0, r.since(from)))
		}
	}
	return new(drill.Never())
}

// newcomers are the moments at which the first pod that was not there before was Ready, and at which as many were as
// had been hurt; nil when it never came so far. One that a later fault hurt in its turn has replaced nobody.
func (r *run) newcomers() (first, all *milestone) {
	hurt, before := r.strikes(false).hurt, r.present()
	lost := 0
	for uid := range hurt {
		if before[uid] {
			lost++
		}
	}
	for _, p := range r.aftermath() {
		var fresh []string
		stay := 0
		for _, m := range p.Ready {
			if before[m.UID] {
				continue
			}
			if fresh = append(fresh, m.Name); !hurt[m.UID] {
				stay++
			}
		}
		if len(fresh) > 0 && first == nil {
			first = &milestone{name: phaseReady, at: p.at, signal: "pod " + fresh[0] + " is Ready"}
		}
		if stay >= lost && stay > 0 && all == nil {
			all = &milestone{name: phaseReady, at: p.at, signal: fmt.Sprintf("%s Ready", plural(stay, "new pod"))}
		}
	}
	return first, all
}

// present are the pods that were there at the injection, by UID.
func (r *run) present() map[string]bool {
	there := map[string]bool{}
	for _, m := range r.members {
		there[m.UID] = true
	}
	if after := r.aftermath(); len(after) > 0 && after[0].at == r.injection.from {
		for _, m := range after[0].Ready {
			there[m.UID] = true
		}
	}
	return there
}

// endpoints says whether the Service had somebody to lead to.
func (r *run) endpoints() *drill.EndpointsReport {
	if !r.settings.NoLedger {
		return nil
	}
	rep := &drill.EndpointsReport{Budgets: []drill.BudgetReport{}}
	if n := len(r.presence); n > 0 {
		rep.Desired = new(r.presence[n-1].Desired)
	}
	seen := r.aftermath()
	if len(seen) == 0 {
		return rep
	}
	rep.Desired = new(seen[0].Desired)
	least, without := len(seen[0].Endpoints), drill.Seconds(0)
	for i, p := range seen {
		least = min(least, len(p.Endpoints))
		end := max(r.finish, p.at)
		if i+1 < len(seen) {
			end = seen[i+1].at
		}
		if len(p.Endpoints) == 0 {
			without += seconds(end.Sub(p.at))
		}
	}
	rep.LeastReady, rep.NoEndpoints = &least, &without
	if len(r.strikes(false).hurt) > 0 {
		rep.NewMember = &drill.NewMember{First: drill.Never(), All: drill.Never()}
		first, all := r.newcomers()
		if first != nil {
			rep.NewMember.First = r.since(first.at)
		}
		if all != nil {
			rep.NewMember.All = r.since(all.at)
		}
	}
	for _, b := range seen[0].Budgets {
		rep.Budgets = append(rep.Budgets, drill.BudgetReport{Name: b.Name, AllowedBefore: b.Allowed, Covers: b.Covers, Text: r.mattered(b)})
	}
	return rep
}

// mattered answers whether a PodDisruptionBudget made a difference. It guards evictions alone: it neither keeps anybody
// from deleting a pod nor a node from dying.
func (r *run) mattered(b drill.Budget) string {
	evicted, spared := 0, 0
	for _, p := range r.plans {
		for _, f := range r.faults {
			if p.Method == methodEvict && f.Kind == p.Kind && f.Name == p.Name && f.State == drill.FaultInjected {
				evicted += len(p.Victims) - len(f.Spared)
				spared += len(f.Spared)
			}
		}
	}
	switch {
	case evicted+spared == 0:
		return fmt.Sprintf("It did not matter (%s, %d allowed): a budget guards evictions, and nobody asks it before a delete or a crash.", b.Rule, b.Allowed)
	case spared == 0:
		return fmt.Sprintf("It allowed what was asked for: %s (%s, %d allowed before).", plural(evicted, "eviction"), b.Rule, b.Allowed)
	}
	return fmt.Sprintf("It allowed %d of %s and kept the rest running (%s, %d allowed before).",
		evicted, plural(evicted+spared, "eviction"), b.Rule, b.Allowed)
}

// passage lists what became of a target without a ledger, in the order in which it happened: a member that serves for a
// victim may be there long before the new pod is.
func (r *run) passage(c *recovery) []milestone {
	ms := r.clientMilestones(c)
	for i := range ms {
		if !c.never {
			ms[i].at = min(ms[i].at, c.at) // the first good answer ends the outage, whose end is estimated
		}
	}
	hurt := r.strikes(false).hurt
	known := r.present()
	victims := plural(len(hurt), "victim")
	for _, m := range r.members {
		if len(hurt) == 1 && hurt[m.UID] {
			victims = m.Name
		}
	}
	left, routed := false, false
	for _, p := range r.aftermath() {
		gone := len(hurt) > 0
		for _, e := range p.Endpoints {
			gone = gone && !hurt[e.UID]
			if !routed && e.UID != "" && !known[e.UID] {
				routed = true
				ms = append(ms, milestone{name: phaseRouted, at: p.at, signal: "the Service leads to " + e.Name})
			}
		}
		if gone && !left {
			left = true
			ms = append(ms, milestone{name: phaseDetected, at: p.at, signal: "the Service dropped " + victims})
		}
	}
	if first, _ := r.newcomers(); first != nil {
		ms = append(ms, *first)
	}
	order := []string{phaseImpact, phaseDetected, phaseReady, phaseRouted, phaseFirstSuccess, phaseSustained}
	slices.SortStableFunc(ms, func(a, b milestone) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(slices.Index(order, a.name), slices.Index(order, b.name)))
	})
	return ms
}
