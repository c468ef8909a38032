package measure

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// failedReport is one of a failed run with a missed objective.
func failedReport(objective string, limit float64, change func(*drill.Report)) drill.Report {
	rep := drill.Report{
		Run:        drill.RunReport{Verdict: drill.VerdictFailed, Reasons: []drill.Reason{{Code: "objective_missed", Objective: objective}}},
		Objectives: []drill.ObjectiveReport{{Name: objective, LimitSeconds: new(drill.Seconds(limit)), JudgedBy: "upper_seconds"}},
		Recovery:   &drill.RecoveryReport{HeadlineClass: drill.ClassPooled, ByClass: map[drill.Class]drill.Estimate{}},
	}
	if change != nil {
		change(&rep)
	}
	return rep
}

func estimate(s drill.Seconds) drill.Estimate { return drill.Estimate{Estimate: s, Lower: s, Upper: s} }

// outFor sets a recovery's end, its outages and its phases.
func outFor(s drill.Seconds, outages []drill.OutageReport, phases ...drill.Phase) func(*drill.Report) {
	return func(rep *drill.Report) {
		rep.Recovery.Estimate, rep.Recovery.Outages, rep.Recovery.Phases = estimate(s), outages, phases
	}
}

func lasting(name string, s drill.Seconds) drill.Phase { return drill.Phase{Name: name, Seconds: s} }

func TestCauseOfRecovery(t *testing.T) {
	const recovery = drill.ObjectiveRecoveryTime
	never := drill.Never()
	one := func(kind drill.OutageKind, s drill.Seconds) []drill.OutageReport {
		return []drill.OutageReport{{Seconds: s, Kind: kind}}
	}
	also := func(all ...func(*drill.Report)) func(*drill.Report) {
		return func(rep *drill.Report) {
			for _, f := range all {
				f(rep)
			}
		}
	}
	flaps := func(n int) func(*drill.Report) { return func(rep *drill.Report) { rep.Recovery.Flaps = n } }
	endpoints := func(least int, none drill.Seconds) func(*drill.Report) {
		return func(rep *drill.Report) {
			rep.Endpoints = &drill.EndpointsReport{Desired: new(3), LeastReady: &least, NoEndpoints: &none}
		}
	}
	for name, tc := range map[string]struct {
		change func(*drill.Report)
		want   drill.Cause
	}{
		"the longest phase is detection":      {outFor(40, one("failed", 40), lasting("impact", 1), lasting("detected", 30), lasting("promoted", 5), lasting("routed", 4)), drill.CauseDetect},
		"an impact that comes late":           {outFor(45, one("failed", 5), lasting("impact", 40), lasting("detected", 1), lasting("promoted", 2), lasting("sustained", 2)), drill.CauseDetect},
		"the longest phase is promotion":      {outFor(40, one("failed", 40), lasting("detected", 5), lasting("promoted", 30), lasting("routed", 5)), drill.CausePromote},
		"the longest phase is routing":        {outFor(40, one("failed", 40), lasting("detected", 5), lasting("promoted", 5), lasting("routed", 30)), drill.CauseRoute},
		"routed, and long without a write":    {outFor(40, one("failed", 40), lasting("detected", 5), lasting("promoted", 5), lasting("routed", 1), lasting("first_success", 29)), drill.CauseServe},
		"redundancy is after the recovery":    {outFor(40, one("failed", 40), lasting("detected", 30), lasting("promoted", 10), lasting("redundant", 200)), drill.CauseDetect},
		"never, and nothing happened":         {outFor(never, one("failed", never), lasting("impact", 1)), drill.CauseDetect},
		"never, and noticed":                  {outFor(never, one("failed", never), lasting("impact", 1), lasting("detected", 1)), drill.CausePromote},
		"never, and promoted":                 {outFor(never, one("failed", never), lasting("detected", 1), lasting("promoted", 1)), drill.CauseRoute},
		"never, and routed":                   {outFor(never, one("failed", never), lasting("detected", 1), lasting("promoted", 1), lasting("routed", 1)), drill.CauseServe},
		"read-only, and promoted":             {outFor(never, one("read_only", never), lasting("promoted", 1)), drill.CauseRoute},
		"read-only, and nobody promoted":      {outFor(never, one("read_only", never), lasting("detected", 1)), drill.CausePromote},
		"slow for ever":                       {outFor(never, one("slow", never), lasting("impact", 0)), drill.CauseServe},
		"in pieces for ever":                  {outFor(never, one("pieces", never)), drill.CauseServe},
		"answered in time, however late":      {also(outFor(never, one("failed", never)), func(rep *drill.Report) { rep.Recovery.Answered = new(estimate(2)) }), drill.CauseServe},
		"a relapse":                           {also(outFor(41, []drill.OutageReport{{Seconds: 2, Kind: "failed"}, {Start: 40, Seconds: 1, Kind: "failed"}}), flaps(1)), drill.CauseRelapse},
		"a relapse of answers that come late": {also(outFor(41, []drill.OutageReport{{Seconds: 2, Kind: "failed"}, {Start: 40, Seconds: 1, Kind: "slow"}}), flaps(1)), drill.CauseRelapse},
		"a relapse after it was too late":     {also(outFor(51, []drill.OutageReport{{Seconds: 40, Kind: "failed"}, {Start: 50, Seconds: 1, Kind: "failed"}}, lasting("promoted", 38)), flaps(1)), drill.CausePromote},
		"a few answers in an outage":          {also(outFor(40, []drill.OutageReport{{Seconds: 0.3, Kind: "failed"}, {Start: 0.5, Seconds: 39.5, Kind: "failed"}}, lasting("detected", 30)), flaps(1)), drill.CauseDetect},
		"for ever after it had been served":   {also(outFor(never, []drill.OutageReport{{Seconds: 2, Kind: "failed"}, {Start: 20, Seconds: never, Kind: "failed"}}), flaps(1)), drill.CauseRelapse},
		"only new clients": {also(outFor(2, one("failed", 2)), func(rep *drill.Report) {
			rep.Recovery.ByClass[drill.ClassFresh] = estimate(never)
		}), drill.CauseFresh},
		"new clients, too": {also(outFor(40, one("failed", 40), lasting("promoted", 40)), func(rep *drill.Report) {
			rep.Recovery.ByClass[drill.ClassFresh] = estimate(41)
		}), drill.CausePromote},
		"a service with nobody there":            {also(outFor(40, one("failed", 40), lasting("first_success", 39)), endpoints(0, 38)), drill.CauseMembership},
		"a service that leads to who is gone":    {also(outFor(40, one("pieces", 40), lasting("detected", 40)), endpoints(2, 0)), drill.CauseRoute},
		"a service that leads there for ever":    {also(outFor(never, one("pieces", never)), endpoints(3, 0)), drill.CauseRoute},
		"a service with a broken member":         {also(outFor(never, one("pieces", never), lasting("detected", 1)), endpoints(2, 0)), drill.CauseServe},
		"a service whose new pods are not ready": {also(outFor(never, one("failed", never), lasting("detected", 1)), endpoints(0, 100)), drill.CauseMembership},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.want, Cause(failedReport(recovery, 30, tc.change)))
		})
	}
}

func TestCauseOfReasons(t *testing.T) {
	for objective, want := range map[string]drill.Cause{
		drill.ObjectiveDualPrimary: drill.CauseSplit, drill.ObjectiveLostWrites: drill.CauseLoss, drill.ObjectiveSum: drill.CauseLoss,
		drill.ObjectiveLeaderChanges: drill.CauseRelapse, drill.ObjectiveFailedOver: drill.CausePromote, drill.ObjectiveRedundancyTime: drill.CauseMembership,
		drill.ObjectiveReplicationLag: drill.CauseLag, drill.ObjectiveStaleness: drill.CauseLag, drill.ObjectiveReadOutage: drill.CauseServe,
	} {
		require.Equal(t, want, Cause(failedReport(objective, 1, nil)), objective)
	}
	for code, want := range map[string]drill.Cause{"two_primaries": drill.CauseSplit, "duplicate_writes": drill.CauseLoss, "residue": drill.CauseNone} {
		rep := drill.Report{Run: drill.RunReport{Verdict: drill.VerdictFailed, Reasons: []drill.Reason{{Code: code}}}}
		require.Equal(t, want, Cause(rep), code)
	}
	for condition, want := range map[string]drill.Cause{
		"target.orders.lag_seconds <= 1": drill.CauseLag, "target.orders.primaries == 1": drill.CauseSplit, "probe.side.outage_seconds <= 1": drill.CauseServe,
	} {
		rep := failedReport("mine", 1, func(rep *drill.Report) { rep.Objectives[0].Condition = condition })
		require.Equal(t, want, Cause(rep), condition)
	}
}

func TestTheGravestCauseCounts(t *testing.T) {
	rep := failedReport(drill.ObjectiveRecoveryTime, 30, outFor(40, []drill.OutageReport{{Seconds: 40, Kind: drill.OutageFailed}}, lasting(phaseDetected, 30)))
	rep.Run.Reasons = append(rep.Run.Reasons, drill.Reason{Code: "objective_missed", Objective: drill.ObjectiveLostWrites})
	require.Equal(t, drill.CauseLoss, Cause(rep))
	rep.Run.Reasons = append(rep.Run.Reasons, drill.Reason{Code: "two_primaries"})
	require.Equal(t, drill.CauseSplit, Cause(rep))

	rep = failedReport(drill.ObjectiveRecoveryTime, 30, outFor(drill.Never(), []drill.OutageReport{{Seconds: drill.Never(), Kind: drill.OutageFailed}}))
	rep.Run.Reasons = append(rep.Run.Reasons, drill.Reason{Code: "objective_missed", Objective: drill.ObjectiveLostWrites})
	rep.Objectives = append(rep.Objectives, drill.ObjectiveReport{Name: drill.ObjectiveLostWrites, JudgedBy: judgedByNothing})
	require.Equal(t, drill.CauseDetect, Cause(rep), "that nobody could count the lost is not what was wrong")
	rep.Run.Reasons = rep.Run.Reasons[1:]
	require.Equal(t, drill.CauseLoss, Cause(rep), "but for it nothing was")
}

func TestVerdictsWithoutACause(t *testing.T) {
	for _, v := range []drill.Verdict{drill.VerdictPassed, drill.VerdictInvalid, drill.VerdictInterrupted, drill.VerdictError} {
		rep := failedReport(drill.ObjectiveLostWrites, 0, nil)
		rep.Run.Verdict = v
		require.Equal(t, drill.CauseNone, Cause(rep), v)
	}
	for code, want := range map[string]drill.Cause{"replica_behind": drill.CauseLag, "views_disagree": drill.CauseRoute, "not_steady": drill.CauseNone} {
		rep := drill.Report{Run: drill.RunReport{Verdict: drill.VerdictRefused, Reasons: []drill.Reason{{Code: code}}}}
		require.Equal(t, want, Cause(rep), code)
	}
}
