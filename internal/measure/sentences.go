package measure

import (
	"fmt"
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// mostOutagesTold is how many outages a sentence lists.
const mostOutagesTold = 3

// atOnce is how soon after the fault an outage begins that needs no word on when it began.
const atOnce = drill.Seconds(1)

// lateBack says how clients came back later than the limit, or not at all.
func (r *run) lateBack(rep drill.Report, limit drill.Seconds) string {
	rec := rep.Recovery
	class, e := worseClass(rec)
	slower := rec.Answered != nil && rec.Answered.Upper <= limit && rec.Answered.Estimate != drill.Never()
	switch {
	case class != rec.HeadlineClass && e.Lower > rec.Upper: // else the error bars do not tell the two apart
		return fmt.Sprintf("%s, limit %s.", freshBack(rep, e), say(limit))
	case slower && rec.Slow > 0 && rec.Estimate.Estimate == drill.Never():
		return fmt.Sprintf("%s, limit %s.", r.slowBack(rep), say(limit))
	case rec.Estimate.Estimate == drill.Never():
		return fmt.Sprintf("%s never came back%s, limit %s%s.", subject(rep), forGood(rec), say(limit), course(rec))
	}
	return fmt.Sprintf("%s came back after %s (at worst %s), limit %s%s.", subject(rep), say(rec.Estimate.Estimate), say(e.Upper), say(limit), course(rec))
}

// forGood is said where clients were served in between.
func forGood(rec *drill.RecoveryReport) string {
	if rec.FirstSuccess == nil || *rec.FirstSuccess == drill.Never() {
		return ""
	}
	return " for good"
}

// neverBack says that clients were not served for good when the observation ended.
func (r *run) neverBack(rep drill.Report) string {
	if a := rep.Recovery.Answered; a != nil && a.Estimate != drill.Never() && rep.Recovery.Slow > 0 {
		return r.slowBack(rep)
	}
	return subject(rep) + " never came back for good while drill watched" + course(rep.Recovery)
}

// slowBack says that clients are answered again, and too slowly.
func (r *run) slowBack(rep drill.Report) string {
	c := r.recovery()
	b := r.baseline(c.probe)
	before := (&recovery{slots: c.probe.between(b.from, b.to)}).latencyAfter(b.from)
	from := r.injection.from.Add(duration(rep.Recovery.Answered.Estimate))
	return fmt.Sprintf("%s acknowledged again after %s, but take longer than %s ever since (p99 %s; before %s)", areServed(rep),
		say(rep.Recovery.Answered.Estimate), say(rep.Recovery.UpWithin), say(seconds(c.latencyAfter(from))), say(seconds(before)))
}

// freshBack says when new clients were served again, beside those with open sessions.
func freshBack(rep drill.Report, fresh drill.Estimate) string {
	open := fmt.Sprintf("open sessions after %s", say(rep.Recovery.Estimate.Estimate))
	switch {
	case rep.Recovery.Estimate.Estimate == drill.Never():
		open = "neither were open sessions"
	case rep.Recovery.Outcome == drill.OutcomeNoImpact:
		open = "open sessions saw no outage"
	}
	if fresh.Estimate == drill.Never() {
		return fmt.Sprintf("New connections were never served again for good while drill watched; %s", open)
	}
	return fmt.Sprintf("New connections were served again after %s (at worst %s); %s", say(fresh.Estimate), say(fresh.Upper), open)
}

// course tells of the outages where the recovery time alone would mislead: when there were several, or one that began late.
func course(rec *drill.RecoveryReport) string {
	if len(rec.Outages) == 0 || len(rec.Outages) == 1 && rec.Outages[0].Start < atOnce {
		return ""
	}
	var parts []string
	for i, o := range rec.Outages {
		if i == mostOutagesTold {
			parts = append(parts, plural(len(rec.Outages)-i, "time")+" more")
			break
		}
		parts = append(parts, spell(o, i == 0))
	}
	return ": " + strings.Join(parts, ", and ")
}

// spell says how long an outage took, and when.
func spell(o drill.OutageReport, first bool) string {
	what := map[drill.OutageKind]string{drill.OutageFailed: "out", drill.OutageSlow: "too slow", drill.OutageReadOnly: "read-only", drill.OutagePieces: "out in pieces"}[o.Kind]
	long, when := "for "+say(o.Seconds), fmt.Sprintf(" from %s on", say(o.Start))
	switch {
	case o.Seconds == drill.Never():
		long = "to the end"
	case first && o.Start < atOnce:
		when = " by the fault"
	}
	if !first {
		if what == "out" {
			what = "again"
		} else {
			what = "again " + what
		}
	}
	return what + " " + long + when
}

// wasOut begins a sentence on what clients lost.
func wasOut(rep drill.Report) string {
	if rep.Endpoints != nil {
		return "The service was"
	}
	return "Writes were"
}

func areServed(rep drill.Report) string {
	if rep.Endpoints != nil {
		return "Requests are"
	}
	return "Writes are"
}

// twoWriters says who accepted writes at the same time.
func (r *run) twoWriters(long drill.Seconds) string {
	who := strings.Join(r.writers(), " and ")
	if who == "" {
		who = "Two members"
	}
	return fmt.Sprintf("%s accepted writes at the same time for %s", who, say(long))
}

// notFailedOver says what happened in place of a failover.
func notFailedOver(rec *drill.RecoveryReport) string {
	switch rec.Outcome {
	case drill.OutcomeNoImpact:
		return "Nobody failed over: clients saw no outage, so no failover was tested."
	case drill.OutcomeRestartedInPlace:
		return "Nobody failed over: the same member came back and leads again."
	}
	return "No member served clients for good while drill watched, so none took over for good."
}

// recoveryFindings are what a reader of the recovery time must know beside it.
func (r *run) recoveryFindings(c *recovery, rec *drill.RecoveryReport) []drill.Finding {
	if rec == nil {
		return nil
	}
	found := slices.Concat(r.servedOn(), r.blindness(c), r.slower(c), pauses(rec))
	warn := func(code, text string) {
		found = append(found, drill.Finding{Severity: "warning", Code: code, Text: text})
	}
	if r.wantsFailover(rec.Outcome) {
		warn("not_failed_over", notFailedOver(rec))
	}
	if _, judged := limitOf(r.limits, drill.ObjectiveRedundancyTime); !judged && rec.Redundancy != nil && *rec.Redundancy == drill.Never() {
		warn("not_redundant", "Redundancy never came back while drill watched: the target may not survive the next fault.")
	}
	return found
}

// wantsFailover reports whether the outcome leaves untested what the faults were to show: they hurt a primary, and clients
// saw nothing of it; or they kept it away, and it leads again nonetheless.
func (r *run) wantsFailover(outcome drill.RecoveryOutcome) bool {
	for _, p := range r.plans {
		primary := slices.ContainsFunc(p.Victims, func(m drill.Member) bool { return m.Role == drill.RolePrimary })
		if primary && (outcome == drill.OutcomeNoImpact && !r.handedOver() || p.Hold > 0 && outcome == drill.OutcomeRestartedInPlace) {
			return true
		}
	}
	return false
}
