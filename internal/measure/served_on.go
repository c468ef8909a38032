package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// servedOnFor is how long a killed member may go on acknowledging writes before the report has a finding about it.
const servedOnFor = time.Second

// servedOn finds victims of a kill that went on acknowledging writes. A deleted pod's process lives until the kubelet
// ends it and serves those who are connected, so such a kill was no power cut, and the outage began that much later.
func (r *run) servedOn() []drill.Finding {
	var found []drill.Finding
	for _, p := range r.plans {
		if p.Kind != "kill_primary" && p.Kind != "pod_kill" {
			continue
		}
		injected, spared := r.injectionOf(p)
		if injected == nil {
			continue
		}
		for _, v := range p.Victims {
			if slices.ContainsFunc(spared, func(m drill.Member) bool { return m.UID == v.UID }) {
				continue
			}
			writes, last := r.acksOfVictim(v.Name, *injected)
			if last.Sub(*injected) <= servedOnFor {
				continue
			}
			found = append(found, drill.Finding{Severity: "warning", Code: "victim_served_on", Text: fmt.Sprintf(
				"After the injection of %s %q (%s), the victim %s still acknowledged %s, the last one %s after the injection: "+
					"its process ended later than its pod object.",
				p.Kind, p.Name, p.Method, v.Name, plural(writes, "write"), say(seconds(last.Sub(*injected))))})
		}
	}
	return found
}

// injectionOf is when the injection of a fault began, and whom it spared; nil when it was not injected.
func (r *run) injectionOf(p drill.FaultPlan) (from *drill.Offset, spared []drill.Member) {
	for _, c := range r.faults {
		if c.Kind == p.Kind && c.Name == p.Name && c.State == drill.FaultInjected {
			from, spared = new(c.From), c.Spared
		}
	}
	return from, spared
}

// acksOfVictim counts the writes that a member acknowledged after its pod was killed, and returns when it acknowledged
// the last one. Neither what was sent after a new pod of that name had answered counts, nor what came after a pause of
// servedOnFor: a new pod may serve through the Service a moment before its pinned session is open.
func (r *run) acksOfVictim(name string, killed drill.Offset) (writes int, last drill.Offset) {
	replaced := r.replacedAt(name, killed)
	var acks []drill.Offset
	for _, p := range r.probes {
		if p.Target != r.target {
			continue
		}
		for _, s := range p.slots {
			if acknowledged(s) && by(s) == name && s.Done > killed && s.Sent < replaced {
				acks = append(acks, s.Done)
			}
		}
	}
	slices.Sort(acks)
	last = killed
	for _, at := range acks {
		if at.Sub(last) > servedOnFor {
			break
		}
		writes, last = writes+1, at
	}
	return writes, last
}

// replacedAt is when the first slot was sent that another pod of the member's name answered.
func (r *run) replacedAt(name string, killed drill.Offset) drill.Offset {
	for _, p := range r.of(drill.ClassPinned) {
		if p.Member != name {
			continue
		}
		uid := ""
		for _, s := range p.slots {
			switch {
			case s.Reading == nil:
			case s.Sent < killed:
				uid = s.Reading.UID
			case uid != "" && s.Reading.UID != uid:
				return s.Sent
			}
		}
	}
	return forever
}
