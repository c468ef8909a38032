package drillfile_test

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

// FuzzLoad: whatever the file holds, loading it, telling what is wrong and evaluating its conditions neither panic nor
// take for ever, and a file without errors has drills.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.hcl", shared + "/valid/*.hcl", shared + "/errors/*.hcl", "../../drills/*.hcl"} {
		for _, path := range files(f, pattern) {
			f.Add(read(f, filepath.Clean(path)))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, diags := drillfile.Load("x.hcl", src, kinds(), drillfile.Inputs{})
		if diags.HasErrors() == (len(file.Drills) > 0) {
			t.Fatalf("%d drills with diagnostics %v", len(file.Drills), diags)
		}
		var b bytes.Buffer
		for _, color := range []bool{false, true} {
			if err := drillfile.Render(&b, file.Files, diags, 78, color); err != nil {
				t.Fatal(err)
			}
		}
		out, err := drillfile.JSON(file.Files, diags)
		if err != nil || !json.Valid(out) {
			t.Fatal(err, string(out))
		}
		for _, d := range file.Drills {
			for _, r := range append(d.SteadyState.Asserts, d.Aborts...) {
				evaluate(r.Condition.(*drillfile.Condition))
			}
		}
	})
}

// FuzzCondition reaches deeper into expressions than whole files do.
func FuzzCondition(f *testing.F) {
	for _, expr := range []string{
		`target.orders.lag_seconds < 1 && target.orders.success_ratio >= 0.99`,
		`target["orders"].outage_seconds - target.orders.lag_seconds > duration("90s") || !(target.orders.primaries != 1)`,
		`(target.orders.primaries > 1 ? [1, 2] : [2])[0] * 3 % 2 == 1e10`,
		`{ a = target.orders.primaries, "b" = -1 }.a / 0 > "${target.orders.lag_seconds}"`,
	} {
		f.Add(expr, `"Lag ${target.orders.lag_seconds * 2} s%{ if target.orders.primaries == 0 }, ~ none%{ endif }."`)
		f.Add(expr, "<<-EOT\n  text $${ ${target.orders.primaries}\n  EOT\n")
		f.Add(expr, `target.orders.success_ratio`)
	}
	f.Fuzz(func(_ *testing.T, expr, message string) {
		file, _ := drillfile.Load("x.hcl", []byte(conditionFile(expr, message)), kinds(), drillfile.Inputs{})
		for _, d := range file.Drills {
			for _, r := range d.Aborts {
				evaluate(r.Condition.(*drillfile.Condition))
			}
		}
	})
}

// evaluate tries a condition with every sort of reading.
func evaluate(c *drillfile.Condition) {
	c.Evaluate(nil)
	for _, v := range []float64{0, 1, -1, 0.1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		for _, live := range []drill.Live{
			readings(map[string]float64{"lag_seconds": v, "success_ratio": v, "outage_seconds": v, "primaries": v}),
			readings(map[string]float64{"lag_seconds": v, "success_ratio": math.Inf(1), "outage_seconds": 0}),
		} {
			c.Evaluate(live)
		}
	}
}
