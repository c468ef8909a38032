package drillfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

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
			at := visible(*d.Subject)
			j.Range = &jsonRange{Filename: at.Filename, Start: jsonPos(at.Start), End: jsonPos(at.End)}
			j.Snippet = snippet(files[at.Filename], at, d)
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

// visible makes an empty range one character wide, so that there is something to point at.
func visible(at hcl.Range) hcl.Range {
	if at.Empty() {
		at.End = at.Start
		at.End.Byte++
		at.End.Column++
	}
	return at
}

// maxSnippet bounds how much of a file one diagnostic repeats: a block may be as long as its file.
const maxSnippet = 4 << 10

// snippet is the lines of the subject and of what is shown with it. Terraform's reference calls the offsets of the
// highlight characters, and terraform writes, and reads, bytes of the code; so does drill.
func snippet(file *hcl.File, at hcl.Range, d *hcl.Diagnostic) *jsonSnippet {
	if file == nil || file.Bytes == nil {
		return nil
	}
	over := at
	if d.Context != nil {
		over = hcl.RangeOver(at, *d.Context)
	}
	if over.End.Byte-over.Start.Byte > maxSnippet {
		over = at
	}
	code, from := lines(file.Bytes, over)
	s := &jsonSnippet{
		Code: code, StartLine: over.Start.Line, Values: []jsonValue{},
		HighlightStartOffset: min(max(at.Start.Byte-from, 0), len(code)), HighlightEndOffset: min(max(at.End.Byte-from, 0), len(code)),
	}
	if c := contextOf(file.Nav, at.Start.Byte-1); c != "" {
		s.Context = &c
	}
	if d.Expression != nil && d.EvalContext != nil {
		for _, v := range values(d.Expression.Variables(), d.EvalContext) {
			if v.value != "" {
				s.Values = append(s.Values, jsonValue{Traversal: v.traversal, Statement: "is " + v.value})
			}
		}
	}
	return s
}

// lines is the whole lines on which a range lies, and where they begin.
func lines(src []byte, at hcl.Range) (text string, from int) {
	start := min(max(at.Start.Byte, 0), len(src))
	last := min(max(at.End.Byte-1, start), len(src))
	from = bytes.LastIndexByte(src[:start], '\n') + 1
	to := len(src)
	if i := bytes.IndexByte(src[last:], '\n'); i >= 0 {
		to = last + i
	}
	text = strings.TrimSuffix(string(src[from:to]), "\r")
	if len(text) > maxSnippet {
		text = strings.ToValidUTF8(text[:maxSnippet], "")
	}
	return text, from
}
