package drillfile_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

func condition(t testing.TB, expr, message string) *drillfile.Condition {
	t.Helper()
	file, diags := drillfile.Load("x.hcl", []byte(conditionFile(expr, message)), kinds(), drillfile.Inputs{})
	require.Empty(t, diags, render(t, file, diags))
	return file.Drills[0].Aborts[0].Condition.(*drillfile.Condition)
}

func conditionFile(expr, message string) string {
	return fmt.Sprintf(`drill "x" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "a=b"
    dsn       = "postgres://"
  }
  fault "kill_primary" "orders" {}
  abort "x" {
    condition     = %s
    error_message = %s
  }
}
`, expr, message)
}

func readings(values map[string]float64) drill.Live {
	return drill.Live{"target": {"orders": values}}
}

func TestEvaluate(t *testing.T) {
	const lag = `"Lag ${target.orders.lag_seconds} s."`
	inf := math.Inf(1)
	for name, tc := range map[string]struct {
		expr, message string
		live          drill.Live
		truth         drill.Truth
		text          string
	}{
		"true":                  {`target.orders.lag_seconds > 1`, lag, readings(map[string]float64{"lag_seconds": 2.5}), drill.True, "Lag 2.5 s."},
		"false":                 {`target.orders.lag_seconds > 1`, lag, readings(map[string]float64{"lag_seconds": 0.3}), drill.False, "Lag 0.3 s."},
		"rounded":               {`target.orders.lag_seconds > 1`, lag, readings(map[string]float64{"lag_seconds": 0.1 + 0.2}), drill.False, "Lag 0.3 s."},
		"no live values":        {`target.orders.lag_seconds > 1`, lag, nil, drill.Unknown, "Lag (no reading yet) s."},
		"no reading":            {`target.orders.lag_seconds > 1`, lag, readings(nil), drill.Unknown, "Lag (no reading yet) s."},
		"NaN":                   {`target.orders.lag_seconds > 1`, lag, readings(map[string]float64{"lag_seconds": math.NaN()}), drill.Unknown, "Lag (no reading yet) s."},
		"never":                 {`target.orders.lag_seconds > 1`, lag, readings(map[string]float64{"lag_seconds": inf}), drill.True, "Lag +Inf s."},
		"less than never":       {`target.orders.lag_seconds < duration("1m")`, lag, readings(map[string]float64{"lag_seconds": inf}), drill.False, "Lag +Inf s."},
		"minus infinity":        {`target.orders.lag_seconds > 1`, lag, readings(map[string]float64{"lag_seconds": -inf}), drill.False, "Lag -Inf s."},
		"decided without it":    {`target.orders.lag_seconds > 1 || target.orders.primaries == 0`, `"x"`, readings(map[string]float64{"primaries": 0}), drill.True, "x"},
		"undecided without it":  {`target.orders.lag_seconds > 1 || target.orders.primaries == 0`, `"x"`, readings(map[string]float64{"primaries": 1}), drill.Unknown, "x"},
		"message not of it":     {`target.orders.primaries == 1`, lag, readings(map[string]float64{"primaries": 1}), drill.True, "Lag (no reading yet) s."},
		"arithmetic in message": {`target.orders.primaries == 1`, `"${target.orders.lag_seconds * 2} s"`, readings(map[string]float64{"primaries": 1}), drill.True, "The condition is target.orders.primaries == 1 with target.orders.primaries as 1"},
		"null":                  {`target.orders.primaries == 1 ? true : null`, `"x"`, readings(map[string]float64{"primaries": 2}), drill.Unknown, "x"},
		"other spelling":        {`target["orders"]["primaries"] == 1`, `"x"`, readings(map[string]float64{"primaries": 1}), drill.True, "x"},
		"large":                 {`target.orders.lag_seconds > 1`, `"x"`, readings(map[string]float64{"lag_seconds": math.MaxFloat64}), drill.True, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			truth, text := condition(t, tc.expr, tc.message).Evaluate(tc.live)
			assert.Equal(t, tc.truth, truth)
			assert.Equal(t, tc.text, text)
		})
	}
}

// TestEvaluateImpossible covers arithmetic that has no result.
func TestEvaluateImpossible(t *testing.T) {
	inf := readings(map[string]float64{"lag_seconds": math.Inf(1), "outage_seconds": math.Inf(1), "primaries": 0})
	for _, expr := range []string{
		`target.orders.lag_seconds - target.orders.outage_seconds > 0`,
		`target.orders.lag_seconds / target.orders.outage_seconds > 0`,
		`target.orders.lag_seconds * target.orders.primaries > 0`,
		`target.orders.lag_seconds % target.orders.primaries > 0`,
		`target.orders.lag_seconds % target.orders.outage_seconds > 0`,
		`5 / target.orders.primaries > 0`,
		`5 % target.orders.primaries > 0`,
		`-target.orders.lag_seconds + target.orders.outage_seconds > 0`,
	} {
		t.Run(expr, func(t *testing.T) {
			truth, text := condition(t, expr, `"x"`).Evaluate(inf)
			t.Log(truth, text)
			assert.NotEmpty(t, text)
		})
	}
}

func TestConditionTellsItsValues(t *testing.T) {
	c := condition(t, `target.orders.success_ratio < 0.99 || target.orders.lag_seconds > 1`, `"Not steady."`)
	live := readings(map[string]float64{"lag_seconds": 0.3, "success_ratio": 0.42})
	assert.Equal(t, "with target.orders.lag_seconds as 0.3, target.orders.success_ratio as 0.42", c.Values(live))
	assert.Empty(t, c.Values(nil))
	assert.Equal(t, `target.orders.success_ratio < 0.99 || target.orders.lag_seconds > 1`, c.String())

	var b bytes.Buffer
	require.NoError(t, drillfile.Render(&b, nil, hcl.Diagnostics{c.Diagnostic("Steady state does not hold", live)}, 78, false))
	assert.Contains(t, b.String(), "with target.orders.lag_seconds as 0.3,\n     target.orders.success_ratio as 0.42.")
	assert.Contains(t, b.String(), "Not steady.")
}

func BenchmarkEvaluate(b *testing.B) {
	c := condition(b, `target.orders.lag_seconds < 1 && target.orders.success_ratio >= 0.99 && target.orders.outage_seconds < duration("90s")`,
		`"Not steady: ${target.orders.lag_seconds} s."`)
	live := readings(map[string]float64{"lag_seconds": 0.3, "success_ratio": 1, "outage_seconds": 0})
	b.ReportAllocs()
	for b.Loop() {
		if truth, _ := c.Evaluate(live); truth != drill.True {
			b.Fatal(truth)
		}
	}
}
