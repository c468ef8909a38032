package drillfile_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

// cpu is the processor time that this process has had: what a test may take on a machine that is shared.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ordinary is the processor time that reading an honest, large file takes here and now: a thousand drills. What a test
// allows is a multiple of it, so that it means the same on every machine.
var ordinary = sync.OnceValue(func() time.Duration {
	var src strings.Builder
	for i := range 1000 {
		src.WriteString(strings.Replace(conditionFile(`target.orders.primaries > 1`, `"x"`), `drill "x"`, fmt.Sprintf("drill %q", fmt.Sprint("x", i)), 1))
	}
	start := cpu()
	if _, diags := drillfile.Load("ordinary.hcl", []byte(src.String()), kinds(), drillfile.Inputs{}); diags.HasErrors() {
		panic(diags.Error())
	}
	return cpu() - start
})

// bombs are small files that ask for very much.
func bombs() map[string]string {
	local := func(expr string) string { return "locals {\n  x = " + expr + "\n}\n" }
	doubled := func(first, next string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "locals {\n  a0 = %s\n", first)
		for i := range 60 {
			fmt.Fprintf(&b, "  a%d = %s\n", i+1, strings.ReplaceAll(next, "@", fmt.Sprintf("local.a%d", i)))
		}
		return b.String() + "}\n"
	}
	ten := "[0,1,2,3,4,5,6,7,8,9]"
	thousand := "range(1000)"
	mixed := "[for i in range(1000): {\"k${i}\" = i}]"
	return map[string]string{
		"for":                    local("[for a in range(1000): [for b in range(1000): [for c in range(1000): a]]]"),
		"for of literals":        local("[for a in " + ten + ": [for b in " + ten + ": [for c in " + ten + ": [for d in " + ten + ": [for e in " + ten + ": [for f in " + ten + ": [for g in " + ten + ": [for h in " + ten + ": [for i in " + ten + ": 1]]]]]]]]]"),
		"for in a type":          "variable \"x\" {\n  type = object({ a = optional(any, [for a in " + ten + ": [for b in " + ten + ": [for c in " + ten + ": [for d in " + ten + ": [for e in " + ten + ": [for f in " + ten + ": [for g in " + ten + ": [for h in " + ten + ": 1]]]]]]]]) })\n}\n",
		"for that keeps nothing": local("[for a in range(1000): [for b in range(1000): [for c in range(1000): c if false]]]"),
		"for in a template":      local(`"%{ for a in range(1000) }%{ for b in range(1000) }%{ for c in range(1000) }x%{ endfor }%{ endfor }%{ endfor }"`),
		"for of objects":         local("{for a in range(1000): a => {for b in range(1000): b => {for c in range(1000): c => a}}}"),
		"for that tries":         local("[for a in range(1000): [for b in range(1000): [for c in range(1000): try(a.x, 0)]]]"),
		"for that fails":         local("[for a in range(1000): [for b in range(1000): [for c in range(1000): a.x]]]"),
		"for with duplicates":    local("[for a in range(1000): {for b in range(1000): 1 => b}]"),
		"splats":                 local("[for a in range(1000): [for b in range(1000): range(1000)[*]]]"),
		"setproduct":             local("setproduct(range(1000), range(1000), range(1000))"),
		"setproduct of little":   local("setproduct(" + strings.Repeat(ten+",", 9) + ten + ")"),
		"range":                  local("range(0, 1e300, 1e-300)"),
		"join":                   local(`join(join("", [for i in range(1000): "0123456789"]), [for i in range(1000): "0123456789"])`),
		"replace":                local(`replace(format("%10000s", ""), " ", format("%10000s", ""))`),
		"replace of nothing":     local(`replace(format("%10000s", ""), "", format("%10000s", ""))`),
		"replace by groups":      local(`replace(format("%10000s", ""), "/(.*)/", "` + strings.Repeat("$1", 500) + `")`),
		"format width":           local(`format("%1000000000d", 1)`),
		"format width of zeros":  local(`format("%01000000000d", 1)`),
		"format precision":       local(`format("%.1000000000f", 1)`),
		"format of digits":       local(`format("%99999999999999999999d", 1)`),
		"format widths":          local(`format("` + strings.Repeat("%900000d", 1000) + `", 1)`),
		"format repeats":         local(`format("` + strings.Repeat("%[1]s", 10000) + `", format("%500000d", 1))`),
		"format of bits":         local(`format("%b", 1e308)`),
		"formatlist":             local(`formatlist("%900000d", range(1000))`),
		"indent":                 local(`indent(1000000000, "a\nb")`),
		"indent of lines":        local(`indent(1000000, join("\n", range(1000)))`),
		"indent backwards":       local(`indent(-5, "a\nb")`),
		"flatten":                doubled(`[1,2]`, `flatten([@, @])`),
		"concat":                 doubled(`[1,2]`, `concat(@, @)`),
		"nested lists":           doubled(`[1,2]`, `[@, @]`),
		"nested objects":         doubled(`1`, `{a = @, b = @}`),
		"strings":                doubled(`"0123456789"`, `"${@}${@}"`),
		"strings by join":        doubled(`"0123456789"`, `join("", [@, @])`),
		"strings by json":        doubled(`"\""`, `jsonencode(@)`),
		"squares":                doubled(`10`, `@ * @`),
		"powers":                 doubled(`10`, `pow(@, 10)`),
		"inverse squares":        doubled(`0.1`, `@ * @`),
		"squares by for":         local("[for a in [1e300]: [for b in [a*a]: [for c in [b*b]: [for d in [c*c]: [for e in [d*d]: [for f in [e*e]: [for g in [f*f]: [for h in [g*g]: \"${h}\"]]]]]]]]"),
		"products in a for":      local("[for a in range(1000): [for b in range(1000): \"${" + strings.Repeat("1e300*", 300) + "1}\"]]"),
		"modulo in a for":        local("[for a in range(1000): [for b in range(1000): (" + strings.Repeat("1e300*", 300) + "1) % 7]]"),
		"parseint":               local(`parseint(format("%0100000d", 1), 10)`),
		"distinct":               local("distinct([for a in range(1000): a])") + "",
		"distinct in a for":      local("[for a in range(1000): distinct([for b in range(400): b])]"),
		"contains in a for":      local("[for a in range(1000): [for b in range(1000): contains(range(1000), b)]]"),
		"tolist of many types":   local("tolist([for i in range(1000): i % 2 == 0 ? {a = i} : i])"),
		"tolist of objects":      local("tolist(" + mixed + ")"),
		"conditional of types":   local("[for i in range(100): true ? " + mixed + " : [1]]"),
		"merge in a for":         local("[for i in range(1000): merge({for j in range(1000): \"k${j}\" => j}, {a = i})]"),
		"equal":                  "locals {\n  a = [for i in " + thousand + ": range(20)]\n  b = [for i in " + thousand + ": local.a == local.a]\n}\n",
		"try in try":             local(strings.Repeat("try(", 30) + "nothing.at.all" + strings.Repeat(")", 30)),
		"can in can":             local(strings.Repeat("can(", 30) + "1" + strings.Repeat(")", 30)),
		"try of for":             local("try([for a in range(1000): [for b in range(1000): [for c in range(1000): a]]], 1)"),
		"regex":                  local(`regex("(x+x+)+y", format("%0500000d", 1))`),
		"regex of repeats":       local(`regexall("(a{1000}|b{1000}){0,1}", format("%010000d", 1))`),
		"regexall":               local(`regexall("", format("%0500000d", 1))`),
		"split":                  local(`split("", format("%0900000d", 1))`),
		"jsondecode":             local(`jsondecode("[` + strings.Repeat("0,", 200_000) + `0]")`),
		"jsondecode deep":        local(`jsondecode("` + strings.Repeat("[", 200_000) + `")`),
		"sort":                   local("[for i in range(1000): sort([for j in range(1000): \"${i * j % 1000}\"])]"),
		"strrev":                 local(`[for i in range(1000): strrev(format("%010000d", i))]`),
		"many locals":            "locals {\n" + many("  a%d = 1\n", 60_000) + "}\n",
		"long chain of locals":   "locals {\n  a0 = 1\n" + manyNext("  a%d = local.a%d\n", 30_000) + "}\n",
		"long circle of locals":  "locals {\n  a0 = local.a4000\n" + manyNext("  a%d = local.a%d\n", 4000) + "}\n",
		"all locals in circles":  "locals {\n" + manyEach("  a%d = local.a%d\n", 30_000) + "}\n",
		"many variables":         many("variable \"a%d\" {\n  default = 1\n}\n", 20_000),
		"large default":          "variable \"a\" {\n  default = [for i in range(1000): range(1000)]\n}\n",
		"large validation":       "variable \"a\" {\n  default = 1\n  validation {\n    condition = alltrue([for i in range(1000): alltrue([for j in range(1000): var.a < 10])])\n    error_message = \"x\"\n  }\n}\n",
		"deep type":              "variable \"a\" {\n  type = " + strings.Repeat("list(", 30) + "string" + strings.Repeat(")", 30) + "\n  default = []\n}\n",
	}
}

func many(line string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i)
	}
	return b.String()
}

func manyNext(line string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i+1, i)
	}
	return b.String()
}

func manyEach(line string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i, i)
	}
	return b.String()
}

// TestBombs holds what small files can make drill evaluate to little more than an honest, large file takes.
func TestBombs(t *testing.T) {
	most := 8 * ordinary()
	for name, src := range bombs() {
		t.Run(name, func(t *testing.T) {
			src += conditionFile("target.orders.primaries > 1", `"x"`)
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start, wall := cpu(), time.Now()
			_, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
			took := cpu() - start
			runtime.ReadMemStats(&after)
			made := (after.TotalAlloc - before.TotalAlloc) >> 20
			first := "fine"
			if len(diags) > 0 {
				first = diags[0].Summary + " " + fmt.Sprint(diags[0].Subject)
			}
			t.Logf("%.1f of an ordinary file: %6.2f s cpu, %6.2f s, %4d MiB made: %d %s", took.Seconds()/ordinary().Seconds(), took.Seconds(), time.Since(wall).Seconds(), made, len(diags), first)
			assert.Less(t, took, most)
		})
	}
}

// TestBombsInConditions: what is evaluated on every sample is bounded, too, and said when the file is read.
func TestBombsInConditions(t *testing.T) {
	live := `target.orders.primaries`
	for name, src := range map[string]string{
		"condition":       conditionFile("alltrue([for a in range(1000): alltrue([for b in range(1000): "+live+" > a + b])])", `"x"`),
		"message":         conditionFile(live+" > 1", `"${join("", [for a in range(1000): join("", [for b in range(1000): "${a}${b}"])])} ${`+live+`}"`),
		"format":          conditionFile(live+" > length(format(\"%1000000000d\", 1))", `"x"`),
		"many":            strings.Repeat(conditionFile(live+" > sum(range(900))", `"x"`), 600),
		"only in the run": conditionFile(live+" > length([for a in range("+live+"): [for b in range(900): a]])", `"x"`),
	} {
		t.Run(name, func(t *testing.T) {
			for i := range strings.Count(src, `drill "x"`) {
				src = strings.Replace(src, `drill "x"`, fmt.Sprintf(`drill "x%d"`, i), 1)
			}
			start := cpu()
			file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{})
			took := cpu() - start
			assert.Less(t, took, 12*ordinary())
			if name == "only in the run" {
				assert.Empty(t, diags, render(t, file, diags))
				start = cpu()
				truth, text := file.Drills[0].Aborts[0].Condition.Evaluate(readings(map[string]float64{"primaries": 900}))
				t.Log(cpu()-start, text)
				assert.Equal(t, drill.Unknown, truth)
				assert.Contains(t, text, "cannot be evaluated")
				truth, _ = file.Drills[0].Aborts[0].Condition.Evaluate(readings(map[string]float64{"primaries": 2}))
				assert.Equal(t, drill.False, truth)
				return
			}
			if assert.NotEmpty(t, diags) {
				t.Log(took, len(diags), diags[0])
				assert.Contains(t, []string{"Too much to evaluate", "Value too large"}, diags[0].Summary)
			}
		})
	}
}

// BenchmarkLoad reads an ordinary file with variables, locals and conditions.
func BenchmarkLoad(b *testing.B) {
	src := read(b, shared+"/valid/variables.hcl")
	b.ReportAllocs()
	for b.Loop() {
		if file, _ := drillfile.Load("x.hcl", src, kinds(), drillfile.Inputs{}); len(file.Drills) != 1 {
			b.Fatal("no drill")
		}
	}
}
