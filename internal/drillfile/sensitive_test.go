package drillfile_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/drillfile"
)

const password = "hunter2"

// outside has one environment variable, and one file.
func outside() drillfile.Inputs {
	return drillfile.Inputs{
		Env: func(name string) (string, bool) { return password, name == "PASSWORD" },
		File: func(path string) ([]byte, error) {
			if path != "password.txt" {
				return nil, fs.ErrNotExist
			}
			return []byte(password + "\n"), nil
		},
	}
}

func withDSN(top, expr string) string {
	return top + strings.Replace(conditionFile("target.orders.primaries > 1", `"x"`), `"postgres://"`, expr, 1)
}

func TestSensitive(t *testing.T) {
	ref := func(name string) string { return drill.SecretRef(drill.SecretKey{Name: name, Key: "uri"}) }
	for expr, want := range map[string]string{
		`env("PASSWORD")`:                                                  password,
		`upper(env("PASSWORD"))`:                                           "HUNTER2",
		`trimspace(file("password.txt"))`:                                  password,
		`base64encode("${env("PASSWORD")}!")`:                              "aHVudGVyMiE=",
		`sensitive("x")`:                                                   "x",
		`var.password`:                                                     password,
		`local.dsn`:                                                        "postgres://" + ref("a"),
		`secret("a", "uri")`:                                               ref("a"),
		`"${secret("a", "uri")}?x=${secret("b", "uri")}"`:                  ref("a") + "?x=" + ref("b"),
		`"${secret("a", "uri")}?p=${env("PASSWORD")}"`:                     ref("a") + "?p=" + password,
		`join("?", [secret("a", "uri"), "x"])`:                             ref("a") + "?x",
		`join("?", [for s in ["a", "b"] : secret(s, "uri")])`:              ref("a") + "?" + ref("b"),
		`format("%s?port=%d", secret("a", "uri"), 5432)`:                   ref("a") + "?port=5432",
		`true ? secret("a", "uri") : "x"`:                                  ref("a"),
		`[secret("a", "uri"), "x"][0]`:                                     ref("a"),
		`element(["x", secret("a", "uri")], 1)`:                            ref("a"),
		`lookup(merge({ a = "x" }, { a = secret("a", "uri") }), "a", "y")`: ref("a"),
		`try(secret("a", "uri"), "x")`:                                     ref("a"),
		`one(concat([], [secret("a", "uri")]))`:                            ref("a"),
		`{ a = secret("a", "uri") }.a`:                                     ref("a"),
		`"%{ for s in [secret("a", "uri"), "x"] }${s};%{ endfor }"`:        ref("a") + ";x;",
		`"%{ if true }${secret("a", "uri")}%{ endif }"`:                    ref("a"),
	} {
		t.Run(expr, func(t *testing.T) {
			in := outside()
			in.Given = []drillfile.Value{{Name: "password", Origin: "--var", Text: password}}
			top := "variable \"password\" {\n  type = string\n  sensitive = true\n}\nlocals {\n  dsn = \"postgres://${secret(\"a\", \"uri\")}\"\n}\n"
			file, diags := drillfile.Load("x.hcl", []byte(withDSN(top, expr)), kinds(), in)
			require.Empty(t, diags, render(t, file, diags))
			assert.Equal(t, want, string(file.Drills[0].Targets[0].Spec.(postgresqlSpec).DSN))
		})
	}
}

// TestSecretNotKnownYet: what would be made of the reference instead of the secret is refused.
func TestSecretNotKnownYet(t *testing.T) {
	for _, expr := range []string{
		`upper(secret("a", "uri"))`, `length(secret("a", "uri"))`, `secret("a", "uri") == "x" ? "a" : "b"`, `replace(secret("a", "uri"), "a", "b")`,
		`base64encode(secret("a", "uri"))`, `jsonencode([secret("a", "uri")])`, `split(",", secret("a", "uri"))[0]`, `{ x = "a" }[secret("a", "uri")]`,
		`{ (secret("a", "uri")) = "x" }.x`, `contains([secret("a", "uri")], "x") ? "a" : "b"`, `join("", distinct([secret("a", "uri")]))`, `tostring(!secret("a", "uri"))`,
		`join("", [for s in [secret("a", "uri")] : s if s != ""])`, `join("", keys({ for s in [secret("a", "uri")] : s => 1 }))`, `sort([secret("a", "uri")])[0]`,
		`formatlist("%s", [secret("a", "uri")])[0]`, `coalesce(secret("a", "uri"), "x")`, `substr("${secret("a", "uri")}?x", 0, 4)`,
		`secret(secret("a", "uri"), "x")`, `"%{ if secret("a", "uri") == "" }x%{ endif }"`, `upper([secret("a", "uri")]...)`,
	} {
		t.Run(expr, func(t *testing.T) {
			file, diags := drillfile.Load("x.hcl", []byte(withDSN("", expr)), kinds(), outside())
			require.Len(t, diags, 1)
			shown := render(t, file, diags)
			assert.Contains(t, shown, "The secret's value is not known")
			assert.Equal(t, 5, diags[0].Subject.Start.Line)
		})
	}
	for _, expr := range []string{`format("%q", secret("a", "uri"))`, `format("%10s", secret("a", "uri"))`, `format("%v", [secret("a", "uri")])`, `format("%.3s", secret("a", "uri"))`} {
		_, diags := drillfile.Load("x.hcl", []byte(withDSN("", expr)), kinds(), outside())
		assert.Len(t, diags, 1, expr)
	}
}

// TestNothingTellsASecret fails in every way that there is, with a sensitive value in it: none of the texts may have it.
func TestNothingTellsASecret(t *testing.T) {
	var exprs []string
	for _, s := range []string{`env("PASSWORD")`, `local.list[0]`, `local.object.a`, `var.password`, `trimspace(file("password.txt"))`} {
		for _, f := range drillfile.Functions() {
			for _, call := range []string{"%s(@)", "%s(@, 1)", "%s(1, @)", "%s([@], @)", "%s(@, \"a\", \"b\")", "%s(\"a\", @, \"b\")", "%s(\"a\", \"b\", @)", "%s({ a = @ }, @)", "%s({ (@) = @ }, \"b\")", "%s(1, [@]...)"} {
				exprs = append(exprs, strings.ReplaceAll(fmt.Sprintf(call, f.Name), "@", s))
			}
		}
		for _, op := range []string{"@ + 1", "-@", "!@", "@ && true", "1 / @", "@ < 2", "@ ? 1 : 2", "true ? @ : [1]", "@.x", "@[0]", "@[@]", "{ a = 1 }[@]", "[1][@]", "@.*.x",
			"[for x in [@] : x.a]", "[for x in [@] : duration(x)]", "[for x in split(\",\", @) : duration(x)]", "{ for x in split(\",\", \"${@},${@}\") : x => 1 }", "{ for x in [@, @] : x => 1 }",
			"[for x in jsondecode(\"[\\\"${@}\\\"]\") : x + 1]", "split(\",\", @)[*].x", "{ (@) = 1 }.x", "{ (@) = 1 }[\"x\"]", "\"${[@]}\"", "\"${{ (@) = 1 }}\"", "[for x in [@] : x if x]", "[for x in @ : x]",
			"try(duration(@))", "try(@.x, duration(@))", "can(@) ? duration(@) : 1", "regex(\"(\", @)", "regex(@, \"(\")"} {
			exprs = append(exprs, strings.ReplaceAll(op, "@", s))
		}
	}
	in := outside()
	in.Given = []drillfile.Value{{Name: "password", Origin: "--var", Text: password}, {Name: "number", Origin: "--var", Text: password}, {Name: "list", Origin: "--var", Text: "[" + password}}
	failed := 0
	for chunk := range slices.Chunk(exprs, 40) {
		src := `variable "password" {
  type      = string
  sensitive = true
  validation {
    condition     = var.password == "x"
    error_message = "Not ${var.password}."
  }
}
variable "number" {
  type      = number
  sensitive = true
}
variable "list" {
  type      = list(string)
  sensitive = true
}
locals {
  list   = [env("PASSWORD")]
  object = { a = env("PASSWORD") }
`
		for i, e := range chunk {
			src += fmt.Sprintf("  x%d = %s\n", i, e)
		}
		file, diags := drillfile.Load("x.hcl", []byte(src+"}\n"+conditionFile(`target.orders.primaries > length(local.list[0])`, `"${local.object.a}"`)), kinds(), in)
		failed += len(diags)
		out, err := drillfile.JSON(file.Files, diags)
		require.NoError(t, err)
		for _, said := range []string{render(t, file, diags), string(out)} {
			if i := strings.Index(strings.ToLower(said), password); i >= 0 {
				t.Fatal(said[max(0, i-1000) : i+20])
			}
		}
	}
	assert.Greater(t, failed, 1000)
}

// TestWhatTellsOfASecret: what is made with the help of a sensitive value is sensitive, also when it is a choice between
// values that are not, or the news that something went wrong.
func TestWhatTellsOfASecret(t *testing.T) {
	top := `locals {
  password = env("PASSWORD")
  first    = substr(env("PASSWORD"), 0, 1)
  object   = { (env("PASSWORD")) = "x" }
  mixed    = { a = "x", b = env("PASSWORD") }
  a        = "a"
  splat    = split("", env("PASSWORD"))[*]
}
`
	for expr, plain := range map[string]bool{
		`{ h = "x", i = "y" }[local.first]`:                           false,
		`tomap({ h = "x", i = "y" })[local.first]`:                    false,
		`["x", "y"][length(local.first)]`:                             false,
		`can(regex("^h", local.password)) ? "x" : "y"`:                false,
		`can(regex("^i", local.password)) ? "x" : "y"`:                false,
		`can(tonumber(local.password)) ? "x" : "y"`:                   false,
		`can(local.object.x) ? "x" : "y"`:                             false,
		`can(pow(1024, length(local.password) * 60)) ? "x" : "y"`:     false,
		`try(tonumber(local.password), "x")`:                          false,
		`try(local.object.i, "x")`:                                    false,
		`try([for c in split("", local.password) : c + 1], "x")`:      false,
		`join("", [for c in ["h", "i"] : c if local.first == c])`:     false,
		`join("", [for c in ["h"] : try(regex(c, local.first), "")])`: false,

		`local.mixed.a`:                                true,
		`local.mixed[local.a]`:                         true,
		`try(local.mixed.c, "x")`:                      true,
		`try(local.mixed[local.a], "x")`:               true,
		`try(tonumber("x"), "x")`:                      true,
		`can(tonumber("x")) ? "x" : "y"`:               true,
		`try(env("NOT_SET"), "x")`:                     true,
		`[local.splat[*], try(tonumber("x"), "x")][1]`: true,
	} {
		t.Run(expr, func(t *testing.T) {
			src := top + strings.Replace(conditionFile("target.orders.primaries > 1", `"x"`), "drill \"x\" {", "drill \"x\" {\n  description = "+expr, 1)
			file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), outside())
			if plain {
				require.Empty(t, diags, render(t, file, diags))
				return
			}
			require.Len(t, diags, 1, render(t, file, diags))
			assert.Equal(t, "Misplaced secret", diags[0].Summary)
		})
	}
}

// TestSplatOverASecret: only what is wrong within it is not shown in full.
func TestSplatOverASecret(t *testing.T) {
	file, diags := drillfile.Load("x.hcl", []byte("locals {\n  x = [split(\"\", env(\"PASSWORD\"))[*], 1]\n  y = [split(\"\", env(\"PASSWORD\"))[*], tonumber(\"x\")]\n}\n"+withDSN("", `"postgres://"`)), kinds(), outside())
	require.Len(t, diags, 1, render(t, file, diags))
	assert.Contains(t, diags[0].Detail, `cannot convert "x"`)
}

// TestRecorded: another process that has what was recorded reads every file alike.
func TestRecorded(t *testing.T) {
	outer := outside()
	for _, path := range slices.Concat(files(t, "testdata/valid/*.hcl"), files(t, shared+"/valid/*.hcl"), files(t, "../../drills/*.hcl")) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src := read(t, path)
			first, diags := drillfile.Load(path, src, kinds(), outer)
			require.Empty(t, diags, render(t, first, diags))
			second, diags := drillfile.Load(path, src, kinds(), drillfile.Recorded(first.Open, first.Secret))
			require.Empty(t, diags, render(t, second, diags))
			alike(t, first, second)
		})
	}
	src := `variable "rate" { type = number }
variable "labels" {
  type = map(string)
  default = {}
}
variable "any" { type = any }
variable "user" {
  type      = object({ name = string, options = optional(list(string), ["a"]) })
  sensitive = true
}
variable "unused" { default = "x" }
` + withDSN("", `"postgres://${var.user.name}:${env("PASSWORD")}@${jsonencode(var.any)}/${trimspace(file("password.txt"))}?${join("", [for k, v in var.labels : "${k}${v}"])}${join("", var.user.options)}"`)
	src = strings.Replace(src, `primaries > 1`, `primaries > var.rate`, 1)
	in := outer
	in.Given = []drillfile.Value{
		{Name: "rate", Origin: "--var", Text: "1.25"}, {Name: "labels", Origin: "--var", Text: `{ a = "${"b"}$${c}" }`},
		{Name: "any", Origin: "--var", Text: `[1, { a = null }]`}, {Name: "user", Origin: "--var", Text: `{ name = "me" }`},
	}
	first, diags := drillfile.Load("x.hcl", []byte(src), kinds(), in)
	require.Empty(t, diags, render(t, first, diags))
	assert.Equal(t, []string{"any", "labels", "rate"}, slices.Sorted(mapKeys(first.Open.Variables)))
	assert.Equal(t, []string{"user"}, slices.Sorted(mapKeys(first.Secret.Variables)))
	assert.Equal(t, map[string]string{"PASSWORD": password}, first.Secret.Env)
	assert.Equal(t, map[string]string{"password.txt": password + "\n"}, first.Secret.Files)
	assert.Empty(t, first.Open.Env)
	assert.Empty(t, first.Open.Files)
	second, diags := drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Recorded(first.Open, first.Secret))
	require.Empty(t, diags, render(t, second, diags))
	alike(t, first, second)
	assert.Equal(t, first.Open, second.Open)
	assert.Equal(t, first.Secret, second.Secret)

	_, diags = drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Recorded(first.Open))
	assert.True(t, diags.HasErrors(), "without the secret ones it cannot be read")
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// alike holds two readings of a file to each other, and their conditions to the same results.
func alike(t *testing.T, a, b *drillfile.File) {
	t.Helper()
	require.Len(t, b.Drills, len(a.Drills))
	assert.Empty(t, cmp.Diff(a.Drills, b.Drills, cmpopts.IgnoreFields(drill.Rule{}, "Condition"), cmp.Comparer(func(a, b drill.Sensitive) bool { return string(a) == string(b) })))
	for i := range a.Drills {
		x, y := rules(a.Drills[i]), rules(b.Drills[i])
		for j := range x {
			for _, v := range []float64{0, 1, 1.3, 1000} {
				live := readings(map[string]float64{"lag_seconds": v, "success_ratio": v, "outage_seconds": v, "primaries": v})
				xTruth, xText := x[j].Condition.Evaluate(live)
				yTruth, yText := y[j].Condition.Evaluate(live)
				assert.Equal(t, xTruth, yTruth)
				assert.Equal(t, xText, yText)
			}
		}
	}
}

func rules(d *drill.Drill) []drill.Rule {
	return slices.Concat(d.Preconditions, d.SteadyState.Asserts, d.Aborts, d.Asserts)
}

// TestNoPlainSecret: no string of a spec that is not drill.Sensitive can hold a secret, whatever way it takes there.
func TestNoPlainSecret(t *testing.T) {
	for _, way := range []string{`secret("a", "uri")`, `"x${secret("a", "uri")}"`, `local.s`, `local.list[0]`, `join("", local.list)`, `local.object.a`, `try(local.s, "x")`, `env("PASSWORD")`, `sensitive("x")`} {
		for _, argument := range []string{"namespace", "selector", "service", "preset", "read_service"} {
			src := withDSN("locals {\n  s = secret(\"a\", \"uri\")\n  list = [local.s]\n  object = { a = local.s }\n}\n", `secret("a", "uri")`)
			if i := strings.Index(src, argument+" "); i >= 0 {
				end := i + strings.IndexByte(src[i:], '\n')
				src = src[:i] + argument + " = " + way + src[end:]
			} else {
				src = strings.Replace(src, "dsn  ", argument+" = "+way+"\n    dsn  ", 1)
			}
			file, diags := drillfile.Load("x.hcl", []byte(src), kinds(), outside())
			require.Len(t, diags, 1, render(t, file, diags))
			assert.Equal(t, "Misplaced secret", diags[0].Summary)
			assert.Empty(t, file.Drills)
		}
	}
	file, diags := drillfile.Load("x.hcl", []byte(withDSN("", `secret("a", "uri")`)), kinds(), outside())
	require.Empty(t, diags)
	spec := reflect.ValueOf(file.Drills[0].Targets[0].Spec)
	for _, f := range spec.Fields() {
		if f.Kind() == reflect.String && f.Type() != reflect.TypeFor[drill.Sensitive]() {
			assert.Empty(t, drill.Sensitive(f.String()).Refs())
		}
	}
}
