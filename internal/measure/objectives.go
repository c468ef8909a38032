package measure

import (
	"fmt"
	"math"

	"github.com/failoverdrill/drill/internal/drill"
)

// objectives judges every objective by the worse bound of its number; a number that is not known meets nothing.
func (r *run) objectives(rep drill.Report) []drill.ObjectiveReport {
	out := []drill.ObjectiveReport{}
	for _, o := range r.limits {
		if o.Name == drill.ObjectiveFailedOver {
			out = append(out, r.judgeFailover(rep))
			continue
		}
		out = append(out, judge(o, rep))
	}
	for _, e := range r.rules {
		if e.Rule != nil && e.Rule.Kind == drill.RuleObjective {
			out = append(out, asserted(*e.Rule))
		}
	}
	return out
}

// asserted is an objective that is a condition. The runner has evaluated it over Final's values.
func asserted(rule drill.RuleChange) drill.ObjectiveReport {
	j := drill.ObjectiveReport{Name: rule.Name, Condition: rule.Condition, JudgedBy: judgedByCondition, Met: rule.Truth == drill.True}
	switch rule.Truth {
	case drill.False:
		j.Text = rule.Message
	case drill.Unknown:
		j.JudgedBy = judgedByNothing
		j.Text = "Whether this holds is not known, because something in it was not measured: " + rule.Message
	}
	return j
}

// What an objective is judged by when that is no number of the report.
const (
	judgedByCondition = "condition"
	judgedByNothing   = "unknown"
)

func judge(o drill.Objective, rep drill.Report) drill.ObjectiveReport {
	var length *drill.Seconds
	var number *int
	by, counts := "", false
	switch o.Name {
	case drill.ObjectiveRecoveryTime:
		by = "upper_seconds"
		if rep.Recovery != nil {
			class, e := worseClass(rep.Recovery)
			if class != rep.Recovery.HeadlineClass {
				by = fmt.Sprintf("by_class.%s.upper_seconds", class)
			}
			length = new(e.Upper)
		}
	case drill.ObjectiveUnavailable:
		by = "unavailable_seconds"
		if rep.Recovery != nil {
			length = new(rep.Recovery.Unavailable)
		}
	case drill.ObjectiveRedundancyTime:
		by = "redundancy_seconds"
		if rep.Recovery != nil {
			length = rep.Recovery.Redundancy
		}
	case drill.ObjectiveLostWrites:
		by, counts = "lost", true
		if rep.Writes != nil {
			number = rep.Writes.Lost
		}
	case drill.ObjectiveDualPrimary:
		by = "dual_primary_seconds"
		if rep.Primaries != nil {
			length = new(rep.Primaries.DualPrimary)
		}
	case drill.ObjectiveReplicationLag:
		by = "before_seconds.upper"
		if rep.ReplicationLag != nil && rep.ReplicationLag.Before != nil {
			length = new(rep.ReplicationLag.Before.Upper)
		}
	case drill.ObjectiveLeaderChanges:
		by, counts = "leader_changes", true
		if rep.Primaries != nil {
			number = new(rep.Primaries.LeaderChanges)
		}
	default:
		length, number = invariant(o.Name, rep.Invariants)
		by, counts = judgedBy(o.Name)
	}
	j := drill.ObjectiveReport{Name: o.Name, JudgedBy: by}
	if length == nil && number == nil {
		j.JudgedBy = judgedByNothing
	}
	if counts {
		j.LimitCount, j.ValueCount = new(int(math.Floor(o.Limit))), number
		j.Met = number != nil && float64(*number) <= o.Limit
		return j
	}
	j.LimitSeconds, j.ValueSeconds = new(drill.Seconds(o.Limit)), length
	j.Met = length != nil && float64(*length) <= o.Limit
	return j
}

// judgeFailover judges whether another member took over. One that did so within a blip did, too.
func (r *run) judgeFailover(rep drill.Report) drill.ObjectiveReport {
	j := drill.ObjectiveReport{Name: drill.ObjectiveFailedOver, Want: string(drill.OutcomeFailedOver), JudgedBy: judgedByNothing}
	if rep.Recovery != nil && rep.Recovery.Outcome != "" {
		j.JudgedBy, j.Got = "outcome", string(rep.Recovery.Outcome)
		j.Met = rep.Recovery.Outcome == drill.OutcomeFailedOver
		if rep.Recovery.Outcome == drill.OutcomeNoImpact && r.handedOver() {
			j.Got, j.Met = string(drill.OutcomeFailedOver), true
		}
	}
	return j
}

// worseClass is the class by which the recovery time is judged: the fresh one where that came back later.
func worseClass(rec *drill.RecoveryReport) (drill.Class, drill.Estimate) {
	fresh, ok := rec.ByClass[drill.ClassFresh]
	if ok && fresh.Estimate > 0 && fresh.Upper > rec.Upper { // 0: it saw no outage at all
		return drill.ClassFresh, fresh
	}
	return rec.HeadlineClass, rec.Estimate
}

// subject is what clients lost and got back.
func subject(rep drill.Report) string {
	if rep.Endpoints != nil {
		return "The service"
	}
	return "Writes"
}

// missed says in a sentence how an objective was missed.
func (r *run) missed(o drill.ObjectiveReport, rep drill.Report) string {
	if o.Text != "" {
		return o.Text
	}
	if o.JudgedBy == judgedByNothing {
		return fmt.Sprintf("Whether %s was met is not known: there is no number to judge.", o.Name)
	}
	switch o.Name {
	case drill.ObjectiveRecoveryTime:
		return r.lateBack(rep, *o.LimitSeconds)
	case drill.ObjectiveUnavailable:
		return fmt.Sprintf("%s out for %s in all (%s failed, %s too slow), limit %s.", wasOut(rep), say(*o.ValueSeconds),
			say(rep.Recovery.Failed), say(rep.Recovery.Slow), say(*o.LimitSeconds))
	case drill.ObjectiveFailedOver:
		return notFailedOver(rep.Recovery)
	case drill.ObjectiveRedundancyTime:
		if *o.ValueSeconds == drill.Never() {
			return fmt.Sprintf("Redundancy never came back, limit %s.", say(*o.LimitSeconds))
		}
		return fmt.Sprintf("Redundancy came back after %s, limit %s.", say(*o.ValueSeconds), say(*o.LimitSeconds))
	case drill.ObjectiveLostWrites:
		return fmt.Sprintf("%s lost, over %s; limit %d.", plural(*o.ValueCount, "acknowledged write"), say(*rep.Writes.LostSpan), *o.LimitCount)
	case drill.ObjectiveDualPrimary:
		return fmt.Sprintf("%s, limit %s.", r.twoWriters(*o.ValueSeconds), say(*o.LimitSeconds))
	case drill.ObjectiveReplicationLag:
		return fmt.Sprintf("Before the fault a replica lagged up to %s, limit %s.", say(*o.ValueSeconds), say(*o.LimitSeconds))
	case drill.ObjectiveLeaderChanges:
		return fmt.Sprintf("The leader changed %s, limit %d.", plural(*o.ValueCount, "time"), *o.LimitCount)
	}
	return broken(o)
}
