package drillfile_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drillfile"
)

// withVariable is a file with one variable, which its drill has as JSON for its description.
func withVariable(body string) string {
	return "variable \"v\" {\n" + body + "\n}\n" + strings.Replace(conditionFile("target.orders.primaries > 1", `"x"`), "drill \"x\" {", "drill \"x\" {\n  description = jsonencode(var.v)", 1)
}

func typed(text string) []drillfile.Value {
	return []drillfile.Value{{Name: "v", Origin: "--var", Text: text}}
}

func written(t *testing.T, text string) []drillfile.Value {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(text), "shop.drillvars.hcl", hcl.InitialPos)
	require.Empty(t, diags)
	return []drillfile.Value{{Name: "v", Origin: "shop.drillvars.hcl, line 1", Expr: expr}}
}

func TestVariables(t *testing.T) {
	for name, tc := range map[string]struct {
		body  string
		given []drillfile.Value
		want  string
	}{
		"default":                   {`default = "shop"`, nil, `"shop"`},
		"default of a type":         {"type = number\ndefault = \"5\"", nil, `5`},
		"default with a function":   {`default = upper("shop")`, nil, `"SHOP"`},
		"default of a list":         {"type = list(string)\ndefault = [\"a\", 1]", nil, `["a","1"]`},
		"null default":              {"type = string\ndefault = null", nil, `null`},
		"text":                      {"type = string", typed("shop"), `"shop"`},
		"text is plain":             {"type = string", typed(`["${x}"`), `"[\"${x}\""`},
		"text of no type is plain":  {"", typed("5"), `"5"`},
		"empty text":                {"type = string", typed(""), `""`},
		"number":                    {"type = number", typed("1.5"), `1.5`},
		"bool":                      {"type = bool", typed("true"), `true`},
		"list":                      {"type = list(number)", typed("[1, 2]"), `[1,2]`},
		"any":                       {"type = any", typed(`{ a = [1, "b"] }`), `{"a":[1,"b"]}`},
		"map":                       {"type = map(string)", typed(`{ a = 1 }`), `{"a":"1"}`},
		"set":                       {"type = set(string)", typed(`["b", "a", "b"]`), `["a","b"]`},
		"tuple":                     {"type = tuple([string, number])", typed(`["a", "1"]`), `["a",1]`},
		"object":                    {"type = object({ a = string, b = optional(number, 7) })", typed(`{ a = 1 }`), `{"a":"1","b":7}`},
		"nested optional":           {"type = list(object({ a = optional(string, \"x\") }))", typed(`[{}, { a = "y" }]`), `[{"a":"x"},{"a":"y"}]`},
		"of a file":                 {"type = string", written(t, `"shop"`), `"shop"`},
		"number of a file for text": {"type = string", written(t, `5`), `"5"`},
		"later wins":                {"type = string", append(typed("a"), typed("b")...), `"b"`},
		"earlier may be wrong":      {"type = number", append(typed("x"), typed("1")...), `1`},
		"null":                      {"type = string\ndefault = \"a\"", written(t, `null`), `null`},
		"null means the default":    {"type = string\ndefault = \"a\"\nnullable = false", written(t, `null`), `"a"`},
		"stray":                     {`default = "shop"`, []drillfile.Value{{Name: "other", Origin: "x", Text: "y", Stray: true}}, `"shop"`},
		"valid":                     {"default = 3\nvalidation {\n condition = var.v > 2\n error_message = \"Too small.\"\n}", nil, `3`},
	} {
		t.Run(name, func(t *testing.T) {
			file, diags := drillfile.Load("x.hcl", []byte(withVariable(tc.body)), kinds(), drillfile.Inputs{Given: tc.given})
			require.Empty(t, diags, render(t, file, diags))
			assert.Equal(t, tc.want, file.Drills[0].Description)
		})
	}
}

// TestVariableErrors: each says what is wrong, where, and where the value came from.
func TestVariableErrors(t *testing.T) {
	small := "validation {\n condition = var.v < 3\n error_message = \"At most 2, and not ${var.v}.\"\n}"
	for name, tc := range map[string]struct {
		body  string
		given []drillfile.Value
		line  int // 0: no place in the drill file
		want  string
	}{
		"none given": {"type = string", nil, 1,
			`No value for variable: The variable "v" has no default, so it needs a value. Give it one with --var v=…, with the environment variable DRILL_VAR_v, or in a file *.drillvars.hcl beside this one, as v = ….`},
		"wrong type":               {"type = number", typed("many"), 1, `Unsuitable value for variable: The value of "v" from --var must be of type number: a number is required.`},
		"wrong type of a file":     {"type = number", written(t, `"many"`), 1, `Unsuitable value for variable: The value of "v" from shop.drillvars.hcl, line 1 must be of type number: a number is required.`},
		"no expression":            {"type = list(string)", typed("[a"), 1, `Unsuitable value for variable: The value of "v" from --var must be of type list(string): it is written as in a drill file`},
		"text without quotes":      {"type = list(string)", typed("[a]"), 1, `must be of type list(string): "a" is not written out. Texts stand in quotes.`},
		"function in a value":      {"type = list(string)", typed(`[upper("a")]`), 1, `"upper(\"a\")" is not written out`},
		"for in a value":           {"type = list(string)", typed(`[for x in [1]: x]`), 1, `is not written out`},
		"deep value":               {"type = any", typed(strings.Repeat("[", 100_000)), 1, `may be nested up to 32 deep`},
		"attribute misspelt":       {"type = object({ read = optional(number, 5) })", typed("{ raed = 1 }"), 1, `must be of type object({ read = optional(number, 5) }): there is no attribute "raed" in this type. Did you mean "read"?`},
		"attribute misspelt below": {"type = list(map(object({ a = optional(number) })))\ndefault = [{ x = { b = 1 } }]", nil, 3, `there is no attribute "b" in this type.`},
		"attribute missing":        {"type = object({ a = string })", typed("{}"), 1, `attribute "a" is required`},
		"control character":        {"type = string", typed("\x01secret:a\x02b\x03"), 1, `it holds the control character U+0001`},
		"invalid UTF-8":            {"type = string", typed("\xff"), 1, `it is not text in UTF-8`},
		"too large":                {"type = string", typed(strings.Repeat("x", 2<<20)), 1, `it holds 2048 KiB, and a value may have up to 1024`},
		"huge number":              {"type = number", typed("1e99999"), 1, `Unsuitable value for variable`},
		"undeclared":               {"default = 1", []drillfile.Value{{Name: "u", Origin: "--var", Text: "1"}}, 0, `Undeclared variable: The file x.hcl declares no variable "u", which is given by --var. Did you mean "v"?`},
		"undeclared far":           {"default = 1", []drillfile.Value{{Name: "namespace", Origin: "--var", Text: "1"}}, 0, `Known are: v.`},
		"default of another type":  {"type = number\ndefault = \"x\"", nil, 3, `Unsuitable value type: The default of the variable "v" must be of type number: a number is required.`},
		"default that refers":      {"default = local.a", nil, 2, `Reference in a default`},
		"default that is secret":   {"default = secret(\"a\", \"b\")", nil, 2, `Misplaced secret: A default cannot be a secret.`},
		"null that must not be":    {"type = string\nnullable = false", written(t, "null"), 1, `The variable "v" must not be null, and the value from shop.drillvars.hcl, line 1 is.`},
		"null default must not be": {"type = string\nnullable = false\ndefault = null", nil, 4, `so its default cannot be null`},
		"unknown type":             {"type = strng\ndefault = 1", nil, 2, `Invalid type: The keyword "strng" is not a valid type specification. Did you mean "string"?`},
		"computed optional":        {"type = object({ a = optional(any, [for x in [1, 2] : x]) })\ndefault = {}", nil, 2, `Invalid type: A type cannot be computed, and neither can a default in it. Write it out.`},
		"optional of a template":   {"type = object({ a = optional(any, \"%{ for x in [1, 2] }x%{ endfor }\") })\ndefault = {}", nil, 2, `Invalid type: A type cannot be computed`},
		"optional of a variable":   {"type = object({ a = optional(any, var.x) })\ndefault = {}", nil, 2, `Invalid type: Variables may not be used here.`},
		"wrong optional":           {"type = object({ a = optional(number, \"x\") })\ndefault = {}", nil, 2, `Invalid type: This default value is not compatible`},
		"type without element":     {"type = list\ndefault = []", nil, 2, `Invalid type: `},
		"unknown argument":         {"typ = string\ndefault = 1", nil, 2, `Unsupported argument`},
		"argument that refers":     {"description = var.v\ndefault = 1", nil, 2, `Reference in a variable`},
		"default is invalid":       {"default = 3\n" + small, nil, 2, "Invalid value for variable: At most 2, and not 3.\n\nThis is what the rule on line 4 of x.hcl says of its default."},
		"given is invalid":         {"type = number\n" + small, typed("5"), 4, "Invalid value for variable: At most 2, and not 5.\n\nThis is what the rule on line 4 of x.hcl says of the value from --var."},
		"given by a file, invalid": {"type = number\n" + small, written(t, "5"), 1, "says of the value from shop.drillvars.hcl, line 1."},
		"validation of nothing":    {"default = 1\nvalidation {\n condition = true\n error_message = \"x\"\n}", nil, 4, `Validation of nothing`},
		"validation of a target":   {"default = 1\nvalidation {\n condition = target.orders.primaries == var.v\n error_message = \"x\"\n}", nil, 4, `Unknown reference: A validation looks at variables alone, such as var.v.`},
		"validation misspelt":      {"default = 1\nvalidation {\n condition = var.vv == 1\n error_message = \"x\"\n}", nil, 4, `Unknown variable: This file has no variable named "vv". Did you mean "v"?`},
		"validation of no truth":   {"default = 1\nvalidation {\n condition = var.v\n error_message = \"x\"\n}", nil, 4, `Unsuitable condition`},
		"validation fails":         {"default = [1]\nvalidation {\n condition = var.v.a\n error_message = \"x\"\n}", nil, 4, `Unsupported attribute`},
		"validation incomplete":    {"default = 1\nvalidation {\n condition = var.v == 1\n}", nil, 3, `Missing required argument`},
		"message fails":            {"default = 1\nvalidation {\n condition = var.v == 2\n error_message = var.v.a\n}", nil, 5, `Unsupported attribute`},
	} {
		t.Run(name, func(t *testing.T) {
			file, diags := drillfile.Load("x.hcl", []byte(withVariable(tc.body)), kinds(), drillfile.Inputs{Given: tc.given})
			require.NotEmpty(t, diags)
			assert.Contains(t, diags[len(diags)-1].Summary+": "+diags[len(diags)-1].Detail, tc.want)
			if name != "message fails" {
				assert.Len(t, diags, 1, render(t, file, diags))
			}
			if tc.line == 0 {
				assert.Nil(t, diags[0].Subject)
			} else if assert.NotNil(t, diags[0].Subject) {
				assert.Equal(t, tc.line, diags[len(diags)-1].Subject.Start.Line)
			}
			assert.Empty(t, file.Drills)
			_ = render(t, file, diags)
		})
	}
}

// TestPartial: a file can be validated without the values that its runs will have, as far as that goes.
func TestPartial(t *testing.T) {
	load := func(src string) (*drillfile.File, hcl.Diagnostics) {
		return drillfile.Load("x.hcl", []byte(src), kinds(), drillfile.Inputs{Partial: true})
	}
	src := `variable "namespace" { type = string }
variable "limit" {
  type = number
  validation {
    condition     = var.limit > 0
    error_message = "Write a number above 0, and not ${var.limit}."
  }
}
locals { url = "http://checkout.${var.namespace}/healthz" }
drill "x" {
  target "postgresql" "orders" {
    namespace = var.namespace
    selector  = "a=b"
    dsn       = env("DSN")
  }
  probe "http" "checkout" {
    url = local.url
  }
  fault "kill_primary" "orders" {}
  abort "x" {
    condition     = target.orders.lag_seconds > var.limit
    error_message = "${target.orders.lag_seconds} s, and not ${var.limit}"
  }
}
`
	file, diags := load(src)
	assert.Empty(t, diags, render(t, file, diags))
	assert.True(t, file.Open.Empty() && file.Secret.Empty())

	_, diags = load(strings.Replace(src, "selector  = \"a=b\"", "selectr   = \"a=b\"", 1))
	assert.NotEmpty(t, diags, "what is wrong beside the values is told")
	_, diags = load(strings.Replace(src, "type = number", "type = list(string)", 1))
	assert.NotEmpty(t, diags, "and so is what cannot be right with any value")
}
