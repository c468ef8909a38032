// Package measure turns the events of a run into the numbers and the verdict of its report.
package measure

import (
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// Report computes everything that a recording says, from its events alone: the same recording always gives the same
// report. The rules are those of MEASURING.md; the fields are described in REPORT.md.
func Report(rec drill.Recording) drill.Report {
	return newRun(rec).report(rec.Run)
}

func (r *run) report(info drill.RunReport) drill.Report {
	rep := drill.Report{
		FormatVersion: drill.FormatVersion,
		Run:           info,
		Faults:        r.faultReports(),
		Probes:        r.probeReports(),
		Abort:         r.abort(),
		Findings:      append([]drill.Finding{}, r.findings...),
	}
	back := r.recovery()
	shown := r.replay()
	rep.Recovery = r.recoveryReport(back, shown)
	var found []drill.Finding
	if !r.settings.NoLedger {
		rep.Writes, found = r.ledger()
		rep.Findings = append(rep.Findings, found...)
		rep.ReplicationLag, found = r.lagReport(shown)
		rep.Findings = append(rep.Findings, found...)
		rep.Primaries = r.primaries()
	}
	rep.Endpoints = r.endpoints()
	rep.Invariants, found = r.invariants()
	rep.Findings = append(rep.Findings, found...)
	rep.Findings = append(rep.Findings, r.recoveryFindings(back, rep.Recovery)...)
	rep.Objectives = r.objectives(rep)
	rep.Run.Verdict, rep.Run.Reasons = r.verdict(rep)
	for i, reason := range rep.Run.Reasons {
		rep.Run.Reasons[i].Cause = CauseOf(reason, rep)
	}
	rep.Statistics = Statistics(append(slices.Clone(r.earlier), rep.Trial()))
	rep.Run.Stagger = r.stagger
	rep.Unknown = r.unknown(rep)
	return rep
}
