package drillfile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drillfile"
)

func TestLocals(t *testing.T) {
	src := `locals {
  last  = "${local.middle}-c"
  first = "a"
}
variable "n" { default = 2 }
locals {
  middle = "${local.first}-b"
  all    = [for i in range(var.n) : "${local.last}${i}"]
  spell  = local["first"]
  none   = []
}
` + strings.Replace(conditionFile("target.orders.primaries > var.n", `"${local.last}: ${target.orders.primaries}"`), "drill \"x\" {",
		"drill \"x\" {\n  description = jsonencode([local.all, local.spell, local.none])", 1)
	file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
	require.Empty(t, diags, render(t, file, diags))
	assert.Equal(t, `[["a-b-c0","a-b-c1"],"a",[]]`, file.Drills[0].Description)
	truth, text := file.Drills[0].Aborts[0].Condition.Evaluate(readings(map[string]float64{"primaries": 3}))
	assert.Equal(t, "a-b-c: 3 (var.n is 2)", text)
	assert.EqualValues(t, 2, truth)
}

func TestLocalErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		locals string
		at     []int // lines
		want   string
	}{
		"circle":             {"a = local.b\nb = local.c\nc = local.a", []int{4}, `Locals in a circle: These locals need each other's values: a → b → c → a.`},
		"circle of one":      {"a = \"${local.a}\"", []int{2}, `Locals in a circle: The local "a" needs its own value.`},
		"two circles":        {"a = local.b\nb = local.a\nc = local.d\nd = local.c", []int{3, 5}, `a → b → a`},
		"way into a circle":  {"x = local.a\na = local.b\nb = local.a", []int{4}, `a → b → a`},
		"circle through for": {"a = [for x in local.b : x]\nb = [for x in [1] : local.a]", []int{3}, `a → b → a`},
		"unknown":            {"naem = 1\nb = local.name", []int{3}, `Unknown local: This file has no local named "name". Did you mean "naem"?`},
		"unknown variable":   {"b = var.name", []int{2}, `Unknown variable: This file declares no variable. Write a block variable "name" { … }, or the value itself.`},
		"variable is local":  {"a = 1\nb = var.a", []int{3}, `there is a local of that name. Write local.a.`},
		"whole":              {"a = local", []int{2}, `Incomplete reference: Write the name of a local, as in local.namespace.`},
		"dynamic":            {"a = 1\nb = local[\"${local.a}x\"]", []int{3}, `Incomplete reference`},
		"live value":         {"a = target.orders.primaries", []int{2}, `Live value outside a condition`},
		"the run":            {"a = run.elapsed_seconds", []int{2}, `Live value outside a condition`},
		"unknown root":       {"a = foo", []int{2}, `Unknown reference: There is nothing named "foo" to refer to here.`},
		"duplicate":          {"}\nlocals {\na = 1\n}\nlocals {\na = 2", []int{7}, `Duplicate name: Another local named "a" is on line 4 of x.hcl; this one is on line 7.`},
		"block":              {"a {}", []int{2}, `Unsupported block type: A locals block holds values, as in a = { … }, with an equals sign.`},
		"used everywhere":    {"a = duration(\"x\")\nb = local.a + 1\nc = [local.b, local.a.b.c]", []int{2}, `Invalid function argument`},
	} {
		t.Run(name, func(t *testing.T) {
			src := "locals {\n" + tc.locals + "\n}\n" + conditionFile("target.orders.primaries > 1", `"x"`)
			file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
			var at []int
			for _, d := range diags {
				at = append(at, d.Subject.Start.Line)
			}
			require.Equal(t, tc.at, at, render(t, file, diags))
			assert.Contains(t, diags[0].Summary+": "+diags[0].Detail, tc.want)
		})
	}
}
