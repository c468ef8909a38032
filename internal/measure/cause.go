package measure

import (
	"slices"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// Cause says what must be mended, by what the report says and nothing else: the gravest cause of its reasons. A run
// that passed has none, and neither has one that says nothing of its target. That something is not known counts only
// where nothing else was wrong.
func Cause(rep drill.Report) drill.Cause {
	var known, guessed []drill.Cause
	for _, reason := range rep.Run.Reasons {
		if c := CauseOf(reason, rep); unknownOf(reason, rep) {
			guessed = append(guessed, c)
		} else {
			known = append(known, c)
		}
	}
	for _, some := range [][]drill.Cause{known, guessed} {
		for _, c := range drill.Causes() {
			if slices.Contains(some, c) {
				return c
			}
		}
	}
	return drill.CauseNone
}

// unknownOf reports whether the reason is that an objective has no number to be judged by.
func unknownOf(reason drill.Reason, rep drill.Report) bool {
	return slices.ContainsFunc(rep.Objectives, func(o drill.ObjectiveReport) bool {
		return reason.Objective != "" && o.Name == reason.Objective && o.JudgedBy == judgedByNothing
	})
}

// CauseOf is the cause of one of the report's reasons.
func CauseOf(reason drill.Reason, rep drill.Report) drill.Cause {
	switch rep.Run.Verdict {
	case drill.VerdictPassed, drill.VerdictInvalid, drill.VerdictInterrupted, drill.VerdictError:
		return drill.CauseNone
	case drill.VerdictRefused:
		return causesOfRefusal[reason.Code]
	case drill.VerdictAborted:
		if reason.Code == "residue" {
			return drill.CauseNone
		}
		return causeOfValues(reason.Text+" "+rep.Abort.Text, rep, drill.CauseNone)
	}
	switch reason.Code {
	case "two_primaries":
		return drill.CauseSplit
	case "phantom_writes", "fabricated_writes", "duplicate_writes":
		return drill.CauseLoss
	case "not_recovered", "fresh_not_recovered":
		return causeOfRecovery(rep, float64(drill.Never()))
	case "objective_missed":
		return causeOfObjective(reason.Objective, rep)
	}
	return drill.CauseNone
}

// causesOfRefusal are those of the refusals that say what is wrong with the target.
var causesOfRefusal = map[string]drill.Cause{
	"replica_behind":      drill.CauseLag,
	"two_primaries":       drill.CauseSplit,
	"views_disagree":      drill.CauseRoute,
	"service_unreachable": drill.CauseRoute,
	"member_not_ready":    drill.CauseMembership,
}

func causeOfObjective(name string, rep drill.Report) drill.Cause {
	switch name {
	case drill.ObjectiveDualPrimary:
		return drill.CauseSplit
	case drill.ObjectiveLostWrites, drill.ObjectiveSum, drill.ObjectiveRegister:
		return drill.CauseLoss
	case drill.ObjectiveLeaderChanges:
		return drill.CauseRelapse
	case drill.ObjectiveFailedOver:
		return drill.CausePromote
	case drill.ObjectiveRedundancyTime:
		return drill.CauseMembership
	case drill.ObjectiveReplicationLag, drill.ObjectiveStaleness, drill.ObjectiveMonotonicReads, drill.ObjectiveReadYourWrites:
		return drill.CauseLag
	case drill.ObjectiveReadOutage:
		return drill.CauseServe
	}
	limit, condition := float64(drill.Never()), ""
	for _, o := range rep.Objectives {
		if o.Name != name {
			continue
		}
		condition = o.Condition + " " + o.Text
		if o.LimitSeconds != nil {
			limit = float64(*o.LimitSeconds)
		}
	}
	switch name {
	case drill.ObjectiveRecoveryTime, drill.ObjectiveUnavailable:
		return causeOfRecovery(rep, limit)
	}
	return causeOfValues(condition, rep, drill.CauseServe)
}

// causeOfValues is the cause by the names of the values that a condition is about.
func causeOfValues(text string, rep drill.Report, other drill.Cause) drill.Cause {
	for _, v := range []struct {
		value string
		cause drill.Cause
	}{{"primaries", drill.CauseSplit}, {"lag_seconds", drill.CauseLag}, {"staleness", drill.CauseLag}, {"sum_violations", drill.CauseLoss},
		{"register_violations", drill.CauseLoss}, {"ready", drill.CauseMembership}} {
		if strings.Contains(text, v.value) {
			return v.cause
		}
	}
	if rep.Recovery != nil && rep.Recovery.Upper > 0 && len(rep.Recovery.Outages) > 0 {
		return causeOfRecovery(rep, float64(drill.Never()))
	}
	return other
}

// causeOfRecovery is why clients were not served again within a limit: who was served later than others; else whether
// they had been served in between; else whether they were answered, though late; and else the longest of the phases.
func causeOfRecovery(rep drill.Report, limit float64) drill.Cause {
	rec := rep.Recovery
	if rec == nil {
		return drill.CauseNone
	}
	missed := func(s drill.Seconds) bool { return float64(s) > limit || s == drill.Never() }
	fresh, probed := rec.ByClass[drill.ClassFresh]
	if probed && rec.HeadlineClass != drill.ClassFresh && missed(fresh.Upper) && !missed(rec.Upper) {
		return drill.CauseFresh
	}
	last := lastOutage(rec)
	switch {
	case last == nil && rep.Endpoints != nil && phase(rec, phaseDetected) != nil, last != nil && last.Kind == drill.OutagePieces && ledTo(rep, *last):
		return drill.CauseRoute
	case last == nil, last.Kind == drill.OutagePieces:
		return drill.CauseServe
	case relapsed(rec, missed):
		return drill.CauseRelapse
	case last.Kind == drill.OutageSlow:
		return drill.CauseServe
	case rec.Answered != nil && !missed(rec.Answered.Upper) && missed(rec.Upper):
		return drill.CauseServe
	case last.Kind == drill.OutageReadOnly:
		return misled(rec)
	case rec.Upper == drill.Never():
		return untaken(rec, rep.Endpoints)
	case rep.Endpoints != nil && rep.Endpoints.NoEndpoints != nil && *rep.Endpoints.NoEndpoints >= rec.Estimate.Estimate/2:
		return drill.CauseMembership // nobody was there who could have served
	}
	return slowest(rec)
}

// ledTo reports whether an outage in pieces is one of requests that were led to a member that was gone: it ended when
// the Service dropped that one, or never, because it did not.
func ledTo(rep drill.Report, o drill.OutageReport) bool {
	return rep.Endpoints != nil && (o.Seconds != drill.Never() && rep.Recovery.Upper != drill.Never() || phase(rep.Recovery, phaseDetected) == nil)
}

// relapsed reports whether the recovery would have been in time but for outages after clients had been served again.
func relapsed(rec *drill.RecoveryReport, missed func(drill.Seconds) bool) bool {
	i := relapse(rec)
	if i < 1 {
		return false
	}
	before := rec.Outages[i-1]
	return !missed(before.Start+before.Seconds) && missed(rec.Upper)
}

// served is how long clients must be served between two outages for the second to be a relapse: a few answers between
// the failures of one outage are none.
const served = drill.Seconds(1)

// relapse is the first outage that came after clients had been served again; 0 when there is none.
func relapse(rec *drill.RecoveryReport) int {
	for i := max(1, len(rec.Outages)-rec.Flaps); i < len(rec.Outages); i++ {
		if before := rec.Outages[i-1]; rec.Outages[i].Start-(before.Start+before.Seconds) >= served {
			return i
		}
	}
	return 0
}

func lastOutage(rec *drill.RecoveryReport) *drill.OutageReport {
	if len(rec.Outages) == 0 {
		return nil
	}
	return &rec.Outages[len(rec.Outages)-1]
}

// misled is the cause of refusals by a member that takes no writes: clients were led to the wrong one if there is a
// right one.
func misled(rec *drill.RecoveryReport) drill.Cause {
	if phase(rec, phasePromoted) == nil {
		return drill.CausePromote
	}
	return drill.CauseRoute
}

func phase(rec *drill.RecoveryReport, name string) *drill.Phase {
	i := slices.IndexFunc(rec.Phases, func(p drill.Phase) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &rec.Phases[i]
}

// untaken is the first step that a recovery which never came did not take.
func untaken(rec *drill.RecoveryReport, endpoints *drill.EndpointsReport) drill.Cause {
	if relapse(rec) > 0 {
		return drill.CauseRelapse
	}
	if rec.Flaps > 0 {
		return drill.CauseServe
	}
	if endpoints != nil {
		switch {
		case endpoints.LeastReady != nil && endpoints.Desired != nil && *endpoints.LeastReady < *endpoints.Desired && phase(rec, phaseReady) == nil:
			return drill.CauseMembership
		case phase(rec, phaseDetected) == nil:
			return drill.CauseRoute
		}
		return drill.CauseServe
	}
	switch {
	case phase(rec, phaseRouted) != nil:
		return drill.CauseServe
	case phase(rec, phasePromoted) != nil:
		return drill.CauseRoute
	case phase(rec, phaseDetected) != nil:
		return drill.CausePromote
	}
	return drill.CauseDetect
}

// slowest is the cause by the longest phase up to the recovery.
func slowest(rec *drill.RecoveryReport) drill.Cause {
	causes := map[string]drill.Cause{
		phaseImpact: drill.CauseDetect, phaseDetected: drill.CauseDetect, phasePromoted: drill.CausePromote, phaseReady: drill.CauseMembership,
		phaseRouted: drill.CauseRoute, phaseFirstSuccess: drill.CauseServe, phaseSustained: drill.CauseServe,
	}
	longest, cause := drill.Seconds(0), drill.CauseServe
	for _, p := range rec.Phases {
		c, known := causes[p.Name]
		if known && p.Seconds > longest {
			longest, cause = p.Seconds, c
		}
	}
	return cause
}
