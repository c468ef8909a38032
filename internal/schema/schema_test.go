package schema_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/schema"
)

// all is a block with an argument of each sort.
type all struct {
	Name     string
	Method   string
	Rate     int
	Percent  int
	Deep     bool
	Hold     time.Duration
	DSN      drill.Sensitive
	Names    []string
	Headers  map[string]string
	When     *hcl.Attribute
	anything cty.Value
}

func body(checked *int) schema.Body[all] {
	return schema.Body[all]{
		Defaults: all{Method: "fast", Rate: 10, Hold: 90 * time.Second},
		Arguments: func(s *all) []schema.Argument {
			return []schema.Argument{
				schema.String("name", &s.Name, "Its name.", schema.Required()),
				schema.String("method", &s.Method, "How.", schema.OneOf("fast", "slow"), schema.Later("sideways")),
				schema.Number("rate", &s.Rate, "How often.", schema.Between(1, 100)),
				schema.Number("percent", &s.Percent, "How much.", schema.Default("all of it")),
				schema.Bool("deep", &s.Deep, "How deep."),
				schema.Duration("hold", &s.Hold, "How long.", schema.Between(time.Second, time.Hour)),
				schema.Secret("dsn", &s.DSN, "Where."),
				schema.Strings("names", &s.Names, "Who."),
				schema.StringMap("headers", &s.Headers, "What."),
				schema.Expression("when", &s.When, "When."),
				schema.Value("anything", "object", "More.", func(v cty.Value, _ *schema.Decoded) { s.anything = v }),
			}
		},
		Blocks: []schema.Nested{{Type: "once", Doc: "There is one of it."}, {Type: "often", Labels: []string{"name"}, Many: true}},
		Check: func(*all, *schema.Decoded) {
			if checked != nil {
				*checked++
			}
		},
	}
}

func context() *hcl.EvalContext {
	return &hcl.EvalContext{Variables: map[string]cty.Value{
		"later":  cty.UnknownVal(cty.String),
		"hidden": cty.StringVal("s3cret").Mark(schema.Sensitive),
		"inner":  cty.ListVal([]cty.Value{cty.StringVal("s3cret").Mark(schema.Sensitive)}),
	}}
}

func decode(t *testing.T, src string) (all, *schema.Decoded, int) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(src), "x.hcl", hcl.InitialPos)
	require.False(t, diags.HasErrors(), diags)
	checked := 0
	spec, d := body(&checked).Decode(file.Body, context())
	return spec, d, checked
}

func TestDecode(t *testing.T) {
	spec, d, checked := decode(t, `
name     = "orders"
method   = "slow"
rate     = "20"
percent  = 7
deep     = true
hold     = "2m"
dsn      = "postgres://${hidden}@orders"
names    = ["a", null, "b"]
headers  = { Host = "x" }
when     = nothing.that > is["known"]
anything = { a = [1] }
often "a" {}
often "b" {}
`)
	require.Empty(t, d.Diagnostics)
	assert.True(t, d.Complete())
	assert.Equal(t, 1, checked)
	when := spec.When
	spec.When = nil
	assert.Equal(t, "when", when.Name)
	assert.Equal(t, 1.0, func() float64 { f, _ := spec.anything.GetAttr("a").Index(cty.Zero).AsBigFloat().Float64(); return f }())
	spec.anything = cty.NilVal
	assert.Equal(t, all{Name: "orders", Method: "slow", Rate: 20, Percent: 7, Deep: true, Hold: 2 * time.Minute, DSN: "postgres://s3cret@orders",
		Names: []string{"a", "b"}, Headers: map[string]string{"Host": "x"}}, spec)
	assert.Len(t, d.Blocks, 2)
	assert.True(t, d.Given("rate"))
	assert.Equal(t, 4, d.At("rate").Start.Line)
}

func TestDefaultsStayWhereNothingOrNullIsGiven(t *testing.T) {
	spec, d, _ := decode(t, "name = \"x\"\nrate = null\nhold = null")
	require.Empty(t, d.Diagnostics)
	assert.Equal(t, all{Name: "x", Method: "fast", Rate: 10, Hold: 90 * time.Second}, spec)
	assert.False(t, d.Given("rate"), "null is as good as not given")
	assert.Nil(t, d.Expr("rate"))
}

// TestUnknown: a value that is not known yet is no problem, and leaves the body incomplete, so that nothing is said of
// the arguments together.
func TestUnknown(t *testing.T) {
	for _, src := range []string{"name = later", "name = \"x-${later}\"", "name = \"x\"\nnames = [later]"} {
		spec, d, checked := decode(t, src)
		assert.Empty(t, d.Diagnostics, src)
		assert.False(t, d.Complete(), src)
		assert.Zero(t, checked, src)
		assert.Equal(t, "fast", spec.Method)
	}
}

func TestProblems(t *testing.T) {
	for name, tc := range map[string]struct{ src, at, summary, detail string }{
		"missing":             {``, "1:1", "Missing required argument", `"name"`},
		"null where required": {`name = null`, "1:8", "Missing required argument", "null"},
		"unknown argument":    {"name = \"x\"\nmetod = \"slow\"", "2:1", "Unsupported argument", `Did you mean "method"?`},
		"unknown block":       {"name = \"x\"\nonec {}", "2:1", "Unsupported block type", `Did you mean "once"?`},
		"second block":        {"name = \"x\"\nonce {}\nonce {}", "3:1", "Duplicate once block", "line 2 of x.hcl"},
		"wrong type":          {"name = \"x\"\nrate = \"often\"", "2:8", "Unsuitable value type", `"rate" is a number, and this is a string`},
		"list for a text":     {"name = [\"x\"]", "1:8", "Unsuitable value type", `"name" is a string, and this is a tuple`},
		"fraction":            {"name = \"x\"\nrate = 1.5", "2:8", "Unsuitable value type", "whole number, and this is 1.5"},
		"too large for int":   {"name = \"x\"\npercent = 1e30", "2:11", "Unsuitable value type", "whole number"},
		"too often":           {"name = \"x\"\nrate = 101", "2:8", "Rate out of range", "rate is 101. Write a whole number from 1 to 100."},
		"no duration":         {"name = \"x\"\nhold = 90", "2:8", "Invalid duration", `"90" is not a duration`},
		"too long":            {"name = \"x\"\nhold = \"2h\"", "2:8", "Duration out of range", "hold is 2h. Write a duration from 1s to 1h."},
		"no such word":        {"name = \"x\"\nmethod = \"slwo\"", "2:10", "Unknown method", `Did you mean "slow"?`},
		"secret in the open":  {"name = \"a ${hidden}\"", "1:8", "Misplaced secret", `"name" is printed`},
		"secret in a list":    {"name = \"x\"\nnames = inner", "2:9", "Misplaced secret", `"names" is printed`},
		"no such name":        {"name = nothing", "1:8", "Unknown variable", "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, d, _ := decode(t, tc.src)
			require.Len(t, d.Diagnostics, 1, d.Diagnostics)
			got := d.Diagnostics[0]
			assert.Equal(t, hcl.DiagError, got.Severity)
			assert.Equal(t, tc.summary, got.Summary)
			assert.Contains(t, got.Detail, tc.detail)
			assert.Equal(t, tc.at, place(got.Subject.Start))
			assert.NotContains(t, got.Detail, "s3cret")
			assert.False(t, d.Complete())
		})
	}
}

func place(p hcl.Pos) string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// TestNotYet: a word of the language that this version cannot do leaves the file valid, and says so.
func TestNotYet(t *testing.T) {
	spec, d, _ := decode(t, "name = \"x\"\nmethod = \"sideways\"")
	require.Len(t, d.Diagnostics, 1)
	assert.Equal(t, hcl.DiagWarning, d.Diagnostics[0].Severity)
	assert.Equal(t, schema.NotYet, d.Diagnostics[0].Summary)
	assert.Contains(t, d.Diagnostics[0].Detail, "Available are: fast, slow.")
	assert.Equal(t, "sideways", spec.Method)
	assert.True(t, d.Complete())
}

// TestEverythingAtOnce: one wrong argument hides no other, nor what is wrong with them together.
func TestEverythingAtOnce(t *testing.T) {
	_, d, checked := decode(t, "rate = 0\nhold = \"soon\"\nmethod = 3\nwhat = 1")
	var summaries []string
	for _, x := range d.Diagnostics {
		summaries = append(summaries, x.Summary)
	}
	slices.Sort(summaries)
	assert.Equal(t, []string{"Invalid duration", "Missing required argument", "Rate out of range", "Unknown method", "Unsupported argument"}, summaries)
	assert.Equal(t, 1, checked)
}

// TestTable: what people are told is what the decoder goes by.
func TestTable(t *testing.T) {
	table := body(nil).Table()
	defaults := map[string]string{}
	for _, a := range table.Arguments {
		defaults[a.Name] = a.Default
		assert.NotEmpty(t, a.Doc)
		assert.NotEmpty(t, a.Type)
	}
	assert.Equal(t, map[string]string{"name": "", "method": `"fast"`, "rate": "10", "percent": "all of it", "deep": "false", "hold": `"1m30s"`,
		"dsn": "", "names": "", "headers": "", "when": "", "anything": ""}, defaults)
	assert.Len(t, table.Blocks, 2)
	again := body(nil).Table()
	assert.Equal(t, defaults["rate"], again.Arguments[2].Default, "a table is no one's to change")
}

// TestAttributeBounds: what no reading can ever be decides a comparison before there is one.
func TestAttributeBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		got     cty.Value
		decided bool
	}{
		"seconds are never negative":  {schema.Seconds("a", "").Unknown().GreaterThan(cty.NumberIntVal(-1)), true},
		"seconds may be any number":   {schema.Seconds("a", "").Unknown().GreaterThan(cty.NumberIntVal(1)), false},
		"a ratio is at most 1":        {schema.Ratio("a", "").Unknown().GreaterThan(cty.NumberFloatVal(1.5)), true},
		"a ratio may be 1":            {schema.Ratio("a", "").Unknown().GreaterThanOrEqualTo(cty.NumberIntVal(1)), false},
		"nothing is known of a value": {schema.Any("a", "").Unknown().GreaterThanOrEqualTo(cty.Zero), false},
		"never null":                  {schema.Any("a", "").Unknown().Equals(cty.NullVal(cty.Number)), true},
	} {
		assert.Equal(t, tc.decided, tc.got.IsKnown(), name)
	}
	attributes := []schema.Attribute{schema.Ratio("a", ""), schema.Count("b", "")}
	assert.Equal(t, []string{"a", "b"}, schema.Names(attributes))
	_, found := schema.Find(attributes, "c")
	assert.False(t, found)
}

func TestDidYouMean(t *testing.T) {
	known := []string{"recovery_time", "replication_lag", "lost_writes"}
	assert.Equal(t, ` Did you mean "lost_writes"?`, schema.DidYouMean("lost_write", known))
	assert.Equal(t, ` Did you mean "recovery_time"?`, schema.DidYouMean("recovery", known))
	assert.Equal(t, " Known are: lost_writes, recovery_time, replication_lag.", schema.DidYouMean("speed", known))
	assert.Empty(t, schema.DidYouMean("x", nil))
}
