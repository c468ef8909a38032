package report

import (
	"fmt"
	"maps"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

func b(l, u drill.Seconds) *drill.Bounds { return &drill.Bounds{Lower: l, Upper: u} }

func member(name, node string, role drill.Role) drill.Member {
	return drill.Member{Namespace: "shop", Name: name, UID: "uid-" + name, Node: node, Role: role}
}

// passed is a run in which everything is known and all is well.
func passed() drill.Report {
	return drill.Report{
		FormatVersion: drill.FormatVersion,
		Run: drill.RunReport{
			ID: "2026-11-21t10-04-05z-kill-primary-7f3a", Drill: "kill-primary", File: "drills/kill-primary.hcl",
			Description: "The primary dies. A replica takes over within 30 s and no acknowledged write is lost.",
			Started:     time.Date(2026, 11, 21, 10, 4, 5, 0, time.UTC), Finished: time.Date(2026, 11, 21, 10, 6, 5, 0, time.UTC),
			Verdict: drill.VerdictPassed, Reasons: []drill.Reason{}, Trial: 1, Trials: 1, DrillVersion: "1.0.0",
		},
		Faults: []drill.FaultReport{{Kind: "kill_primary", Name: "orders", Method: "force_delete",
			Victims: []drill.Member{member("orders-0", "worker-1", drill.RolePrimary)}, InjectedOffset: new(drill.Seconds(20)),
			Confirmed: true, ConfirmedBy: "pod gone; session reset", Reverted: true, Residue: []string{}}},
		Recovery: &drill.RecoveryReport{
			Target: "orders", Outcome: drill.OutcomeFailedOver, HeadlineClass: drill.ClassPooled, UpWithin: 0.04,
			Estimate:     drill.Estimate{Estimate: 12.34, Lower: 12.32, Upper: 12.361},
			FirstSuccess: new(drill.Seconds(12.35)), Redundancy: new(drill.Seconds(41.2)),
			Blip: 0.25, Outages: []drill.OutageReport{{Start: 0.02, Seconds: 12.32, Kind: drill.OutageFailed, DownSlots: 616, Fault: "kill_primary orders"}},
			Blips: drill.BlipsReport{Count: 3, Seconds: 0.12, Longest: 0.06}, LongestOutage: 12.32, Unavailable: 12.44, Failed: 12.28, Slow: 0.16,
			ByClass: map[drill.Class]drill.Estimate{drill.ClassPooled: {Estimate: 12.34, Lower: 12.32, Upper: 12.361},
				drill.ClassFresh: {Estimate: 12.4, Lower: 12.3, Upper: 12.55}},
			Phases: []drill.Phase{
				{Name: "impact", Start: 0, Seconds: 0.02, Signal: "first client error: reset"},
				{Name: "detected", Start: 0.02, Seconds: 9.9, Signal: "the Service dropped orders-0"},
				{Name: "promoted", Start: 9.92, Seconds: 2.08, Signal: "orders-1 says that it is primary"},
				{Name: "routed", Start: 12, Seconds: 0.3, Signal: "the Service names orders-1"},
				{Name: "first_success", Start: 12.3, Seconds: 0.04, Signal: "first accepted write, by orders-1"},
				{Name: "sustained", Start: 12.34, Seconds: 0, Signal: "no outage from here on"},
				{Name: "redundant", Start: 12.34, Seconds: 28.86, Signal: "every member answers, streams and has caught up"},
			},
		},
		Writes: &drill.WritesReport{Sent: 3000, Acked: 2380, Lost: new(0), LostSpan: new(drill.Seconds(0)), IndeterminatePresent: 1,
			IndeterminateAbsent: 2, Failed: 617},
		ReplicationLag: &drill.LagReport{Before: b(0, 0.02), AtFault: b(0, 0.02), Peak: b(3.1, 3.13), Unknown: 3.1,
			ByMember: map[string]drill.Bounds{"orders-1": {Upper: 0.02}, "orders-2": {Lower: 3.1, Upper: 3.13}}, EngineDisagreement: new(drill.Seconds(0.04))},
		Primaries: &drill.PrimariesReport{LeaderChanges: 1, Disagreements: []drill.Disagreement{
			{Views: map[string]string{"label": "orders-0", "service": "none", "member": "none"}, Start: 0.1, Seconds: 9.8}}},
		Probes: []drill.ProbeReport{
			{Name: "orders", Kind: "postgresql", Class: drill.ClassPooled, RateHz: 50, Slots: 6000, OK: 5380, Failed: 620, Outage: new(drill.Seconds(12.34)),
				LatencyP50: new(drill.Seconds(0.0021)), LatencyP99: new(drill.Seconds(0.008)), FailuresBySignal: map[string]int{"reset": 50, "refused": 570}},
			{Name: "orders/orders-0", Kind: "postgresql", Class: drill.ClassPinned, Member: "orders-0", RateHz: 10, Slots: 1200, OK: 900, Failed: 1, Blocked: 299,
				LatencyP50: new(drill.Seconds(0.0011)), LatencyP99: new(drill.Seconds(0.002)), FailuresBySignal: map[string]int{"timeout": 1}},
			{Name: "checkout", Kind: "http", Class: drill.ClassFresh, RateHz: 20, Slots: 2400, OK: 2390, Failed: 10, Outage: new(drill.Seconds(0.5)),
				LatencyP50: new(drill.Seconds(0.003)), LatencyP99: new(drill.Seconds(0.021)), FailuresBySignal: map[string]int{"http_503": 10}},
			{Name: "checkout-pods", Kind: "kubernetes", Class: drill.ClassPooled, RateHz: 2, Slots: 240, OK: 238, Failed: 2, LatencyP50: new(drill.Seconds(0.004)),
				LatencyP99: new(drill.Seconds(0.01)), FailuresBySignal: map[string]int{"timeout": 2}, ValueName: "ready_endpoints", ValueLast: new(3.0), ValueMin: new(2.0), ValueMax: new(3.0)},
		},
		Objectives: []drill.ObjectiveReport{
			{Name: "recovery_time", LimitSeconds: new(drill.Seconds(30)), ValueSeconds: new(drill.Seconds(12.361)), JudgedBy: "upper_seconds", Met: true},
			{Name: "lost_writes", LimitCount: new(0), ValueCount: new(0), JudgedBy: "lost", Met: true},
			{Name: "replication_lag", LimitSeconds: new(drill.Seconds(1)), ValueSeconds: new(drill.Seconds(0.02)), JudgedBy: "before_seconds.upper", Met: true},
			{Name: "assert_1", Condition: "probe.checkout.outage_seconds < 15 && probe.checkout-pods.ready_endpoints >= 2", JudgedBy: "condition", Met: true},
		},
		Findings: []drill.Finding{}, Unknown: []string{},
		Statistics: &drill.StatisticsReport{N: 1, Measured: 1, Mean: new(drill.Seconds(12.34)), Median: new(drill.Seconds(12.34)), Max: new(drill.Seconds(12.34)), FailureProbabilityUpper: 0.95},
	}
}

// reports are the runs that the golden files show.
// invariants is a run whose drill asked for all of them; one does not hold, and one is not known.
func invariants() drill.Report {
	r := passed()
	r.Run.Verdict = drill.VerdictFailed
	r.Invariants = &drill.InvariantsReport{ReadOutage: &drill.Bounds{}, Staleness: &drill.Bounds{Lower: 1.204, Upper: 1.229}, MonotonicReads: new(2),
		ReadYourWrites: new(0), Sum: new(0), Checked: map[drill.Check]int{drill.CheckReads: 2412, drill.CheckOwn: 597, drill.CheckSum: 601, drill.CheckRegister: 2390}}
	r.Objectives = []drill.ObjectiveReport{
		{Name: "read_outage", LimitSeconds: new(drill.Seconds(0)), ValueSeconds: new(drill.Seconds(0)), JudgedBy: "read_outage_seconds.upper", Met: true},
		{Name: "staleness", LimitSeconds: new(drill.Seconds(5)), ValueSeconds: new(drill.Seconds(1.229)), JudgedBy: "staleness_seconds.upper", Met: true},
		{Name: "monotonic_read_violations", LimitCount: new(0), ValueCount: new(2), JudgedBy: "monotonic_read_violations"},
		{Name: "register_violations", LimitCount: new(0), JudgedBy: "unknown"}}
	r.Run.Reasons = []drill.Reason{{Code: "objective_missed", Objective: "monotonic_read_violations",
		Text: "What a session had been shown was gone from a later read of it 2 times, limit 0."}, {Code: "objective_missed", Objective: "register_violations",
		Text: "Whether register_violations was met is not known: there is no number to judge."}}
	r.Findings = []drill.Finding{{Severity: "warning", Code: "read_went_back",
		Text: "Session 2 had been shown write 512 by orders-0, and orders-1 no longer shows it (17 writes in all), 12.601 s after the fault."}}
	r.Unknown = []string{"invariants.register_violations"}
	return r
}

// several is a run with two faults; the report is cut down to what that changes.
func several() drill.Report {
	r := passed()
	r.Run.Drill, r.Run.Description, r.Run.Verdict = "kill-primary-twice", "", drill.VerdictAborted
	r.Run.Reasons = []drill.Reason{{Code: "abort_condition", Text: "outage: Writes have failed for 91 s."}}
	r.Faults = []drill.FaultReport{
		{Kind: "kill_primary", Name: "orders", Method: "force_delete", Victims: []drill.Member{member("orders-0", "worker-1", drill.RolePrimary)},
			InjectedOffset: new(drill.Seconds(20)), Confirmed: true, ConfirmedBy: "pod gone", Reverted: true, RevertedOffset: new(drill.Seconds(50.1)), Residue: []string{},
			Recovery: &drill.Estimate{Estimate: 8.01, Lower: 7.99, Upper: 8.03}},
		{Kind: "pod_kill", Name: "again", Method: "graceful", Victims: []drill.Member{member("orders-1", "worker-2", drill.RoleReplica)},
			InjectedOffset: new(drill.Seconds(65)), Confirmed: true, Reverted: true, RevertedOffset: new(drill.Seconds(66)), Residue: []string{}},
		{Kind: "kill_primary", Name: "last", Method: "force_delete", Victims: []drill.Member{member("orders-2", "worker-3", drill.RolePrimary)},
			InjectedOffset: new(drill.Seconds(67)), Confirmed: true, Reverted: true, RevertedOffset: new(drill.Seconds(167.9)), Residue: []string{},
			Recovery: &drill.Estimate{Estimate: drill.Never(), Lower: 90.9, Upper: drill.Never()}},
	}
	r.Recovery = &drill.RecoveryReport{Target: "orders", Outcome: drill.OutcomeNotRecovered, HeadlineClass: drill.ClassPooled,
		Estimate:     drill.Estimate{Estimate: drill.Never(), Lower: 137.9, Upper: drill.Never()},
		FirstSuccess: new(drill.Seconds(8.02)), Unavailable: 98.9, Failed: 98.9, LongestOutage: drill.Never(), Flaps: 1, Blip: 0.25, UpWithin: 0.04,
		Outages: []drill.OutageReport{{Start: 0.02, Seconds: 7.99, Kind: drill.OutageFailed, DownSlots: 400, Fault: "kill_primary orders"},
			{Start: 47.04, Seconds: drill.Never(), Kind: drill.OutageFailed, DownSlots: 4545, Fault: "kill_primary last"}}, Redundancy: new(drill.Never()),
		ByClass: map[drill.Class]drill.Estimate{}, Phases: []drill.Phase{
			{Name: "impact", Seconds: 0.02, Signal: "first client error: reset", Fault: "kill_primary orders"},
			{Name: "first_success", Start: 0.02, Seconds: 8, Signal: "first accepted write, by orders-1", Fault: "kill_primary orders"},
			{Name: "next_fault", Start: 8.02, Seconds: 36.98, Signal: "the next fault was injected", Fault: "kill_primary orders"},
			{Name: "next_fault", Start: 45, Seconds: 2, Signal: "the next fault was injected", Fault: "pod_kill again"},
			{Name: "impact", Start: 47, Seconds: 0.04, Signal: "first client error: reset", Fault: "kill_primary last"}}}
	r.Abort = drill.AbortReport{Fired: true, Rule: "outage", Text: "Writes have failed for 91 s.", Decision: new(drill.Seconds(0.01)), Latency: new(drill.Seconds(0.9))}
	r.Writes, r.ReplicationLag, r.Primaries, r.Probes, r.Objectives = nil, nil, nil, nil, nil
	return r
}

func reports() map[string]drill.Report {
	failed := passed()
	failed.Run.Verdict = drill.VerdictFailed
	failed.Run.Reasons = []drill.Reason{
		{Code: "objective_missed", Objective: "recovery_time", Text: "Writes came back after 34.2 s (at worst 34.3 s), limit 30 s."},
		{Code: "residue", Text: "The fault kill_primary \"orders\" left something behind; someone must act: node worker-1 is cordoned."}}
	rec := *failed.Recovery
	rec.Outcome, rec.Estimate, rec.Flaps = drill.OutcomeRestartedInPlace, drill.Estimate{Estimate: 34.2, Lower: 34.17, Upper: 34.3}, 2
	rec.Outages = []drill.OutageReport{rec.Outages[0], {Start: 20, Seconds: 0.8, Kind: drill.OutageReadOnly, DownSlots: 40, Fault: "kill_primary orders"},
		{Start: 33.2, Seconds: 1, Kind: drill.OutageSlow, DownSlots: 50, Fault: "kill_primary orders"}}
	rec.Redundancy = new(drill.Never())
	rec.Phases = rec.Phases[:6]
	failed.Recovery = &rec
	failed.Faults = []drill.FaultReport{failed.Faults[0]}
	failed.Faults[0].Reverted, failed.Faults[0].Residue = false, []string{"node worker-1 is cordoned"}
	failed.Writes = &drill.WritesReport{Sent: 3000, Acked: 2380, Lost: new(25), LostSpan: new(drill.Seconds(0.513)), Failed: 617, IndeterminateAbsent: 3, Phantom: 1,
		Stale: map[string]drill.StaleReport{"orders-1": {Writes: 3, P50: b(0, 0.1), P99: b(0.1, 0.2), Max: b(0.1, 0.2)},
			"orders-2": {Writes: 612, P50: b(40.1, 40.3), P99: b(80.9, 81.1), Max: b(81, 81.1)}}}
	failed.Primaries = &drill.PrimariesReport{DualPrimary: 185, ZombieTail: 185.02, LeaderChanges: 1, EpochRegressions: 1840,
		Most: map[string]int{"label": 1, "service": 1, "member": 2}}
	failed.Objectives = []drill.ObjectiveReport{
		{Name: "recovery_time", LimitSeconds: new(drill.Seconds(30)), ValueSeconds: new(drill.Seconds(34.3)), JudgedBy: "upper_seconds"},
		{Name: "redundancy_time", LimitSeconds: new(drill.Seconds(300)), ValueSeconds: new(drill.Never()), JudgedBy: "redundancy_seconds"},
		{Name: "lost_writes", LimitCount: new(0), ValueCount: new(25), JudgedBy: "lost"}}
	failed.Objectives = append(failed.Objectives,
		drill.ObjectiveReport{Name: "assert_1", Condition: "probe.checkout.outage_seconds <\n  15", Text: "Checkout was down for 18.2 s.", JudgedBy: "condition"},
		drill.ObjectiveReport{Name: "assert_2", Condition: "probe.queue.value < 1000", JudgedBy: "unknown",
			Text: "Whether this holds is not known, because something in it was not measured: The queue is (no reading yet) long."})
	for _, o := range failed.Objectives[3:] {
		failed.Run.Reasons = append(failed.Run.Reasons, drill.Reason{Code: "objective_missed", Objective: o.Name, Text: o.Text})
	}
	failed.Probes = append(failed.Probes, drill.ProbeReport{Name: "queue", Kind: "promql", Class: drill.ClassPooled, RateHz: 0.2, Slots: 24,
		Failed: 24, FailuresBySignal: map[string]int{"bad_query": 24}, ValueName: "value"})
	failed.Findings = []drill.Finding{{Severity: "warning", Code: "lag_metric_lies", Text: "orders-2 was 81.02 s behind, by the writes that it did not show; your dashboard's query said 0 s."},
		{Severity: "info", Code: "note", Text: "A note with \x1b[31man escape\x1b[0m and\na line break."}}

	neverBack := passed()
	neverBack.Run.Verdict = drill.VerdictAborted
	neverBack.Run.Reasons = []drill.Reason{{Code: "abort_condition", Text: "outage: Writes have failed for 95.0 s."}}
	neverBack.Recovery = &drill.RecoveryReport{Target: "orders", Outcome: drill.OutcomeNotRecovered, HeadlineClass: drill.ClassPooled,
		Estimate: drill.Estimate{Estimate: drill.Never(), Lower: 95.02, Upper: drill.Never()}, FirstSuccess: new(drill.Never()),
		Unavailable: 95, Failed: 95, Outages: []drill.OutageReport{{Start: 0.02, Seconds: drill.Never(), Kind: drill.OutageFailed, DownSlots: 4750}},
		LongestOutage: drill.Never(), Blip: 0.25, UpWithin: 0.04, Redundancy: new(drill.Never()), Phases: passed().Recovery.Phases[:2]}
	neverBack.Abort = drill.AbortReport{Fired: true, Rule: "outage", Text: "Writes have failed for 95.0 s.",
		Decision: new(drill.Seconds(0.0004)), Latency: new(drill.Seconds(0.113))}
	neverBack.Writes.Lost, neverBack.Writes.LostSpan = nil, nil
	neverBack.ReplicationLag = &drill.LagReport{Unknown: 95, ByMember: map[string]drill.Bounds{}}
	neverBack.Unknown = []string{"writes.lost", "writes.lost_span_seconds", "writes.indeterminate_present", "writes.indeterminate_absent",
		"replication_lag.before_seconds", "replication_lag.at_fault_seconds", "replication_lag.peak_seconds"}
	neverBack.Objectives = []drill.ObjectiveReport{{Name: "lost_writes", LimitCount: new(0), JudgedBy: "unknown"}}

	noImpact := passed()
	noImpact.Run.Verdict = drill.VerdictInvalid
	noImpact.Run.Reasons = []drill.Reason{{Code: "fault_unconfirmed", Text: "The fault kill_primary \"orders\" cannot be shown to have taken effect."}}
	noImpact.Recovery = &drill.RecoveryReport{Target: "orders", Outcome: drill.OutcomeNoImpact, HeadlineClass: drill.ClassPooled, Estimate: drill.Estimate{Upper: 0.12},
		UpWithin: 0.04, Blip: 0.25, Outages: []drill.OutageReport{}, Blips: drill.BlipsReport{Count: 1, Seconds: 0.06, Longest: 0.06}, Unavailable: 0.06, Failed: 0.06}
	noImpact.Primaries = &drill.PrimariesReport{}
	noImpact.Faults[0].Confirmed, noImpact.Faults[0].ConfirmedBy = false, ""

	refused := drill.Report{Run: drill.RunReport{ID: passed().Run.ID, Drill: "kill-primary", Verdict: drill.VerdictRefused,
		Reasons: []drill.Reason{{Code: "not_steady", Text: "The steady state did not hold for 20s within 2m0s: orders-2 lags 3.2 s, limit 1 s. Nothing was injected."}}},
		Unknown: []string{"recovery", "writes", "replication_lag", "primaries", "statistics"}}

	all := map[string]drill.Report{"passed": passed(), "failed": failed, "never": neverBack, "no_impact": noImpact, "refused": refused,
		"replaced": replaced(), "evicted": evicted(), "trial": series()[3], "invariants": invariants(), "several": several()}
	maps.Copy(all, misleading())
	return all
}

// replaced is a run without a ledger: every pod of a service was killed.
func replaced() drill.Report {
	r := passed()
	r.Run.ID, r.Run.Drill, r.Run.File = "2026-11-21t10-04-05z-pod-kill-all-7f3a", "pod-kill-all", "drills/pod-kill-all.hcl"
	r.Run.Description = "All pods are taken away at once. Checkout is out until a new pod is Ready."
	r.Writes, r.ReplicationLag, r.Primaries = nil, nil, nil
	r.Faults = []drill.FaultReport{{Kind: "pod_kill", Name: "checkout", Method: "force_delete", InjectedOffset: new(drill.Seconds(12)), Confirmed: true,
		ConfirmedBy: "3 gone, no answer at the address", Reverted: true, Residue: []string{},
		Victims: []drill.Member{member("checkout-a", "worker-1", drill.RoleUnknown), member("checkout-b", "worker-2", drill.RoleUnknown), member("checkout-c", "worker-3", drill.RoleUnknown)}}}
	r.Recovery = &drill.RecoveryReport{Target: "checkout", Outcome: drill.OutcomeReplaced, HeadlineClass: drill.ClassFresh, UpWithin: 0.1,
		Estimate: drill.Estimate{Estimate: 4.18, Lower: 4.15, Upper: 4.21}, FirstSuccess: new(drill.Seconds(4.18)), Unavailable: 4.15, Failed: 4.15,
		Outages: []drill.OutageReport{{Start: 0.03, Seconds: 4.15, Kind: drill.OutageFailed, DownSlots: 83}}, LongestOutage: 4.15, Blip: 0.25,
		Redundancy: new(drill.Seconds(6.1)), ByClass: map[drill.Class]drill.Estimate{drill.ClassFresh: {Estimate: 4.18, Lower: 4.15, Upper: 4.21}},
		Phases: []drill.Phase{{Name: "impact", Seconds: 0.03, Signal: "first client error: refused"}, {Name: "detected", Start: 0.03, Seconds: 0.1, Signal: "the Service dropped 3 victims"},
			{Name: "ready", Start: 0.13, Seconds: 3.9, Signal: "pod checkout-d is Ready"}, {Name: "routed", Start: 4.03, Seconds: 0.1, Signal: "the Service leads to checkout-d"},
			{Name: "first_success", Start: 4.13, Seconds: 0.05, Signal: "first good answer"}, {Name: "sustained", Start: 4.18, Signal: "no outage from here on"},
			{Name: "redundant", Start: 4.18, Seconds: 1.92, Signal: "as many ready endpoints as are desired"}}}
	r.Endpoints = &drill.EndpointsReport{Desired: new(3), LeastReady: new(0), NoEndpoints: new(drill.Seconds(3.98)), NewMember: &drill.NewMember{First: 4.03, All: 6.1},
		Budgets: []drill.BudgetReport{{Name: "checkout", AllowedBefore: 1, Covers: 3,
			Text: "It did not matter (maxUnavailable 1, 1 allowed): a budget guards evictions, and nobody asks it before a delete or a crash."}}}
	r.Probes = []drill.ProbeReport{{Name: "checkout", Kind: "http", Class: drill.ClassFresh, RateHz: 20, Slots: 1600, OK: 1517, Failed: 83, Outage: new(drill.Seconds(4.15)),
		LatencyP50: new(drill.Seconds(0.004)), LatencyP99: new(drill.Seconds(0.012)), FailuresBySignal: map[string]int{"refused": 80, "timeout": 3}}}
	r.Objectives = []drill.ObjectiveReport{{Name: "recovery_time", LimitSeconds: new(drill.Seconds(30)), ValueSeconds: new(drill.Seconds(4.21)), JudgedBy: "upper_seconds", Met: true}}
	return r
}

// evicted is a run whose evictions a budget curtailed, and of which one new pod never came.
func evicted() drill.Report {
	r := replaced()
	r.Run.Verdict, r.Run.Reasons = drill.VerdictFailed, []drill.Reason{{Code: "not_recovered", Text: "The service never came back for good while drill watched."}}
	f := r.Faults[0]
	f.Method, f.Spared, f.ConfirmedBy = "evict", f.Victims[1:], "1 being deleted, no Service leads there; 2 kept by a budget"
	r.Faults = []drill.FaultReport{f}
	r.Recovery = &drill.RecoveryReport{Target: "checkout", Outcome: drill.OutcomeNotRecovered, HeadlineClass: drill.ClassFresh,
		Estimate: drill.Estimate{Estimate: drill.Never(), Lower: 60, Upper: drill.Never()}, FirstSuccess: new(drill.Never()), Redundancy: new(drill.Never())}
	r.Endpoints = &drill.EndpointsReport{Desired: new(3), LeastReady: new(2), NoEndpoints: new(drill.Seconds(0)), NewMember: &drill.NewMember{First: drill.Never(), All: drill.Never()},
		Budgets: []drill.BudgetReport{{Name: "checkout", AllowedBefore: 1, Covers: 3, Text: "It allowed 1 of 3 evictions and kept the rest running (maxUnavailable 1, 1 allowed before)."}}}
	r.Findings = []drill.Finding{{Severity: "warning", Code: "evictions_refused", Text: "1 of 3 evictions were allowed. The others were refused: the disruption budget checkout needs 2 healthy pods and has 2 currently."}}
	return r
}

// series are the trials of a series: one passed, one failed, one was interrupted.
func series() []drill.Report {
	all := []drill.Report{passed(), passed(), passed(), passed()}
	for i := range all {
		if i > 0 {
			all[i].Run.ID += fmt.Sprintf("-t%d", i+1)
		}
		all[i].Run.Trial, all[i].Run.Trials, all[i].Run.Stagger = i+1, 12, new(drill.Seconds(17.312))
	}
	never := drill.Estimate{Estimate: drill.Never(), Lower: 95.02, Upper: drill.Never()}
	all[1].Run.Verdict, all[1].Run.Reasons = drill.VerdictFailed, []drill.Reason{{Code: "not_recovered", Text: "Writes never came back for good while drill watched."}}
	all[1].Recovery = &drill.RecoveryReport{Outcome: drill.OutcomeNotRecovered, Estimate: never}
	all[2].Recovery = &drill.RecoveryReport{Outcome: drill.OutcomeNoImpact, Estimate: drill.Estimate{Upper: 0.06}}
	all[3].Run.Verdict, all[3].Run.Reasons = drill.VerdictInterrupted, []drill.Reason{{Code: "interrupted", Text: "The run was interrupted: the run was cancelled."}}
	all[3].Statistics = &drill.StatisticsReport{N: 3, Measured: 3, Mean: new(drill.Seconds(6.17)), NeverRecovered: 1, Median: new(drill.Seconds(12.34)), Max: new(drill.Never()),
		MedianBounds: &drill.Bounds{Lower: 12.32, Upper: 12.36}, MaxBounds: &drill.Bounds{Lower: 95.02, Upper: drill.Never()},
		FailureProbabilityUpper: 0.865, NoImpact: 1, Failed: 1, LeftOut: 1,
		Text: "1 of 3 runs failed: at 95 % confidence the failure probability is at most 86 %. A p90 takes 10 runs. 1 trial measured nothing to the end, and is left out."}
	return all
}
