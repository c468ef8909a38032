package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// unsentLimit is the share of slots that may go unsent before the measurement cannot be vouched for.
const unsentLimit = 0.05

// leastAnswers is how many answers the baseline must hold: the slowest of 20 is above the p86 of all with 95 %
// confidence (1 - 0.86^20), and up allows five times as much.
const leastAnswers = 20

// doubts lists why the fault or the measurement cannot be vouched for.
func (r *run) doubts(rep drill.Report) []drill.Reason {
	var why []drill.Reason
	doubt := func(code, format string, args ...any) {
		why = append(why, drill.Reason{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	if len(rep.Faults) == 0 || r.injection == nil {
		doubt("no_fault", "No fault was injected, so nothing was tested.")
	}
	for _, name := range notInjected(rep.Faults) {
		if r.injection != nil {
			doubt("fault_not_injected", "The fault %s was never injected.", name)
		}
	}
	for _, f := range rep.Faults {
		if !f.Confirmed && f.InjectedOffset != nil {
			doubt("fault_unconfirmed", "The fault %s %q cannot be shown to have taken effect.", f.Kind, f.Name)
		}
	}
	// A pinned session may be served while no client is: only writes through the Service show that clients were.
	switch {
	case r.settings.NoLedger && (r.headline == nil || !slices.ContainsFunc(r.headline.slots, answered)):
		doubt("no_successful_slot", "Not one request of a probe that stands for clients succeeded in the whole run, so nothing was measured.")
	case r.settings.NoLedger:
	case rep.Writes == nil || r.headline == nil || !slices.ContainsFunc(r.headline.slots, acknowledged):
		doubt("no_acknowledged_write", "Not one write through the Service was acknowledged in the whole run, so nothing was measured.")
	}
	if r.headline == nil {
		return why
	}
	r.proberDoubts(len(why) == 0, doubt)
	if rep.Recovery == nil {
		if r.injection != nil {
			doubt("nothing_measured", "No slot after the fault says anything of the target.")
		}
		return why
	}
	if began, ok := r.alreadyDown(); ok && len(why) == 0 {
		doubt("already_down", "Clients had been out for %s when the fault was injected: that outage is not the fault's.",
			say(seconds(r.injection.from.Sub(began))))
	}
	r.observationDoubts(rep, doubt)
	return why
}

// observationDoubts are those that come of how long, and how well, the target was watched after the fault.
func (r *run) observationDoubts(rep drill.Report, doubt func(code, format string, args ...any)) {
	r.brevity(doubt)
	worse := r.worse()
	if limit, ok := limitOf(r.limits, drill.ObjectiveRecoveryTime); ok && float64(worse.sure) <= limit && float64(worse.estimate.Upper) > limit {
		doubt("undecided", "The slots of the probe %s could not be judged for a while, up to %s after the fault: whether recovery_time was met is not known.",
			worse.probe.Name, say(worse.estimate.Upper))
	}
	lost, blind := rep.Recovery.Unavailable, r.blindTime()
	if limit, ok := limitOf(r.limits, drill.ObjectiveUnavailable); ok && float64(lost) <= limit && float64(lost+blind) > limit {
		doubt("undecided", "The slots of the probe %s could not be judged for %s after the fault: whether unavailable was met is not known.",
			r.headline.Name, say(blind))
	}
}

// brevity doubts an observation that ended before a late impact could have come, unless clients were out when it ended:
// that is a failure, however short it was.
func (r *run) brevity(doubt func(code, format string, args ...any)) {
	var short *recovery
	for _, c := range []*recovery{r.recovery(), r.fresh()} {
		switch {
		case c == nil || len(c.slots) == 0:
		case c.out():
			return
		case short == nil && r.watched(c) < r.settings.ImpactTimeout-2*c.probe.Interval-c.probe.gauge.within:
			short = c
		}
	}
	if short != nil {
		doubt("observation_too_short", "The probe %s watched the target for %s after the fault, and an impact may come as late as %s.",
			short.probe.Name, say(seconds(r.watched(short))), say(seconds(r.settings.ImpactTimeout)))
	}
}

// watched is how long a probe went on after the last injection.
func (r *run) watched(c *recovery) time.Duration {
	return c.slots[len(c.slots)-1].Scheduled.Sub(r.lastInjection())
}

// limitOf is the limit of an objective, if there is one.
func limitOf(limits []drill.Objective, name string) (limit float64, ok bool) {
	for _, o := range limits {
		if o.Name == name {
			return o.Limit, true
		}
	}
	return 0, false
}

// blindTime is how long the slots of the headline stand for that say nothing, in stretches of a blip and longer.
func (r *run) blindTime() (sum drill.Seconds) {
	var last *slot
	slots := r.observed(r.headline)
	for i, s := range slots {
		if s.state == unknown {
			continue
		}
		if last != nil {
			if d := s.Scheduled.Sub(last.Scheduled) - r.headline.gauge.delta; d >= r.headline.criterion.blip {
				sum += seconds(d)
			}
		}
		last = &slots[i]
	}
	return sum
}

// out reports whether the target was in an outage when the observation ended.
func (c *recovery) out() bool { return len(c.outages) > 0 && c.outages[len(c.outages)-1].up < 0 }

// worse is the class that came back later, of the headline and the fresh one: a service that nobody new can reach is not
// back.
func (r *run) worse() *recovery {
	c, fresh := r.recovery(), r.fresh()
	if c == nil || fresh != nil && fresh.estimate.Upper > c.estimate.Upper && len(fresh.outages) > 0 {
		return fresh
	}
	return c
}

// alreadyDown is when an outage began that was open when the fault was injected: it is not the fault's.
func (r *run) alreadyDown() (began drill.Offset, ok bool) {
	if r.injection == nil {
		return 0, false
	}
	for _, p := range append([]*probe{r.headline}, r.of(drill.ClassFresh)...) {
		b := r.baseline(p)
		f := &finder{criterion: newCriterion(p.Interval, r.settings.Blip)}
		for _, s := range p.slots {
			overdue := s.Scheduled < b.to.Add(-p.gauge.within)
			if s.Scheduled >= b.from && s.Scheduled < b.to && (ended(s) <= b.to || overdue) {
				f.add(s)
			}
		}
		if all := f.end(); len(all) > 0 && all[len(all)-1].up < 0 {
			return all[len(all)-1].from, true
		}
	}
	return 0, false
}

// proberDoubts are those that the prober itself raises. heard says that something was answered at all.
func (r *run) proberDoubts(heard bool, doubt func(code, format string, args ...any)) {
	p := r.headline
	if r.slept {
		doubt("machine_slept", "The machine that drill ran on was suspended during the run, and the run's clock did not count that time.")
	}
	if n := r.disorder(); n > 0 {
		doubt("clock_disorder", "%s of the probe %s ended before it began, so the clock cannot be trusted.", plural(n, "slot"), p.Name)
	}
	if n := p.answers(r.baseline(p)); heard && n < leastAnswers {
		doubt("baseline_too_thin", "Before the fault the probe %s was answered %s, and from fewer than %d answers nobody can say how quick is up. Raise its rate, or hold of steady_state.",
			p.Name, plural(n, "time"), leastAnswers)
	}
	late, gone, mute := r.starvation()
	if late > p.Interval {
		doubt("late_prober", "The probe %s sent its slots up to %s late (p99), and its slots are %s apart: drill itself was starved.",
			p.Name, say(seconds(late)), say(seconds(p.Interval)))
	}
	if gone > unsentLimit {
		doubt("unsent_slots", "The probe %s could not send %.1f %% of its slots, and more than %.0f %% void the measurement.",
			p.Name, 100*gone, 100*unsentLimit)
	}
	if mute > unsentLimit && late <= p.Interval { // else that has said it
		doubt("unjudged_slots", "drill itself did not run while %.1f %% of the slots of the probe %s waited for their answers, so they say nothing, and more than %.0f %% void the measurement.",
			100*mute, p.Name, 100*unsentLimit)
	}
}
