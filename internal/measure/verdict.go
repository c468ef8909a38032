package measure

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
)

// verdict judges the run: first why it ended, then whether the fault and the measurement can be vouched for, and only
// then the numbers. Residue changes no verdict, but is always among the reasons.
func (r *run) verdict(rep drill.Report) (drill.Verdict, []drill.Reason) {
	v, reasons := r.judge(rep)
	for _, f := range rep.Faults {
		if len(f.Residue) > 0 {
			reasons = append(reasons, drill.Reason{Code: "residue", Text: fmt.Sprintf(
				"The fault %s %q left something behind; someone must act: %s.", f.Kind, f.Name, strings.TrimSuffix(strings.Join(f.Residue, "; "), "."))})
		}
	}
	return v, append([]drill.Reason{}, reasons...)
}

func (r *run) judge(rep drill.Report) (drill.Verdict, []drill.Reason) {
	if r.end == nil {
		return drill.VerdictError, []drill.Reason{{Code: "no_end", Text: "The record ends in the middle of the run: its runner was lost."}}
	}
	why := []drill.Reason{{Code: r.end.Code, Text: r.end.Text}}
	switch r.end.Cause {
	case drill.EndRefused:
		return drill.VerdictRefused, why
	case drill.EndAborted:
		return drill.VerdictAborted, why
	case drill.EndInterrupted:
		return drill.VerdictInterrupted, why
	case drill.EndUnconfirmed:
		return drill.VerdictInvalid, why
	case drill.EndFinished:
	default:
		return drill.VerdictError, why
	}
	if doubts := r.doubts(rep); len(doubts) > 0 {
		return drill.VerdictInvalid, doubts
	}
	if failures := r.failures(rep); len(failures) > 0 {
		return drill.VerdictFailed, failures
	}
	return drill.VerdictPassed, nil
}

// answered reports whether the slot succeeded.
func answered(s slot) bool { return s.Outcome == drill.OutcomeOK }

// acknowledged reports whether the slot is an accepted write.
func acknowledged(s slot) bool { return s.Write && s.Outcome == drill.OutcomeOK }

// lastInjection is when the newest fault was injected: its impact may come late as well.
func (r *run) lastInjection() drill.Offset {
	last := r.injection.from
	for _, f := range r.faults {
		if f.State == drill.FaultInjected {
			last = max(last, f.From)
		}
	}
	return last
}

// failures lists what the target did wrong.
func (r *run) failures(rep drill.Report) []drill.Reason {
	var why []drill.Reason
	told := false // that clients were never served again
	for _, o := range rep.Objectives {
		if o.Met {
			continue
		}
		told = told || o.Name == drill.ObjectiveRecoveryTime
		why = append(why, drill.Reason{Code: "objective_missed", Objective: o.Name, Text: r.missed(o, rep)})
	}
	fresh, measured := rep.Recovery.ByClass[drill.ClassFresh]
	switch {
	case told:
	case rep.Recovery.Outcome == drill.OutcomeNotRecovered:
		why = append(why, drill.Reason{Code: "not_recovered", Text: r.neverBack(rep) + "."})
	case measured && fresh.Estimate == drill.Never():
		why = append(why, drill.Reason{Code: "fresh_not_recovered", Text: freshBack(rep, fresh) + "."})
	}
	if p := rep.Primaries; p != nil && p.DualPrimary > 0 {
		if _, allowed := limitOf(r.limits, drill.ObjectiveDualPrimary); !allowed {
			why = append(why, drill.Reason{Code: "two_primaries", Text: r.twoWriters(p.DualPrimary) + ", and the drill has no dual_primary that allows it."})
		}
	}
	if rep.Writes == nil {
		return why
	}
	for _, c := range []struct {
		n                int
		code, one, sense string
	}{
		{rep.Writes.Phantom, "phantom_writes", "write", "reported as failed and yet there"},
		{rep.Writes.Fabricated, "fabricated_writes", "write", "there although never sent"},
		{rep.Writes.Duplicate, "duplicate_writes", "write", "there more than once"},
	} {
		if c.n > 0 {
			verb := " are "
			if c.n == 1 {
				verb = " is "
			}
			why = append(why, drill.Reason{Code: c.code, Text: plural(c.n, c.one) + verb + c.sense + "."})
		}
	}
	return why
}

// abort tells which abort condition ended the run, and how long after its breach the last fault was reverted.
func (r *run) abort() drill.AbortReport {
	rep := drill.AbortReport{}
	var due drill.Offset
	for _, e := range r.rules {
		if e.Rule == nil || !e.Rule.Fired || e.Rule.Kind != drill.RuleAbort || rep.Fired {
			continue
		}
		due = cmp.Or(e.Rule.Due, e.At)
		rep.Fired, rep.Rule, rep.Text, rep.Decision = true, e.Rule.Name, e.Rule.Message, new(seconds(e.At.Sub(due)))
	}
	if !rep.Fired {
		return rep
	}
	for _, f := range r.faults {
		if f.State != drill.FaultReverted {
			continue
		}
		// A fault that was back already when the condition fired took no time at all.
		if d := seconds(max(0, f.at.Sub(due))); rep.Latency == nil || d > *rep.Latency {
			rep.Latency = &d
		}
	}
	for _, f := range r.faultReports() {
		if !f.Reverted && (f.InjectedOffset != nil || len(f.Residue) > 0) {
			rep.Latency = nil // not everything was put back
		}
	}
	return rep
}

// unknown names, by its path in the JSON, every number that is absent because it is not known.
func (r *run) unknown(rep drill.Report) []string {
	names := []string{}
	miss := func(absent bool, name string) {
		if absent {
			names = append(names, name)
		}
	}
	miss(rep.Recovery == nil, "recovery")
	if rec := rep.Recovery; rec != nil {
		miss(rec.Outcome == "", "recovery.outcome")
		miss(rec.Redundancy == nil, "recovery.redundancy_seconds")
		if len(r.of(drill.ClassFresh)) > 0 {
			_, ok := rec.ByClass[drill.ClassFresh]
			miss(!ok, "recovery.by_class.fresh")
		}
	}
	if e := rep.Endpoints; e != nil {
		miss(e.Desired == nil, "endpoints.desired")
		miss(e.LeastReady == nil, "endpoints.least_ready")
		miss(e.NoEndpoints == nil, "endpoints.no_endpoints_seconds")
		miss(e.NewMember == nil, "endpoints.new_member_ready_seconds")
	} else {
		missWrites(rep, r.readBack == nil, miss)
	}
	unknownInvariants(rep.Invariants, miss)
	miss(rep.Abort.Fired && rep.Abort.Latency == nil, "abort.latency_seconds")
	miss(rep.Statistics == nil, "statistics")
	return names
}

// missWrites names what is not known of a target with a ledger.
func missWrites(rep drill.Report, noReadBack bool, miss func(absent bool, name string)) {
	miss(rep.Writes == nil, "writes")
	if w := rep.Writes; w != nil {
		for _, name := range []string{"lost", "lost_span_seconds", "indeterminate_present", "indeterminate_absent"} {
			miss(w.Lost == nil, "writes."+name)
		}
		for _, name := range []string{"phantom", "fabricated", "duplicate"} {
			miss(noReadBack, "writes."+name)
		}
	}
	miss(rep.ReplicationLag == nil, "replication_lag")
	if l := rep.ReplicationLag; l != nil {
		miss(l.Before == nil, "replication_lag.before_seconds")
		miss(l.AtFault == nil, "replication_lag.at_fault_seconds")
		miss(l.Peak == nil, "replication_lag.peak_seconds")
		miss(l.EngineDisagreement == nil, "replication_lag.engine_disagreement_seconds")
	}
	miss(rep.Primaries == nil, "primaries")
}
