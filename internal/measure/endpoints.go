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

// strikes is the target's standing with everybody hurt whom the run's faults hurt.
func (r *run) strikes() *standing {
	s := &standing{}
	for _, p := range r.plans {
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
	s := r.strikes()
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
	after := slices.Clone(r.presence[max(0, i-1):])
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
		if w.to == forever || w.to.Sub(from) >= settled {
			return new(max(0, r.since(from)))
		}
	}
	return new(drill.Never())
}

// newcomers are the moments at which the first pod that was not there before was Ready, and at which as many were as
// had been hurt; nil when it never came so far.
func (r *run) newcomers() (first, all *milestone) {
	s := r.strikes()
	before := map[string]bool{}
	for _, m := range r.members {
		before[m.UID] = true
	}
	for _, p := range r.aftermath() {
		var fresh []string
		for _, m := range p.Ready {
			if !before[m.UID] {
				fresh = append(fresh, m.Name)
			}
		}
		if len(fresh) > 0 && first == nil {
			first = &milestone{phaseReady, p.at, "pod " + fresh[0] + " is Ready"}
		}
		if len(fresh) >= len(s.hurt) && len(fresh) > 0 && all == nil {
			all = &milestone{phaseReady, p.at, fmt.Sprintf("%s Ready", plural(len(fresh), "new pod"))}
		}
	}
	return first, all
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
	if len(r.strikes().hurt) > 0 {
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
func (r *run) passage(c *recovery, rep *drill.RecoveryReport) []milestone {
	ms := r.clientMilestones(c)
	for i := range ms {
		if !c.never {
			ms[i].at = min(ms[i].at, c.at) // the first good answer ends the outage, whose end is estimated
		}
	}
	hurt := r.strikes().hurt
	known := map[string]bool{}
	victims := plural(len(hurt), "victim")
	for _, m := range r.members {
		known[m.UID] = true
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
				ms = append(ms, milestone{phaseRouted, p.at, "the Service leads to " + e.Name})
			}
		}
		if gone && !left {
			left = true
			ms = append(ms, milestone{phaseDetected, p.at, "the Service dropped " + victims})
		}
	}
	if first, _ := r.newcomers(); first != nil {
		ms = append(ms, *first)
	}
	order := []string{phaseImpact, phaseDetected, phaseReady, phaseRouted, phaseFirstSuccess, phaseSustained}
	slices.SortStableFunc(ms, func(a, b milestone) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(slices.Index(order, a.name), slices.Index(order, b.name)))
	})
	if red := rep.Redundancy; red != nil && *red != drill.Never() {
		ms = append(ms, milestone{phaseRedundant, r.injection.from.Add(duration(*red)), "as many ready endpoints as are desired"})
	}
	return ms
}
