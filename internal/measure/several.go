package measure

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// phaseNext ends where the next of several faults was injected.
const phaseNext = "next_fault"

// parts cuts a run with several faults at their injections: each part is the run as if it had but this fault, up to the
// next one. A run with one fault, or none, is one part.
func (r *run) parts() []*run {
	var injected []change
	for _, f := range r.faults {
		if f.State == drill.FaultInjected {
			injected = append(injected, f)
		}
	}
	if len(injected) < 2 {
		return []*run{r}
	}
	slices.SortStableFunc(injected, func(a, b change) int { return cmp.Compare(a.From, b.From) })
	var parts []*run
	for i, f := range injected {
		part := *r
		part.injection = &injection{from: f.From, at: f.at}
		part.plans = slices.DeleteFunc(slices.Clone(r.plans), func(p drill.FaultPlan) bool { return p.Kind != f.Kind || p.Name != f.Name })
		if i+1 < len(injected) {
			part.until = injected[i+1].From
		}
		parts = append(parts, &part)
	}
	return parts
}

// last reports whether no fault comes after the part's.
func (r *run) last() bool { return r.until == forever }

// title names the part's fault.
func (r *run) title() string {
	if len(r.plans) == 0 {
		return ""
	}
	return r.plans[0].Kind + " " + r.plans[0].Name
}

// alone is how the target came back from one of several faults; nil when the next one came before that can be told.
func (r *run) alone() *drill.Estimate {
	c := r.recovery()
	if c == nil || c.never && !r.last() {
		return nil
	}
	return &c.estimate
}

// flaps counts the outages that began after the first success. One that a later fault brings about is none.
func (r *run) flaps() (n int) {
	for _, part := range r.parts() {
		c := part.recovery()
		if c == nil {
			continue
		}
		first := c.firstSuccess(part.injection.from)
		for _, o := range c.outages {
			if first != nil && c.slots[o.first].Scheduled > first.Done {
				n++
			}
		}
	}
	return n
}

// courses are the milestones of every fault up to the recovery, one after the other. An outage that outlasts the next
// fault's injection is told of there.
func (r *run) courses(c *recovery) []milestone {
	var all []milestone
	for _, part := range r.parts() {
		own := part.recovery()
		if own == nil {
			continue
		}
		ms := part.milestones(own)
		end := part.until
		if !own.never && !r.settings.NoLedger {
			end = min(end, own.at)
		}
		final := part.last() || !c.never && part.until >= c.at // no outage came after it
		for _, m := range ms {
			m.at, m.fault = min(m.at, end), part.title()
			if m.name == phaseSustained && final {
				m.at, m.fault = c.at, "" // the recovery of the run
			}
			all = append(all, m)
		}
		if final {
			break
		}
		all = append(all, milestone{name: phaseNext, at: part.until, signal: "the next fault was injected", fault: part.title()})
	}
	return all
}

// notInjected lists the faults that the run never came to.
func notInjected(faults []drill.FaultReport) []string {
	var all []string
	for _, f := range faults {
		if f.InjectedOffset == nil {
			all = append(all, fmt.Sprintf("%s %q", f.Kind, f.Name))
		}
	}
	return all
}
