package schema_test

import (
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

type kind string

// parts are what has parts, or bounds.
type parts struct {
	Kind     kind
	Port     int
	Replicas int
	Wait     time.Duration
	Codes    []int
	Names    []string
	Labels   map[string]string
	Even     bool
	Password drill.Sensitive
	Place    spot
}

type spot struct {
	Zone, Node string
	Spare      bool
}

func partsBody() schema.Body[parts] {
	return schema.Body[parts]{
		Defaults: parts{Kind: "small", Port: 80, Wait: 2 * time.Minute},
		Arguments: func(s *parts) []schema.Argument {
			return []schema.Argument{
				schema.String("kind", &s.Kind, "", schema.OneOf("small", "large"), schema.Later("huge"), schema.Hint("Most use small.")),
				schema.Number("port", &s.Port, "", schema.Between(1, 65535)),
				schema.Number("replicas", &s.Replicas, "", schema.AtLeast(2)),
				schema.Duration("wait", &s.Wait, "", schema.Between(time.Second, time.Hour)),
				schema.Numbers("codes", &s.Codes, ""),
				schema.Strings("names", &s.Names, ""),
				schema.StringMap("labels", &s.Labels, ""),
				schema.Parsed("even", &s.Even, func(text string) (bool, string, string) {
					if len(text)%2 == 0 {
						return true, "", ""
					}
					return false, "Odd text", "Write one more letter."
				}, ""),
				schema.Secret("password", &s.Password, "", schema.Check(func(text string) (string, string) {
					if text == "" {
						return "Empty password", "Write one."
					}
					return "", ""
				})),
				schema.Object("place", []schema.Argument{
					schema.String("zone", &s.Place.Zone, "Where it is.", schema.Required()),
					schema.String("node", &s.Place.Node, "Its machine."),
					schema.Bool("spare", &s.Place.Spare, "Whether it is one more."),
				}, func(d *schema.Decoded) {
					if s.Place.Spare && d.Given("node") {
						d.Report(d.At("node"), "Two nodes", "A spare one has no node.")
					}
				}, "", schema.Hint("Write it as { zone = \"a\" }.")),
			}
		},
	}
}

func readParts(t *testing.T, src string) (parts, *schema.Decoded) {
	t.Helper()
	f, diags := hclsyntax.ParseConfig([]byte(src), "t.hcl", hcl.InitialPos)
	require.False(t, diags.HasErrors(), diags)
	s := cty.StringVal
	return partsBody().Decode(f.Body, &hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{
		"later": cty.UnknownVal(cty.String), "word": s("hunter2").Mark(schema.Sensitive), "nothing": cty.NullVal(cty.String), "zone": s("b"),
		"place": cty.ObjectVal(map[string]cty.Value{"zone": s("a"), "node": cty.NullVal(cty.String)}),
		"codes": cty.ListVal([]cty.Value{cty.NumberIntVal(1), cty.NumberIntVal(2)}), "labels": cty.MapVal(map[string]cty.Value{"a": s("b")}),
		"hidden": cty.ObjectVal(map[string]cty.Value{"zone": s("a")}).Mark(schema.Sensitive), "vague": cty.DynamicVal,
	})}})
}

func TestDecodeParts(t *testing.T) {
	got, d := readParts(t, `
		kind     = "large"
		port     = 443
		wait     = "90s"
		codes    = [200, "204"]
		names    = ["a", "b"]
		labels   = { app = "x" }
		even     = "no"
		password = "${var.word}!"
		place    = { zone = var.zone, spare = true }
	`)
	require.True(t, d.Complete(), d.Diagnostics)
	require.Equal(t, parts{Kind: "large", Port: 443, Wait: 90 * time.Second, Codes: []int{200, 204}, Names: []string{"a", "b"},
		Labels: map[string]string{"app": "x"}, Even: true, Password: "hunter2!", Place: spot{Zone: "b", Spare: true}}, got)

	got, d = readParts(t, "codes = 7\nkind = null\nplace = var.place")
	require.True(t, d.Complete(), d.Diagnostics)
	require.Equal(t, []int{7}, got.Codes)
	require.Equal(t, kind("small"), got.Kind, "null is as good as not given")
	require.False(t, d.Given("kind"))
	require.Equal(t, spot{Zone: "a"}, got.Place)
	got, d = readParts(t, "codes = var.codes\nlabels = var.labels")
	require.True(t, d.Complete(), d.Diagnostics)
	require.Equal(t, []int{1, 2}, got.Codes)
	require.Equal(t, map[string]string{"a": "b"}, got.Labels)
}

// TestUnknownValues: what is not known yet is left at the default, and nothing is said about it.
func TestUnknownParts(t *testing.T) {
	for _, src := range []string{`kind = var.later`, `place = { zone = var.later }`, `place = { zone = "a", (var.later) = "b" }`, `place = { zone = var.later, spare = true, node = "b" }`, `place = var.vague`, `codes = [1, var.vague]`} {
		got, d := readParts(t, src)
		require.Empty(t, d.Diagnostics, src)
		require.False(t, d.Complete(), src)
		require.Equal(t, partsBody().Defaults.Kind, got.Kind)
	}
}

// TestWhatIsWrong: each problem is at the smallest part that it is about, and says what to write instead.
func TestWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		src     string
		column  int
		summary string
		detail  string
	}{
		{`kind = "smal"`, 8, "Unknown kind", `There is no kind "smal". Did you mean "small"? Most use small.`},
		{`kind = "huge"`, 8, schema.NotYet, "Available are: small, large."},
		{`port = 0`, 8, "Port out of range", "port is 0. Write a whole number from 1 to 65535."},
		{`port = 1.5`, 8, "Unsuitable value type", "a whole number, and this is 1.5"},
		{`replicas = 1`, 12, "Replicas out of range", "replicas is 1. Write a whole number of 2 or more."},
		{`wait = "2h"`, 8, "Duration out of range", "wait is 2h. Write a duration from 1s to 1h."},
		{`wait = 5`, 8, "Invalid duration", `such as "30s"`},
		{`codes = [200, "x"]`, 15, "Unsuitable value type", `The argument "codes" is a number or list of number, and this is a string.`},
		{`codes = [200, 1.5]`, 15, "Unsuitable value type", "are whole"},
		{`codes = { a = 1 }`, 9, "Unsuitable value type", "this is an object"},
		{`even = "odd"`, 8, "Odd text", "Write one more letter."},
		{`names = [var.word]`, 9, "Misplaced secret", `The argument "names"`},
		{`place = { zone = "a", nod = "b" }`, 23, "Unsupported argument", `"place" has no field "nod". Did you mean "node"?`},
		{`place = { node = "a" }`, 9, "Missing required field", `"place" needs a field "zone": Where it is.`},
		{`place = { zone = "a", zone = "b" }`, 23, "Duplicate field", "on line 1"},
		{`place = { zone = "a", node = "b", spare = true }`, 30, "Two nodes", "A spare one"},
		{`place = { zone = ["a"] }`, 18, "Unsuitable value type", `The argument "zone" is a string`},
		{`place = { zone = var.word }`, 18, "Misplaced secret", `The argument "zone"`},
		{`place = { zone = "a", (var.word) = "b" }`, 23, "Misplaced secret", `The argument "place"`},
		{`place = { (var.word) = "b" }`, 11, "Misplaced secret", `The argument "place"`},
		{`place = var.hidden`, 9, "Misplaced secret", `The argument "place"`},
		{`place = "a"`, 9, "Unsuitable value type", `The argument "place" is an object, and this is a string. Write it as { zone = "a" }.`},
		{`place = { zone = var.none }`, 21, "Unsupported attribute", ""},
	} {
		_, d := readParts(t, c.src)
		require.Len(t, d.Diagnostics, 1, c.src)
		require.Equal(t, c.summary, d.Diagnostics[0].Summary, c.src)
		require.Contains(t, d.Diagnostics[0].Detail, c.detail, c.src)
		require.Equal(t, c.column, d.Diagnostics[0].Subject.Start.Column, c.src)
		require.NotContains(t, d.Diagnostics.Error(), "hunter2")
	}
}

// TestTable: what people read comes from the very table.
func TestTableOfParts(t *testing.T) {
	by := map[string]schema.Argument{}
	for _, a := range partsBody().Table().Arguments {
		by[a.Name] = a
	}
	require.Equal(t, `"small"`, by["kind"].Default)
	require.Equal(t, []string{"small", "large"}, by["kind"].Values)
	require.Equal(t, []string{"huge"}, by["kind"].Later)
	require.Equal(t, `"2m"`, by["wait"].Default)
	require.Equal(t, "1s", by["wait"].Least)
	require.Equal(t, "1h", by["wait"].Most)
	require.Equal(t, "65535", by["port"].Most)
	require.Empty(t, by["replicas"].Default)
	require.Len(t, by["place"].Fields, 3)
	require.True(t, by["place"].Fields[0].Required)
	require.True(t, by["password"].Sensitive)
}

func TestPlaces(t *testing.T) {
	_, d := readParts(t, `codes = [200, 204]
labels = { a = "b", "c" = "d" }
names = var.codes`)
	require.Equal(t, 15, d.AtElement("codes", 1).Start.Column)
	require.Equal(t, d.At("codes"), d.AtElement("codes", 2))
	require.Equal(t, d.At("names"), d.AtElement("names", 0))
	require.Equal(t, 21, d.AtKey("labels", "c").Start.Column)
	require.Equal(t, d.At("labels"), d.AtKey("labels", "x"))
	require.Equal(t, d.At("names"), d.AtKey("names", "x"))
}
