package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
	"github.com/failoverdrill/drill/internal/schema"
)

// The fuzz targets of the whole language, with the real kinds. `make fuzz` runs them. Whatever they are given must be read,
// told about and evaluated without a panic, in little more time than an ordinary file takes, and in memory that its size accounts for.

// FuzzFile is given whole files.
func FuzzFile(f *testing.F) {
	for _, pattern := range []string{"../../drills/*.hcl", "../../testdata/*/*.hcl"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, p := range paths {
			src, err := os.ReadFile(filepath.Clean(p))
			require.NoError(f, err)
			f.Add(string(src))
		}
	}
	kinds := fileKinds()
	f.Fuzz(func(t *testing.T, src string) {
		bounded(t, len(src), func() { load(t, kinds, src, drillfile.Inputs{Partial: len(src)%2 == 0}) })
	})
}

// FuzzExpression is given an expression, which stands where values are computed once: a local, an argument, a default.
func FuzzExpression(f *testing.F) {
	for _, e := range expressions {
		f.Add(e)
	}
	kinds := fileKinds()
	f.Fuzz(func(t *testing.T, expr string) {
		src := fmt.Sprintf("variable \"v\" {\n  default = %[1]s\n}\nlocals {\n  a = %[1]s\n  b = [local.a, local.a, var.v]\n}\n%s", expr,
			strings.Replace(fuzzed, `"60s"`, "\"${"+expr+"}\"", 1))
		bounded(t, len(src), func() { load(t, kinds, src, drillfile.Inputs{}) })
	})
}

// FuzzCondition is given a condition and its message, over live values, variables and locals.
func FuzzCondition(f *testing.F) {
	for _, e := range expressions {
		f.Add(e, `"${target.orders.lag_seconds} s"`)
		f.Add(fmt.Sprintf("target.orders.lag_seconds < 1 && length([%s]) == 1", e), e)
	}
	kinds := fileKinds()
	f.Fuzz(func(t *testing.T, condition, message string) {
		src := strings.NewReplacer("target.orders.lag_seconds < 1", condition, `"Not steady."`, message).Replace(fuzzed)
		src = "variable \"v\" {\n  default = 3\n}\nlocals {\n  a = { b = [1, 2] }\n}\n" + src
		bounded(t, len(src), func() { load(t, kinds, src, drillfile.Inputs{Partial: len(message)%2 == 0}) })
	})
}

// FuzzValue is given what a user types after --var, and the variable's type.
func FuzzValue(f *testing.F) {
	for _, typ := range []string{"string", "number", "bool", "list(string)", "map(number)", "object({ a = optional(string, \"b\") })", "set(any)", "tuple([string, bool])", "any"} {
		for _, text := range append(expressions, "true", "1e5", "plain text", "", "\"", "[", "null", "{a=1}", "é\u202e") {
			f.Add(typ, text)
		}
	}
	kinds := fileKinds()
	f.Fuzz(func(t *testing.T, typ, text string) {
		src := fmt.Sprintf("variable \"v\" {\n  type = %s\n  validation {\n    condition     = length(\"${jsonencode(var.v)}\") < 9\n    error_message = \"No ${jsonencode(var.v)}.\"\n  }\n}\nlocals {\n  a = var.v\n}\n%s", typ, fuzzed)
		in := drillfile.Inputs{Given: []drillfile.Value{{Name: "v", Origin: "--var", Text: text}}}
		bounded(t, len(src)+len(text), func() { load(t, kinds, src, in) })
	})
}

// expressions is what the fuzzer begins with: one of everything that an expression may have.
var expressions = []string{
	`1 + 2 * 3 / 4 % 5 - -6`, `!true || false && 1 < 2 == (3 >= 4)`, `"a${1}b%{ if true }c%{ else }d%{ endif }%{ for x in [1] }${x}%{ endfor }"`,
	"<<-EOT\n    a ${upper(\"b\")}\n  EOT\n", `[for i, x in range(3) : "${i}${x}" if i > 0]`, `{ for k, v in { a = 1 } : k => v... }`, `{ a = [1, { "b" = null }], (lower("C")) = true }`,
	`[{ a = [1] }][*].a[0]`, `tolist([[1], [2]])[*][*]`, `setproduct(["a"], [1, 2])`, `merge({ a = 1 }, { b = "c" })["a"]`, `flatten([[1, [2]], [3]])`, `concat([1], ["a"])`,
	`join(",", ["a", "b"])`, `replace("aaa", "/a/", "b")`, `format("%5.2f %s %v %q %%", 1, "a", [1], "b")`, `formatlist("%d-%s", [1, 2], "a")`, `indent(2, "a\nb")`, `regexall("(a)(?P<b>b)", "abab")`,
	`try(local.b, "c")`, `can(regex("[", "a"))`, `coalesce(null, "a")`, `lookup({ a = 1 }, "b", 2)`, `jsonencode({ a = [1, null, 1.5] })`, `jsondecode("{\"a\":[1e3]}")`, `tonumber("1e3") + tostring(4)`,
	`duration("1h30m") * 2`, `secret("orders-app", "uri")`, `env("HOME")`, `file("x.hcl")`, `base64encode("a")`, `sha256("a")`, `yamldecode("a: [1]")`, `csvdecode("a,b\n1,2")`, `timeadd("2026-01-01T00:00:00Z", "1h")`,
	`range(10, 0, -3)`, `slice([1, 2, 3], 1, 2)`, `chunklist([1, 2, 3], 2)`, `zipmap(["a"], [1])`, `distinct([1, 1])`, `sort(["b", "a"])`, `keys({ a = 1 })`, `sum([1, 2])`, `pow(2, 10)`, `parseint("ff", 16)`,
	`split(",", "a,b")`, `substr("abc", 1, 1)`, `trimspace(" a ")`, `title("a b")`, `strrev("abc")`, `min(1, 2)`, `1 / 0`, `1e308 * 1e308`, `null`, `local`, `var`, `local.a`, `var.v`,
}

const fuzzed = `
drill "fuzzed" {
  description = "${jsonencode(local.a)}"

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  steady_state {
    assert {
      condition     = target.orders.lag_seconds < 1
      error_message = "Not steady."
    }
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.outage_seconds > 30 && target.orders.success_ratio < 1
    error_message = "Out for ${target.orders.outage_seconds} s."
  }

  objectives {
    recovery_time = "60s"
  }
}
`

// load reads a file as the commands do, says what is wrong with it in every form, and evaluates what it holds.
func load(t *testing.T, kinds drillfile.Kinds, src string, in drillfile.Inputs) {
	t.Helper()
	in.Env = func(name string) (string, bool) { return canary, name == "HOME" }
	in.File = func(string) ([]byte, error) { return []byte(canary), nil }
	file, diags := drillfile.Load("x.hcl", []byte(src), kinds, in)
	if diags.HasErrors() == (len(file.Drills) > 0) {
		t.Fatalf("%d drills with diagnostics %v", len(file.Drills), diags)
	}
	var said bytes.Buffer
	for _, color := range []bool{false, true} {
		require.NoError(t, drillfile.Render(&said, file.Files, diags, 78, color))
	}
	raw, err := drillfile.JSON(file.Files, diags)
	require.NoError(t, err)
	require.True(t, json.Valid(raw), "%s", raw)
	for _, d := range file.Drills {
		for _, r := range append(append(append([]drill.Rule(nil), d.SteadyState.Asserts...), d.Aborts...), d.Asserts...) {
			c, ok := r.Condition.(*drillfile.Condition)
			require.True(t, ok)
			for _, v := range []float64{0, 1, -0.5, math.Inf(1), math.NaN(), math.MaxFloat64} {
				live := alive(d, v)
				_, text := c.Evaluate(live)
				fmt.Fprintln(&said, text)
			}
			c.Evaluate(nil)
		}
	}
	if !strings.Contains(src, canary) {
		require.NotContains(t, said.String()+string(raw), canary, "a value of env() or file() is shown")
	}
}

// canary stands for a secret.
const canary = "cAnArY-7Q"

// alive gives every live value of a drill the same reading.
func alive(d *drill.Drill, v float64) drill.Live {
	read := func(attributes []schema.Attribute) map[string]float64 {
		all := map[string]float64{}
		for _, a := range attributes {
			all[a.Name] = v
		}
		return all
	}
	live := drill.Live{"target": {}, "probe": {}}
	for _, k := range fileKinds().Targets {
		for _, t := range d.Targets {
			if t.Kind == k.Name {
				live["target"][t.Name] = read(k.Attributes)
			}
		}
	}
	for _, k := range fileKinds().Probes {
		for _, p := range d.Probes {
			if p.Kind == k.Name {
				live["probe"][p.Name] = read(k.Attributes)
			}
		}
	}
	return live
}

// The bounds of one input. What it allocates is as good as a count of steps: it is the same on every machine.
const (
	mostOrdinary  = 8 // times what an ordinary, large file takes
	mostAllocated = 256 << 20
	perByte       = 2 << 10
)

// ordinary is the processor time that reading an ordinary, large file takes here and now: 500 drills. What a test
// allows is a multiple of it, so that it means the same on every machine.
var ordinary = sync.OnceValue(func() time.Duration {
	var src strings.Builder
	src.WriteString("locals {\n  a = 1\n}\n")
	for i := range 500 {
		src.WriteString(strings.Replace(fuzzed, `drill "fuzzed"`, fmt.Sprintf("drill \"x%d\"", i), 1))
	}
	before := spent()
	if _, diags := drillfile.Load("ordinary.hcl", []byte(src.String()), fileKinds(), drillfile.Inputs{}); diags.HasErrors() {
		panic(diags.Error())
	}
	return spent() - before
})

// bounded does something, and fails when that costs too much. What does not end at all is ended by a panic, which the
// fuzzer keeps as a crasher.
func bounded(t *testing.T, size int, do func()) {
	t.Helper()
	most := mostOrdinary * ordinary()
	watchdog := time.AfterFunc(time.Minute, func() { panic("the input does not end") })
	defer watchdog.Stop()
	cpu, bytes := spent(), allocations()
	do()
	used, allocated := spent()-cpu, allocations()-bytes
	if used > most || allocated > mostAllocated+perByte*uint64(size) { //nolint:gosec // positive
		t.Fatalf("%d bytes took %v of processor time, where an ordinary file takes %v, and allocated %d MiB", size, used, ordinary(), allocated>>20)
	}
}

// spent is the processor time of this process so far.
func spent() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// allocations is how many bytes this process has allocated so far.
func allocations() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
