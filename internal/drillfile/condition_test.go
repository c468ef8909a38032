package drillfile_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

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
		"decided without it":    {`target.orders.lag_seconds > 1 || target.orders.primaries == 0`, `"x"`, readings(map[string]float64{"primaries": 0}), drill.True, "x (target.orders.lag_seconds has no reading yet, target.orders.primaries is 0)"},
		"undecided without it":  {`target.orders.lag_seconds > 1 || target.orders.primaries == 0`, `"x"`, readings(map[string]float64{"primaries": 1}), drill.Unknown, "x (target.orders.lag_seconds has no reading yet, target.orders.primaries is 1)"},
		"message not of it":     {`target.orders.primaries == 1`, lag, readings(map[string]float64{"primaries": 1}), drill.True, "Lag (no reading yet) s. (target.orders.primaries is 1)"},
		"arithmetic in message": {`target.orders.primaries == 1`, `"${target.orders.lag_seconds * 2} s"`, readings(map[string]float64{"primaries": 1}), drill.True, "The condition is target.orders.primaries == 1, and target.orders.primaries is 1."},
		"null":                  {`target.orders.primaries == 1 ? true : null`, `"x"`, readings(map[string]float64{"primaries": 2}), drill.Unknown, "x (target.orders.primaries is 2)"},
		"other spelling":        {`target["orders"]["primaries"] == 1`, `"${target.orders.primaries}"`, readings(map[string]float64{"primaries": 1}), drill.True, "1"},
		"large":                 {`target.orders.lag_seconds > 1`, `"x"`, readings(map[string]float64{"lag_seconds": math.MaxFloat64}), drill.True, "x (target.orders.lag_seconds is 1.797693135e+308)"},
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

// TestConditionTellsItsValues: what the message does not mention is added when people have to know it.
func TestConditionTellsItsValues(t *testing.T) {
	live := readings(map[string]float64{"lag_seconds": 0.3, "success_ratio": 0.42})
	for name, tc := range map[string]struct{ expr, message, text string }{
		"not mentioned":    {`target.orders.success_ratio < 0.99`, `"Too few."`, "Too few. (target.orders.success_ratio is 0.42)"},
		"one of two":       {`target.orders.success_ratio < 0.99 || target.orders.lag_seconds > 1`, `"Lag ${target.orders.lag_seconds} s."`, "Lag 0.3 s. (target.orders.success_ratio is 0.42)"},
		"all":              {`target.orders.success_ratio < 0.99`, `"Only ${target["orders"].success_ratio}."`, "Only 0.42."},
		"in its order":     {`target.orders.success_ratio < 0.99 && target.orders.lag_seconds < 1`, `"x"`, "x (target.orders.success_ratio is 0.42, target.orders.lag_seconds is 0.3)"},
		"as it should be":  {`target.orders.success_ratio < 0.1`, `"Too few."`, "Too few."},
		"without reading":  {`target.orders.primaries > 1`, `"x"`, "x (target.orders.primaries has no reading yet)"},
		"some without one": {`target.orders.primaries > 1 && target.orders.lag_seconds < 1`, `"x"`, "x (target.orders.primaries has no reading yet, target.orders.lag_seconds is 0.3)"},
	} {
		t.Run(name, func(t *testing.T) {
			c := condition(t, tc.expr, tc.message)
			_, text := c.Evaluate(live)
			assert.Equal(t, tc.text, text)
			assert.Equal(t, tc.expr, c.String())
		})
	}
}

// TestWhoIsTold: an abort condition is bad news when it is true, an assertion when it is false.
func TestWhoIsTold(t *testing.T) {
	const rule = ` {
    condition     = target.orders.lag_seconds < 1
    error_message = "x"
  }
`
	src := strings.Replace(conditionFile(`target.orders.lag_seconds < 1`, `"x"`), "  fault", "  precondition \"p\""+rule+"  steady_state {\n  assert"+rule+"  }\n  objectives {\n  assert"+rule+"  }\n  fault", 1)
	file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
	require.Empty(t, diags, render(t, file, diags))
	d := file.Drills[0]
	assert.Equal(t, "p", d.Preconditions[0].Name)
	for lag, bad := range map[float64]drill.Truth{0.5: drill.True, 7: drill.False} {
		want := map[bool]string{true: fmt.Sprintf("x (target.orders.lag_seconds is %v)", lag), false: "x"}
		for _, r := range []drill.Rule{d.Preconditions[0], d.SteadyState.Asserts[0], d.Asserts[0], d.Aborts[0]} {
			truth, text := r.Condition.Evaluate(readings(map[string]float64{"lag_seconds": lag}))
			assert.Equal(t, bad, truth)
			assert.Equal(t, want[(truth == drill.True) == (r.Name == "x")], text, r.Name)
		}
	}
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
