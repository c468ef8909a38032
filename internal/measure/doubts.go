package measure

import (
	"fmt"
	"slices"

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
	watched := r.finish.Sub(r.lastInjection())
	if slack := 2*r.headline.Interval + r.headline.gauge.within; rep.Recovery.Outcome != drill.OutcomeNotRecovered && watched < r.settings.ImpactTimeout-slack {
		doubt("observation_too_short", "The target was watched for %s after the fault, and an impact may come as late as %s.",
			say(seconds(watched)), say(seconds(r.settings.ImpactTimeout)))
	}
	return why
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
