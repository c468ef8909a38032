package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

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

// squeezes are what is cut when that is not enough: texts to so many bytes, and lists and maps to so many entries.
var squeezes = []struct{ text, list int }{{512, 20}, {128, 10}, {40, 5}}

// Fit encodes the report within MaxReport, whatever is in it. A record without its last detail is better than a run
// without a record. The error is always nil; it is for callers that must handle one.
func Fit(report *drill.Report) (json.RawMessage, error) {
	if report == nil {
		return nil, nil
	}
	raw, err := bounded(report, MaxText, 0)
	shorter := *report
	for _, c := range cuts {
		if err != nil || len(raw) <= MaxReport {
			break
		}
		c.cut(&shorter)
		shorter.Findings = append(slices.Clone(shorter.Findings), lacks(c.what))
		raw, err = bounded(&shorter, MaxText, 0)
	}
	for _, s := range squeezes {
		if err != nil || len(raw) <= MaxReport {
			break
		}
		squeezed := shorter
		squeezed.Findings = append([]drill.Finding{lacks(fmt.Sprintf("what of a text is beyond %d bytes, and of a list beyond %d entries", s.text, s.list))},
			shorter.Findings...)
		raw, err = bounded(&squeezed, s.text, s.list)
	}
	if err != nil || len(raw) > MaxReport {
		return least(report), nil
	}
	return raw, nil
}

func lacks(what string) drill.Finding {
	return drill.Finding{Severity: "warning", Code: "record_shortened",
		Text: "The report was too long for the record in the cluster, which lacks: " + what + "."}
}

// least is the form of a report that always fits: what ran, when, and its verdict.
func least(report *drill.Report) json.RawMessage {
	short := drill.Report{FormatVersion: CutText(report.FormatVersion, 16), Run: drill.RunReport{ID: CutName(report.Run.ID, 253),
		Drill: CutName(report.Run.Drill, 253), Verdict: drill.Verdict(CutName(string(report.Run.Verdict), 40)), Trial: report.Run.Trial, Trials: report.Run.Trials},
		Findings: []drill.Finding{lacks("everything but the verdict")}}
	for _, r := range report.Run.Reasons[:min(1, len(report.Run.Reasons))] {
		short.Run.Reasons = []drill.Reason{{Code: CutName(r.Code, 100), Text: CutText(r.Text, 512)}}
	}
	for _, t := range []struct{ from, to *time.Time }{{&report.Run.Started, &short.Run.Started}, {&report.Run.Finished, &short.Run.Finished}} {
		if year := t.from.Year(); year >= 0 && year <= 9999 { // JSON has no others
			*t.to = t.from.UTC()
		}
	}
	raw, err := json.Marshal(short)
	if err != nil || len(raw) > MaxReport {
		return json.RawMessage(`{"format_version":"` + drill.FormatVersion + `","run":{"id":"","drill":"","file":""}}`)
	}
	return raw
}

// bounded encodes a value with its texts cut, and with a list greater than 0 its lists and maps.
func bounded(value any, text, list int) ([]byte, error) {
	raw, err := json.Marshal(value)
	if err != nil || list == 0 && len(raw) <= text {
		return raw, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	cut := false
	tree = cutTree(tree, text, list, &cut)
	if !cut {
		return raw, nil
	}
	return json.Marshal(tree)
}

func cutTree(value any, text, list int, cut *bool) any {
	switch v := value.(type) {
	case string:
		if len(v) > text {
			*cut = true
			return CutText(v, text)
		}
	case []any:
		if list > 0 && len(v) > list {
			v, *cut = v[:list], true
		}
		for i := range v {
			v[i] = cutTree(v[i], text, list, cut)
		}
		return v
	case map[string]any:
		shorter := make(map[string]any, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if list > 0 && len(shorter) >= max(list, 40) { // more than the report's own fields are somebody's names
				*cut = true
				break
			}
			if len(key) > maxKey {
				*cut = true
			}
			shorter[CutName(key, maxKey)] = cutTree(v[key], text, list, cut)
		}
		return shorter
	}
	return value
}

// maxKey is the longest name of a value in a record.
const maxKey = 128
