package drillfile_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/drillfile"
)

func TestJSON(t *testing.T) {
	out, err := drillfile.JSON(nil, nil)
	require.NoError(t, err)
	assert.JSONEq(t, `{"format_version": "1.0", "valid": true, "error_count": 0, "warning_count": 0, "diagnostics": []}`, string(out))

	path := shared + "/errors/misspelt-attribute.hcl"
	file, diags := drillfile.Load(path, read(t, path), kinds(), drillfile.Inputs{})
	out, err = drillfile.JSON(file.Files, diags)
	require.NoError(t, err)
	assert.JSONEq(t, `{
	  "format_version": "1.0", "valid": false, "error_count": 1, "warning_count": 0,
	  "diagnostics": [{
	    "severity": "error", "summary": "Unknown attribute",
	    "detail": "A target of kind postgresql has no attribute named \"lag_secnds\". Did you mean \"lag_seconds\"?",
	    "range": {
	      "filename": "../../testdata/errors/misspelt-attribute.hcl",
	      "start": {"line": 11, "column": 35, "byte": 261}, "end": {"line": 11, "column": 45, "byte": 271}
	    },
	    "snippet": {
	      "context": "drill \"misspelt-attribute\"",
	      "code": "    condition     = target.orders.lag_secnds > 5 # ERROR: Unknown attribute",
	      "start_line": 11, "highlight_start_offset": 34, "highlight_end_offset": 44, "values": []
	    }
	  }]
	}`, string(out))
}

func TestJSONValues(t *testing.T) {
	expr, diags := hclsyntax.ParseExpression([]byte("a.lag > b.lag"), "x.hcl", hcl.InitialPos)
	require.Empty(t, diags)
	value := func(v cty.Value) cty.Value { return cty.ObjectVal(map[string]cty.Value{"lag": v}) }
	d := &hcl.Diagnostic{Severity: hcl.DiagWarning, Subject: expr.Range().Ptr(), Expression: expr,
		EvalContext: &hcl.EvalContext{Variables: map[string]cty.Value{"a": value(cty.NumberFloatVal(0.3)), "b": value(cty.UnknownVal(cty.Number))}}}
	out, err := drillfile.JSON(map[string]*hcl.File{"x.hcl": {Bytes: []byte("short")}}, hcl.Diagnostics{d})
	require.NoError(t, err)
	var got struct {
		Valid        bool
		WarningCount int `json:"warning_count"`
		Diagnostics  []struct {
			Snippet struct{ Values []map[string]string }
		}
	}
	require.NoError(t, json.Unmarshal(out, &got))
	assert.True(t, got.Valid)
	assert.Equal(t, 1, got.WarningCount)
	assert.Equal(t, []map[string]string{{"traversal": "a.lag", "statement": "is 0.3"}}, got.Diagnostics[0].Snippet.Values)
}

// TestPlaces: characters are counted as people see them, bytes as programs slice them, and the carets stand where a
// terminal shows the text.
func TestPlaces(t *testing.T) {
	spaces := func(n int) string { return strings.Repeat(" ", n) }
	for name, tc := range map[string]struct {
		before string // within quotes, before the mistake on its line
		column int
		indent string // of the carets
	}{
		"ASCII":    {"ab", 49, spaces(54)},
		"umlauts":  {"äö", 49, spaces(54)},
		"wide":     {"日本", 49, spaces(56)},
		"emoji":    {"👩\u200d🚀", 48, spaces(54)},
		"combined": {"e\u0301e\u0301", 49, spaces(54)},
		"tab":      {"\t", 48, spaces(27) + "\t" + spaces(25)},
	} {
		t.Run(name, func(t *testing.T) {
			const wrong = "target.orders.lag_secnds"
			src := strings.Replace(string(read(t, shared+"/errors/misspelt-attribute.hcl")), wrong, `"`+tc.before+`" == "" || `+wrong, 1)
			src = strings.ReplaceAll(src, "\n", "\r\n")
			file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
			require.Len(t, diags, 1)
			out, err := drillfile.JSON(file.Files, diags)
			require.NoError(t, err)
			var got struct {
				Diagnostics []struct {
					Range struct {
						Start, End struct{ Line, Column, Byte int }
					}
					Snippet struct {
						Code string
						From int `json:"highlight_start_offset"`
						To   int `json:"highlight_end_offset"`
					}
				}
			}
			require.NoError(t, json.Unmarshal(out, &got))
			at, snippet := got.Diagnostics[0].Range, got.Diagnostics[0].Snippet
			assert.Equal(t, tc.column, at.Start.Column)
			assert.Equal(t, 11, at.Start.Line)
			assert.Equal(t, "lag_secnds", src[at.Start.Byte:at.End.Byte])
			assert.Equal(t, "lag_secnds", snippet.Code[snippet.From:snippet.To])
			assert.Contains(t, render(t, file, diags), "\n"+tc.indent+"^^^^^^^^^^\n")
		})
	}
}

// TestSnippet: what is shown with the subject is in the code, as terraform has it, and an empty range can be pointed at.
func TestSnippet(t *testing.T) {
	src := "a {\n\n  b = 1\n}\n"
	at := func(line, column, from, to int) hcl.Range {
		return hcl.Range{Filename: "x.hcl", Start: hcl.Pos{Line: line, Column: column, Byte: from}, End: hcl.Pos{Line: line, Column: column + to - from, Byte: to}}
	}
	for name, tc := range map[string]struct {
		src     string
		subject hcl.Range
		context *hcl.Range
		code    string
		line    int
		from    int
		to      int
	}{
		"one line":          {src, at(3, 3, 7, 8), nil, "  b = 1", 3, 2, 3},
		"with context":      {src, at(3, 3, 7, 8), new(hcl.Range{Filename: "x.hcl", Start: hcl.InitialPos, End: hcl.Pos{Line: 4, Column: 2, Byte: 14}}), "a {\n\n  b = 1\n}", 1, 7, 8},
		"empty":             {src, at(3, 3, 7, 7), nil, "  b = 1", 3, 2, 3},
		"end of the file":   {src, at(5, 1, 15, 15), nil, "", 5, 0, 0},
		"end of a line":     {"a = \r\nb = 1\r\n", at(1, 5, 4, 4), nil, "a = ", 1, 4, 4},
		"beyond the source": {"short", at(9, 1, 100, 104), nil, "short", 9, 5, 5},
		"very long context": {strings.Repeat("# x\n", 5000) + src, at(1, 1, 0, 3), new(at(1, 1, 0, 20000)), "# x", 1, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "S", Detail: "D.", Subject: &tc.subject, Context: tc.context}
			out, err := drillfile.JSON(map[string]*hcl.File{"x.hcl": {Bytes: []byte(tc.src)}}, hcl.Diagnostics{d})
			require.NoError(t, err)
			var got struct {
				Diagnostics []struct {
					Range   struct{ Start, End struct{ Byte int } }
					Snippet struct {
						Context   *string
						Code      string
						StartLine int `json:"start_line"`
						From      int `json:"highlight_start_offset"`
						To        int `json:"highlight_end_offset"`
					}
				}
			}
			require.NoError(t, json.Unmarshal(out, &got))
			s, r := got.Diagnostics[0].Snippet, got.Diagnostics[0].Range
			assert.Nil(t, s.Context)
			assert.Equal(t, []any{tc.code, tc.line, tc.from, tc.to}, []any{s.Code, s.StartLine, s.From, s.To})
			assert.Greater(t, r.End.Byte, r.Start.Byte)
		})
	}
}
