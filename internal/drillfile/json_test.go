package drillfile_test

import (
	"encoding/json"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
	      "start": {"line": 11, "column": 34, "byte": 260}, "end": {"line": 11, "column": 45, "byte": 271}
	    },
	    "snippet": {
	      "context": "drill \"misspelt-attribute\"",
	      "code": "    condition     = target.orders.lag_secnds > 5 # ERROR: Unknown attribute",
	      "start_line": 11, "highlight_start_offset": 33, "highlight_end_offset": 44, "values": []
	    }
	  }]
	}`, string(out))
}

func TestJSONValues(t *testing.T) {
	c := condition(t, `target.orders.lag_seconds > 1`, `"Lag."`)
	d := c.Diagnostic("Steady state does not hold", readings(map[string]float64{"lag_seconds": 0.3}))
	d.Severity = hcl.DiagWarning
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
	assert.Equal(t, []map[string]string{{"traversal": "target.orders.lag_seconds", "statement": "is 0.3"}}, got.Diagnostics[0].Snippet.Values)
}
