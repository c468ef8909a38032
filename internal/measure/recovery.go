package measure

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// recovery is how one probe saw the target come back.
type recovery struct {
	probe    *probe
	slots    []slot // that say something about the fault
	outages  []outage
	estimate drill.Estimate
	never    bool
	at       drill.Offset // the estimate on the run's clock; without meaning when never
	// sure is the upper bound without the stretches after the recovery in which no slot could be judged: what was seen.
	sure drill.Seconds
}

// recovery measures the headline; nil when nothing can be said.
func (r *run) recovery() *recovery {
	if r.headline == nil || r.injection == nil {
		return nil
	}
	return r.recoveryOf(r.headline)
}

// fresh measures the target's fresh class where that is not the headline; nil when nothing can be said.
func (r *run) fresh() *recovery {
	for _, p := range r.of(drill.ClassFresh) {
		if p != r.headline && r.injection != nil && p.Check == "" && !p.Numeric() {
			return r.recoveryOf(p)
		}
	}
	return nil
}

// recoveryOf is the end of the last outage of the observation, which also holds an outage that the revert caused
// (MEASURING.md, "Recovery"). nil when no slot says anything.
func (r *run) recoveryOf(p *probe) *recovery {
	return r.recoveryBy(p, r.observed(p), p.criterion)
}

// answered is the recovery with every acknowledgement counted as up, however late it was.
func (r *run) answered(p *probe) *recovery {
	lenient := *p
	lenient.slots = slices.Clone(p.slots)
	for i, s := range lenient.slots {
		if s.state == down && s.Outcome == drill.OutcomeOK {
			lenient.slots[i].state = up
		}
	}
	return r.recoveryBy(&lenient, r.observed(&lenient), r.criterion(&lenient))
}

func (r *run) recoveryBy(p *probe, slots []slot, by criterion) *recovery {
	c := &recovery{probe: p, slots: slots, outages: outages(slots, by)}
	if len(c.outages) == 0 {
		if !slices.ContainsFunc(c.slots, isUp) {
			return nil
		}
		gap, seen, _ := widestGap(p.withUpBefore(c.slots, r.injection.from), p.gauge, by.blip)
		// No outage was seen; one between two up slots may have been missed, and this is how long it can have been.
		c.at, c.estimate.Upper, c.sure = r.injection.from, seconds(gap+p.gauge.within), seconds(seen+p.gauge.within)
		return c
	}
	last := c.outages[len(c.outages)-1]
	if last.up < 0 || quiet(last.to, lastUp(c.slots)) < r.settings.Window {
		c.never = true
		c.estimate = drill.Estimate{Estimate: drill.Never(), Upper: drill.Never(), Lower: max(0, seconds(last.to.Sub(r.injection.at)))}
		c.sure = drill.Never()
		return c
	}
	lower, upper := last.endBounds(c.slots, p.gauge)
	// The injection happened between the call and its return: the shortest recovery begins at the return.
	c.estimate.Lower = max(0, seconds(lower.Sub(r.injection.at)))
	c.sure = r.since(upper)
	if blind := blindUntil(c.slots[last.up:], p.gauge, by.blip); blind > upper {
		upper = blind // a relapse may have hidden there
	}
	c.estimate.Upper = r.since(upper)
	c.at = last.endEstimate(c.slots)
	c.estimate.Estimate = min(max(r.since(c.at), c.estimate.Lower), c.estimate.Upper)
	c.at = r.injection.from.Add(duration(c.estimate.Estimate))
	return c
}

func isUp(s slot) bool { return s.state == up }

// withUpBefore are the slots, and among them the newest of the probe's that was answered in time before the fault: a blip
// that the fault brought about at once began after that one's turn.
func (p *probe) withUpBefore(slots []slot, from drill.Offset) []slot {
	for _, s := range slices.Backward(p.slots) {
		if isUp(s) && ended(s) <= from {
			i, _ := slices.BinarySearchFunc(slots, s, func(a, b slot) int { return cmp.Compare(a.Scheduled, b.Scheduled) })
			return slices.Insert(slices.Clone(slots), i, s)
		}
	}
	return slots
}

// blindUntil is the latest end of a relapse that may have hidden in a stretch of at least a blip in which no slot could be
// judged: like any outage it had ended when the first up slot after it was answered, if there was one. 0 without such a
// stretch.
func blindUntil(slots []slot, g gauge, blip time.Duration) (end drill.Offset) {
	hidden := false
	for i, known := 0, slots[0].Scheduled; i < len(slots); i++ {
		s := slots[i]
		blind := s.Scheduled.Sub(known)
		if s.state != unknown {
			blind, known = blind-g.delta, s.Scheduled
		}
		hidden = hidden || blind >= blip
		if hidden && (s.state == up || i == len(slots)-1) {
			end, hidden = s.Done, false
		}
	}
	return end
}

func lastUp(slots []slot) drill.Offset {
	for _, s := range slices.Backward(slots) {
		if s.state == up {
			return s.Scheduled
		}
	}
	return 0
}

func duration(s drill.Seconds) time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// firstDown is the first down slot of the first outage.
func (c *recovery) firstDown() *slot {
	if len(c.outages) == 0 {
		return nil
	}
	return &c.slots[c.outages[0].first]
}

// firstSuccess is the accepted write that was answered first, of those sent after the outage began; after the injection
// when there was none. Late ones count: an acknowledgement is one however slow it was. What a victim acknowledges while
// it dies is no success: of the outage's own time only members count that also acknowledge after it.
func (c *recovery) firstSuccess(from drill.Offset) *slot {
	dying := ""
	var until drill.Offset
	if d := c.firstDown(); d != nil {
		from, until = d.Scheduled, c.outages[0].to
		for _, o := range c.outages[1:] { // what follows within a window is the same story to clients
			if o.from.Sub(until) < c.probe.criterion.window {
				until = o.to
			}
		}
		dying = c.passedOn(until)
	}
	var first *slot
	for i, s := range c.slots {
		if s.Outcome != drill.OutcomeOK || s.Sent <= from || dying != "" && s.By == dying && s.Sent <= until {
			continue
		}
		if first == nil || s.Done < first.Done {
			first = &c.slots[i]
		}
	}
	return first
}

// passedOn is the member that acknowledged before a moment, when it is another one that acknowledges next.
func (c *recovery) passedOn(at drill.Offset) string {
	former := ""
	for _, s := range c.slots {
		if s.Outcome != drill.OutcomeOK || s.By == "" {
			continue
		}
		if s.Sent > at {
			if s.By == former {
				return ""
			}
			return former
		}
		former = cmp.Or(former, s.By)
	}
	return ""
}

// heir is the member that acknowledges after the recovery.
func (c *recovery) heir() string {
	if c.never || len(c.outages) == 0 {
		return ""
	}
	for _, s := range c.slots[c.outages[len(c.outages)-1].up:] {
		if s.state == up && s.By != "" {
			return s.By
		}
	}
	return ""
}

// outcome names how the target came back; empty when no answer said who gave it.
func (r *run) outcome(c *recovery) drill.RecoveryOutcome {
	heir := c.heir()
	switch {
	case len(c.outages) == 0:
		return drill.OutcomeNoImpact
	case c.never:
		return drill.OutcomeNotRecovered
	case r.settings.NoLedger:
		return drill.OutcomeReplaced
	case heir == "":
		return ""
	case heir == r.former() && !r.deposed(heir):
		return drill.OutcomeRestartedInPlace
	}
	return drill.OutcomeFailedOver
}

// handedOver reports whether clients are served by another member in the end than before the fault.
func (r *run) handedOver() bool {
	if r.headline == nil {
		return false
	}
	for _, s := range slices.Backward(r.observed(r.headline)) {
		if s.state == up && s.By != "" {
			return s.By != r.former()
		}
	}
	return false
}

// deposed reports whether another member led after the injection, also if it does no more.
func (r *run) deposed(former string) bool {
	return slices.ContainsFunc(r.observed(r.headline), func(s slot) bool { return s.state == up && s.By != "" && s.By != former })
}

func (r *run) recoveryReport(c *recovery, shown *replay) *drill.RecoveryReport {
	if c == nil {
		return nil
	}
	g := c.probe.gauge
	rep := &drill.RecoveryReport{
		Target: r.target, Outcome: r.outcome(c), HeadlineClass: c.probe.Class,
		UpWithin: seconds(g.within), Estimate: c.estimate, Blip: seconds(c.probe.criterion.blip),
		Outages: r.outageReports(c), Blips: c.blips(), LateRatio: r.lateRatio(c),
		ByClass: map[drill.Class]drill.Estimate{},
	}
	for _, o := range rep.Outages {
		rep.LongestOutage = max(rep.LongestOutage, o.Seconds)
	}
	if a := r.answered(c.probe); a != nil {
		rep.Answered = &a.estimate
	}
	rep.Failed, rep.Slow = downtime(c.slots, g.delta)
	rep.Unavailable = rep.Failed + rep.Slow
	rep.FirstSuccess = new(drill.Never())
	if s := c.firstSuccess(r.injection.from); s != nil {
		*rep.FirstSuccess = r.since(s.Done)
	}
	rep.Flaps = r.flaps()
	rep.ByClass[c.probe.Class] = c.estimate
	if other := r.fresh(); other != nil {
		rep.ByClass[drill.ClassFresh] = other.estimate
	}
	if r.settings.NoLedger {
		rep.Redundancy = r.replaced(c)
	} else {
		rep.Redundancy = r.redundancy(c, shown)
	}
	rep.Phases = r.phases(c, rep)
	return rep
}

// settled is how long full redundancy must last to count.
const settled = 2 * time.Second

// redundancy is when every member of the plan was back, streaming and close enough, at or after the recovery. nil when
// no pinned probe could tell; never when the observation ended without it.
func (r *run) redundancy(c *recovery, shown *replay) *drill.Seconds {
	if len(r.members) == 0 || shown.readings == 0 {
		return nil
	}
	if c.never {
		return new(drill.Never())
	}
	if len(c.outages) == 0 {
		// Without an outage there is no recovery to begin at, and the members look well until the fault is felt:
		// what counts is the stretch that lasted to the end.
		if n := len(shown.whole); n > 0 && shown.whole[n-1].to == forever && r.lasting(shown.whole[n-1]) {
			return new(max(0, r.since(shown.whole[n-1].from)))
		}
		return new(drill.Never())
	}
	for _, w := range shown.whole {
		from := max(w.from, c.at)
		if r.lasting(span{from, w.to}) {
			return new(r.since(from))
		}
	}
	return new(drill.Never())
}

// lasting reports whether redundancy lasted for long enough; what was there at the end, as far as it was seen.
func (r *run) lasting(w span) bool { return min(w.to, r.finish).Sub(w.from) >= settled }

// blindness tells of the longest stretch after the recovery in which no slot could be judged: a relapse may have hidden
// there, and the upper bound reaches to its end.
func (r *run) blindness(c *recovery) []drill.Finding {
	if c == nil || len(c.outages) == 0 {
		return nil
	}
	var from, at drill.Offset
	var longest time.Duration
	i := max(c.outages[len(c.outages)-1].up, 0)
	from = c.slots[i].Scheduled
	for _, s := range c.slots[i:] {
		if s.state == unknown {
			continue
		}
		if d := s.Scheduled.Sub(from) - c.probe.gauge.delta; d > longest {
			longest, at = d, from
		}
		from = s.Scheduled
	}
	if longest < c.probe.criterion.blip {
		return nil
	}
	return []drill.Finding{{Severity: "warning", Code: "blind_stretch", Text: fmt.Sprintf(
		"drill could not probe for %s, from %s after the fault: an outage in that time would not have been seen.",
		say(seconds(longest)), say(r.since(at)))}}
}

// faultReports says what was done to whom, in the order of the plan.
func (r *run) faultReports() []drill.FaultReport {
	reps := []drill.FaultReport{}
	back := map[string]*drill.Estimate{} // from each of several
	if parts := r.parts(); len(parts) > 1 {
		for _, part := range parts {
			back[part.title()] = part.alone()
		}
	}
	for _, p := range r.plans {
		f := drill.FaultReport{Kind: p.Kind, Name: p.Name, Method: p.Method, Victims: append([]drill.Member{}, p.Victims...), Residue: []string{}}
		for _, c := range slices.SortedStableFunc(slices.Values(r.faults), func(a, b change) int { return cmp.Compare(a.at, b.at) }) {
			if c.Kind != p.Kind || c.Name != p.Name {
				continue
			}
			switch c.State {
			case drill.FaultInjecting:
				f.Reverted, f.RevertedOffset = false, nil // what was reverted before was only prepared
			case drill.FaultInjected:
				f.InjectedOffset = new(drill.Seconds(c.From.Seconds()))
				f.Spared = c.Spared
			case drill.FaultConfirmed:
				f.Confirmed, f.ConfirmedBy = true, c.By
			case drill.FaultUnconfirmed:
				f.Confirmed = false
			case drill.FaultReverted:
				f.Reverted, f.RevertedOffset = true, new(drill.Seconds(c.at.Seconds()))
				f.Residue = append([]string{}, c.Residue...)
			case drill.FaultResidue:
				f.Reverted, f.RevertedOffset = false, nil
				f.Residue = append([]string{}, c.Residue...)
			}
		}
		f.Recovery = back[p.Kind+" "+p.Name]
		reps = append(reps, f)
	}
	return reps
}
