package kube

import (
	"encoding/json"
	"slices"

	"github.com/failoverdrill/drill/internal/drill"
)

// cuts are what a report that is too long for the record loses, the least missed first. The detail has everything.
var cuts = []struct {
	what string
	cut  func(*drill.Report)
}{
	{"disagreements after the 20th", func(r *drill.Report) {
		if p := r.Primaries; p != nil && len(p.Disagreements) > 20 {
			shorter := *p
			shorter.Disagreements = slices.Clone(p.Disagreements[:20])
			r.Primaries = &shorter
		}
	}},
	{"outages between the 9th and the last", func(r *drill.Report) {
		if rec := r.Recovery; rec != nil && len(rec.Outages) > 10 {
			shorter := *rec
			shorter.Outages = append(slices.Clone(rec.Outages[:9]), rec.Outages[len(rec.Outages)-1])
			r.Recovery = &shorter
		}
	}},
	{"findings after the 20th", func(r *drill.Report) { r.Findings = slices.Clone(r.Findings[:min(20, len(r.Findings))]) }},
	{"probes", func(r *drill.Report) { r.Probes = nil }},
	{"disagreements", func(r *drill.Report) {
		if r.Primaries != nil {
			shorter := *r.Primaries
			shorter.Disagreements = nil
			r.Primaries = &shorter
		}
	}},
	{"everything but the verdict", func(r *drill.Report) {
		*r = drill.Report{FormatVersion: r.FormatVersion, Run: r.Run, Findings: r.Findings}
		r.Run.Description, r.Run.Variables = "", nil
		r.Run.Reasons = slices.Clone(r.Run.Reasons[:min(10, len(r.Run.Reasons))])
	}},
}

// Fit encodes the report within MaxReport. A record without its last detail is better than a run without a record.
func Fit(report *drill.Report) (json.RawMessage, error) {
	if report == nil {
		return nil, nil
	}
	raw, err := json.Marshal(report)
	shorter := *report
	for _, c := range cuts {
		if err != nil || len(raw) <= MaxReport {
			break
		}
		c.cut(&shorter)
		shorter.Findings = append(slices.Clone(shorter.Findings), drill.Finding{Severity: "warning", Code: "record_shortened",
			Text: "The report was too long for the record in the cluster, which lacks: " + c.what + "."})
		raw, err = json.Marshal(shorter)
	}
	return raw, err
}
