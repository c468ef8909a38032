package drillfile

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// result has the shape of `terraform validate -json`, so that editors and CI that read that can read this.
type result struct {
	FormatVersion string           `json:"format_version"`
	Valid         bool             `json:"valid"`
	ErrorCount    int              `json:"error_count"`
	WarningCount  int              `json:"warning_count"`
	Diagnostics   []jsonDiagnostic `json:"diagnostics"`
}

type jsonDiagnostic struct {
	Severity string       `json:"severity"`
	Summary  string       `json:"summary"`
	Detail   string       `json:"detail"`
	Range    *jsonRange   `json:"range,omitempty"`
	Snippet  *jsonSnippet `json:"snippet,omitempty"`
}

type jsonRange struct {
	Filename string  `json:"filename"`
	Start    jsonPos `json:"start"`
	End      jsonPos `json:"end"`
}

type jsonPos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

type jsonSnippet struct {
	Context              *string     `json:"context"`
	Code                 string      `json:"code"`
	StartLine            int         `json:"start_line"`
	HighlightStartOffset int         `json:"highlight_start_offset"`
	HighlightEndOffset   int         `json:"highlight_end_offset"`
	Values               []jsonValue `json:"values"`
}

type jsonValue struct {
	Traversal string `json:"traversal"`
	Statement string `json:"statement"`
}

// JSON writes diagnostics for programs. The list of diagnostics is never null.
func JSON(files map[string]*hcl.File, diags hcl.Diagnostics) ([]byte, error) {
	r := result{FormatVersion: "1.0", Valid: !diags.HasErrors(), Diagnostics: []jsonDiagnostic{}}
	for _, d := range diags {
		j := jsonDiagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
			r.WarningCount++
		} else {
			r.ErrorCount++
		}
		if d.Subject != nil {
			j.Range = &jsonRange{Filename: d.Subject.Filename, Start: jsonPos(d.Subject.Start), End: jsonPos(d.Subject.End)}
			j.Snippet = snippet(files[d.Subject.Filename], d)
		}
		r.Diagnostics = append(r.Diagnostics, j)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode diagnostics: %w", err)
	}
	return b.Bytes(), nil
}

// snippet is the first line of the subject, with what to highlight in it.
func snippet(file *hcl.File, d *hcl.Diagnostic) *jsonSnippet {
	if file == nil || file.Bytes == nil {
		return nil
	}
	line, before, within := sourceLine(file.Bytes, *d.Subject)
	s := &jsonSnippet{
		Code: line, StartLine: d.Subject.Start.Line,
		HighlightStartOffset: len(before), HighlightEndOffset: len(before) + len(within),
		Values: []jsonValue{},
	}
	if nav, ok := file.Nav.(interface{ ContextString(int) string }); ok {
		if c := nav.ContextString(d.Subject.Start.Byte); c != "" {
			s.Context = &c
		}
	}
	for _, v := range values(d) {
		s.Values = append(s.Values, jsonValue{Traversal: v.traversal, Statement: "is " + v.value})
	}
	return s
}
