package drillfile_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drillfile"
)

// described is a file whose drill has the expression as JSON for its description.
func described(expr string) string {
	return "locals {\n  x = " + expr + "\n}\n" + strings.Replace(conditionFile("target.orders.primaries > 1", `"x"`), "drill \"x\" {", "drill \"x\" {\n  description = jsonencode(local.x)", 1)
}

func TestFunctions(t *testing.T) {
	cases := map[string][][2]string{ // by function: an expression, and its value as JSON
		"abs":             {{`abs(-2.5)`, `2.5`}},
		"ceil":            {{`ceil(1.1)`, `2`}},
		"floor":           {{`floor(-1.1)`, `-2`}},
		"log":             {{`log(16, 2)`, `4`}},
		"max":             {{`max(1, 3, 2)`, `3`}, {`max([1, 5]...)`, `5`}},
		"min":             {{`min(2, 1)`, `1`}},
		"parseint":        {{`parseint("ff", 16)`, `255`}},
		"pow":             {{`pow(2, 10)`, `1024`}},
		"signum":          {{`signum(-7)`, `-1`}},
		"sum":             {{`sum([1, 2, 3.5])`, `6.5`}, {`sum([])`, `0`}},
		"basename":        {{`basename("a/b.sql")`, `"b.sql"`}, {`basename("b")`, `"b"`}},
		"chomp":           {{`chomp("a\n\n")`, `"a"`}},
		"dirname":         {{`dirname("a/b")`, `"a"`}, {`dirname("/b")`, `"/"`}, {`dirname("b")`, `"."`}},
		"endswith":        {{`endswith("shop-db", "-db")`, `true`}, {`endswith("shop", "-db")`, `false`}},
		"format":          {{`format("%s-%02d", "shop", 7)`, `"shop-07"`}, {`format("%v", [1])`, `"[1]"`}},
		"formatlist":      {{`formatlist("%s=%d", ["a", "b"], 1)`, `["a=1","b=1"]`}},
		"indent":          {{`indent(2, "a\nb")`, `"a\n  b"`}},
		"join":            {{`join(",", ["a", "b"])`, `"a,b"`}, {`join(",", [for k, v in { a = 1 } : "${k}=${v}"])`, `"a=1"`}},
		"lower":           {{`lower("SHOP")`, `"shop"`}},
		"regex":           {{`regex("[a-z]+", "12ab")`, `"ab"`}, {`regex("(?P<n>[0-9]+)", "a12")`, `{"n":"12"}`}},
		"regexall":        {{`regexall("[0-9]", "a1b2")`, `["1","2"]`}},
		"replace":         {{`replace("a-b-c", "-", "+")`, `"a+b+c"`}, {`replace("a1b", "/([0-9])/", "<$1>")`, `"a\u003c1\u003eb"`}, {`replace("a/b", "/", "+")`, `"a+b"`}},
		"split":           {{`split(",", "a,b")`, `["a","b"]`}},
		"startswith":      {{`startswith("shop-db", "shop")`, `true`}},
		"strcontains":     {{`strcontains("shop-db", "p-d")`, `true`}},
		"strrev":          {{`strrev("abc")`, `"cba"`}},
		"substr":          {{`substr("abcd", 1, 2)`, `"bc"`}},
		"title":           {{`title("the shop")`, `"The Shop"`}},
		"trim":            {{`trim("--a--", "-")`, `"a"`}},
		"trimprefix":      {{`trimprefix("shop-db", "shop-")`, `"db"`}},
		"trimspace":       {{`trimspace(" a\n")`, `"a"`}},
		"trimsuffix":      {{`trimsuffix("shop-db", "-db")`, `"shop"`}},
		"upper":           {{`upper("shop")`, `"SHOP"`}},
		"alltrue":         {{`alltrue([true, false])`, `false`}, {`alltrue([])`, `true`}, {`alltrue([true, null])`, `false`}, {`alltrue([true, "true"])`, `true`}},
		"anytrue":         {{`anytrue([false, true])`, `true`}, {`anytrue([])`, `false`}, {`anytrue([false, false])`, `false`}},
		"chunklist":       {{`chunklist(["a", "b", "c"], 2)`, `[["a","b"],["c"]]`}},
		"coalesce":        {{`coalesce(null, "", "a")`, `"a"`}, {`coalesce(null, 0, 1)`, `0`}},
		"coalescelist":    {{`coalescelist([], [1])`, `[1]`}},
		"compact":         {{`compact(["a", "", null])`, `["a"]`}},
		"concat":          {{`concat([1], ["b"])`, `[1,"b"]`}},
		"contains":        {{`contains(["a"], "a")`, `true`}},
		"distinct":        {{`distinct(["a", "b", "a"])`, `["a","b"]`}},
		"element":         {{`element(["a", "b"], 3)`, `"b"`}},
		"flatten":         {{`flatten([["a"], [["b"]]])`, `["a","b"]`}},
		"index":           {{`index(["a", "b"], "b")`, `1`}},
		"keys":            {{`keys({ b = 1, a = 2 })`, `["a","b"]`}},
		"length":          {{`length([1, 2])`, `2`}, {`length("añb")`, `3`}, {`length({ a = 1 })`, `1`}, {`length(toset([1, 1]))`, `1`}},
		"lookup":          {{`lookup({ a = 1 }, "b", 2)`, `2`}},
		"merge":           {{`merge({ a = 1 }, { a = 2, b = 3 })`, `{"a":2,"b":3}`}},
		"one":             {{`one([])`, `null`}, {`one(["a"])`, `"a"`}, {`one(toset(["a"]))`, `"a"`}},
		"range":           {{`range(3)`, `[0,1,2]`}, {`range(1, 6, 2)`, `[1,3,5]`}},
		"reverse":         {{`reverse([1, 2])`, `[2,1]`}},
		"setintersection": {{`setintersection(["a", "b"], ["b"])`, `["b"]`}},
		"setproduct":      {{`setproduct(["a"], ["b", "c"])`, `[["a","b"],["a","c"]]`}},
		"setsubtract":     {{`setsubtract(["a", "b"], ["b"])`, `["a"]`}},
		"setunion":        {{`setunion(["b"], ["a"])`, `["a","b"]`}},
		"slice":           {{`slice(["a", "b", "c"], 1, 2)`, `["b"]`}},
		"sort":            {{`sort(["b", "a"])`, `["a","b"]`}},
		"values":          {{`values({ b = 1, a = 2 })`, `[2,1]`}},
		"zipmap":          {{`zipmap(["a"], [1])`, `{"a":1}`}},
		"base64decode":    {{`base64decode("c2hvcA==")`, `"shop"`}},
		"base64encode":    {{`base64encode("shop")`, `"c2hvcA=="`}},
		"jsondecode":      {{`jsondecode("{\"a\": [1, null]}")`, `{"a":[1,null]}`}},
		"jsonencode":      {{`jsonencode({ a = 1 })`, `"{\"a\":1}"`}},
		"urlencode":       {{`urlencode("a b&c")`, `"a+b%26c"`}},
		"can":             {{`can(tonumber("x"))`, `false`}, {`can(1)`, `true`}},
		"tobool":          {{`tobool("true")`, `true`}},
		"tolist":          {{`tolist(toset(["a"]))`, `["a"]`}},
		"tomap":           {{`tomap({ a = 1 }).a`, `1`}},
		"tonumber":        {{`tonumber("1.5")`, `1.5`}},
		"toset":           {{`toset(["b", "a", "b"])`, `["a","b"]`}},
		"tostring":        {{`tostring(1.5)`, `"1.5"`}},
		"try":             {{`try({ a = 1 }.b, "otherwise")`, `"otherwise"`}},
		"duration":        {{`duration("1m30s")`, `90`}, {`duration("1500ms")`, `1.5`}},
		// Sensitive ones are in TestSensitive.
		"env": nil, "file": nil, "secret": nil, "sensitive": nil,
	}
	for _, f := range drillfile.Functions() {
		t.Run(f.Name, func(t *testing.T) {
			assert.Contains(t, cases, f.Name, "write down what %s gives", f.Name)
			assert.Regexp(t, "^"+f.Name+`\(.*\)$`, f.Signature)
			assert.Regexp(t, `^[A-Z"-].*\.$`, f.Doc)
			assert.NotEmpty(t, f.Group)
			for _, c := range cases[f.Name] {
				file, diags := drillfile.Load("x.hcl", []byte(described(c[0])), kinds(), drillfile.Inputs{})
				if assert.Empty(t, diags, render(t, file, diags)) {
					assert.Equal(t, c[1], file.Drills[0].Description, c[0])
				}
			}
		})
	}
	assert.Len(t, drillfile.Functions(), len(cases))
}

// TestFunctionErrors: whatever is wrong with a call is said in words, where it is.
func TestFunctionErrors(t *testing.T) {
	for expr, want := range map[string]string{
		`timestamp()`:                   `Function not available: timestamp() would give another result each time`,
		`uuid()`:                        `Function not available: uuid() would give another result each time`,
		`try(uuid(), 1)`:                `Function not available: uuid() would give another result each time`,
		`nonsensitive("a")`:             `Function not available: nonsensitive() would show what env(), file() or secret() gave`,
		`uper("a")`:                     `Call to unknown function: There is no function named "uper". Did you mean "upper"?`,
		`frobnicate("a")`:               `Call to unknown function: There is no function named "frobnicate".`,
		`try(uper("a"), 1)`:             `Call to unknown function: There is no function named "uper". Did you mean "upper"?`,
		`duration("90")`:                `Invalid function argument: Invalid value for "text" parameter`,
		`indent(-1, "a\nb")`:            `Error in function call: indent() cannot do anything with these arguments.`,
		`indent(1e9, "a\nb")`:           `Value too large: The result of this call of indent() would be too large`,
		`parseint("z", 10)`:             `Invalid function argument: Invalid value for "number" parameter: cannot parse "z" as a base 10 integer.`,
		`one([1, 2])`:                   `Invalid function argument: Invalid value for "list" parameter`,
		`coalesce(null, "")`:            `Error in function call: Call to function "coalesce" failed: every argument is null or an empty text.`,
		`length(1)`:                     `Invalid function argument: Invalid value for "value" parameter: this must be a text`,
		`sum([1, null])`:                `Invalid function argument: Invalid value for "list" parameter: an element is null.`,
		`base64decode("-")`:             `Invalid function argument: Invalid value for "text" parameter: this is not Base64.`,
		`base64decode("AA==")`:          `Invalid function argument: Invalid value for "text" parameter: what it stands for holds the control character U+0000.`,
		`jsondecode("\"\\u0001\"")`:     `Error in function call: Call to function "jsondecode" failed: a text in the result holds the control character U+0001.`,
		`jsondecode("{")`:               `Error in function call: Call to function "jsondecode" failed: EOF.`,
		`upper()`:                       `Not enough function arguments: Function "upper" expects 1 argument(s).`,
		`upper("a", "b")`:               `Too many function arguments: Function "upper" expects only 1 argument(s).`,
		`env("A")`:                      `Invalid function argument: Invalid value for "text" parameter: the environment variable A is not set where drill runs.`,
		`file("a.sql")`:                 `Invalid function argument: Invalid value for "text" parameter: the file a.sql cannot be read here.`,
		`secret("Orders", "uri")`:       `Invalid function argument: Invalid value for "name" parameter: "Orders" is not the name of a Kubernetes Secret`,
		`format("%1000000000d", 1)`:     `Value too large: The result of this call of format() would be too large`,
		`[for x in 5: x]`:               `Iteration over non-iterable value`,
		`{for x in ["a", "a"]: x => 1}`: `Duplicate object key: Two different items produced the key "a"`,
		`[for a in range(900): [for b in range(900): [for c in range(900): c]]]`: `Too much to evaluate: `,
		`"a${range(10)}"`: `Invalid template interpolation value`,
		`pow(10, 308) * pow(10, 308) * pow(10, 308) * pow(10, 308) * pow(10, 308)`: `Number out of range: `,
	} {
		t.Run(expr, func(t *testing.T) {
			_, diags := drillfile.Load("x.hcl", []byte(described(expr)), kinds(), drillfile.Inputs{})
			require.Len(t, diags, 1)
			assert.Contains(t, diags[0].Summary+": "+diags[0].Detail, want)
			require.NotNil(t, diags[0].Subject)
			assert.Equal(t, 2, diags[0].Subject.Start.Line)
			assert.NotContains(t, diags[0].Detail, "goroutine")
		})
	}
}

// TestNoFunctionPanics calls every function with arguments of every sort.
func TestNoFunctionPanics(t *testing.T) {
	values := []string{`null`, `""`, `"a"`, `-1`, `1.5`, `1e9`, `true`, `[]`, `[null]`, `["a", 1]`, `{}`, `{ a = null }`, `toset([])`, `tolist(["a"])`, `[[1], "b"]`, `"%d %[5]s %"`, `"(["`, `1/0.000001`}
	stack := regexp.MustCompile(`goroutine|runtime\.|panic`)
	for _, f := range drillfile.Functions() {
		var exprs []string
		for _, a := range values {
			exprs = append(exprs, fmt.Sprintf("%s(%s)", f.Name, a))
			for _, b := range values {
				exprs = append(exprs, fmt.Sprintf("%s(%s, %s)", f.Name, a, b))
				exprs = append(exprs, fmt.Sprintf("%s(%s, %s, %s)", f.Name, a, b, values[(len(exprs)*7)%len(values)]))
			}
		}
		for chunk := range len(exprs)/40 + 1 { // few enough that every problem is told
			src := "locals {\n"
			for i, e := range exprs[chunk*40 : min(len(exprs), chunk*40+40)] {
				src += fmt.Sprintf("  x%d = %s\n", i, e)
			}
			file, diags := drillfile.Load("x.hcl", []byte(src+"}\n"), kinds(), drillfile.Inputs{File: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
			for _, d := range diags {
				if stack.MatchString(d.Detail) {
					t.Error(render(t, file, hcl.Diagnostics{d}))
				}
			}
		}
	}
}
