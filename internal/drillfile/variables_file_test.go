package drillfile_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drillfile"
)

func TestReadVariables(t *testing.T) {
	src := "# of the lab\nnamespace = \"shop\"\nnested = { a = [1, 2], b = null }\ncount = -3\n"
	values, file, diags := drillfile.ReadVariables("lab.drillvars.hcl", []byte(src), true)
	require.Empty(t, diags)
	require.NotNil(t, file)
	require.Len(t, values, 3)
	for i, want := range []struct{ name, origin string }{
		{"namespace", "lab.drillvars.hcl, line 2"}, {"nested", "lab.drillvars.hcl, line 3"}, {"count", "lab.drillvars.hcl, line 4"}} {
		require.Equal(t, want.name, values[i].Name, "in the order of the file")
		require.Equal(t, want.origin, values[i].Origin)
		require.True(t, values[i].Stray)
		require.NotNil(t, values[i].Expr)
	}
}

func TestAVariablesFileHoldsValuesAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		src     string
		summary string
		at      string // line,column
		says    string
	}{
		"a block":          {"a = 1\ndrill \"x\" {\n}\n", "Block in a variables file", "2,1", "Put blocks into the drill file."},
		"a declaration":    {"variable \"zone\" {\n}\n", "Block in a variables file", "1,1", "zone = …"},
		"no quotes":        {"zone = eu\n", "Reference in a variables file", "1,8", `zone = "…"`},
		"a reference":      {"a = \"x\"\nzone = \"${var.a}\"\n", "Reference in a variables file", "2,11", "Write the value out"},
		"a function":       {"zone = [upper(\"a\")]\n", "Function in a variables file", "1,9", "upper()"},
		"a secret":         {"zone = env(\"A\")\n", "Function in a variables file", "1,8", "call env() in the drill file"},
		"a for expression": {"zone = [for x in [1] : 2]\n", "For expression in a variables file", "1,8", "Write the elements out"},
		"twice":            {"zone = 1\nzone = 2\n", "Attribute redefined", "2,1", "already set"},
		"a syntax error":   {"zone = \n", "Invalid expression", "1,8", ""},
		"arithmetic":       {"zone = 1 + true\n", "Invalid operand", "1,12", ""},
		"no text":          {"zone = \"\x00\"\n", "Control character", "1,9", ""},
		"a mark of drill":  {"zone = \"\\u0001secret:a\\u0002b\\u0003\"\n", "Control character", "1,9", ""},
		"no number":        {"zone = 1e999999999\n", "Number out of range", "1,8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, diags := drillfile.ReadVariables("x.drillvars.hcl", []byte(tc.src), false)
			require.Len(t, diags, 1)
			require.Equal(t, hcl.DiagError, diags[0].Severity)
			require.Equal(t, tc.summary, diags[0].Summary)
			require.Contains(t, diags[0].Detail, tc.says)
			require.Equal(t, "x.drillvars.hcl:"+tc.at, diags[0].Subject.String()[:len("x.drillvars.hcl:"+tc.at)])
		})
	}
}

// TestOneFaultyLineHidesNoOther: the right lines of a variables file count, so that nothing is said of what is only missing.
func TestOneFaultyLineHidesNoOther(t *testing.T) {
	values, _, diags := drillfile.ReadVariables("x", []byte("a = upper(\"x\")\nb = 2\nc = d\n"), false)
	require.Len(t, diags, 2)
	require.Len(t, values, 1)
	require.Equal(t, "b", values[0].Name)
}

// TestNoValueIsShown: a value is not repeated, also when it is not written as a value is.
func TestNoValueIsShown(t *testing.T) {
	for _, src := range []string{"a = hunter2", "a = 'hunter2'", `a = "hunter2`, `a = hunter2"`, `a "hunter2"`, `a = "hunter2" hunter2`, "a : hunter2", "a = [hunter2", "a = <<X\nhunter2\n", `a = "${hunter2}"`, "a = -hunter2-4", "hunter2", "a = ”hunter2”"} {
		_, file, diags := drillfile.ReadVariables("x", []byte(src+"\n"), false)
		require.True(t, diags.HasErrors(), src)
		files := map[string]*hcl.File{"x": file}
		var text strings.Builder
		require.NoError(t, drillfile.Render(&text, files, diags, 0, false))
		out, err := drillfile.JSON(files, diags)
		require.NoError(t, err)
		require.NotContains(t, text.String()+string(out), "hunter2", src)
	}
}

func TestDeclaredVariables(t *testing.T) {
	names, described := drillfile.DeclaredVariables("x", []byte("variable \"a\" {\n  description = \"The\\n  first.\"\n}\nvariable \"b\" {}\nvariable {}\ndrill \"d\" {\n"))
	require.Equal(t, []string{"a", "b"}, names, "also of a file that is being written")
	require.Equal(t, "The first.", described["a"])
	names, _ = drillfile.DeclaredVariables("x", []byte("\x00"))
	require.Empty(t, names)

	computed := "\"${[for a in [1, 2] : \"x\"][0]}\"" // nothing bounds what evaluating that may take
	names, described = drillfile.DeclaredVariables("x", []byte("variable \"a\" {\n  description = "+computed+"\n}\nvariable \"b\" {\n  description = <<-X\n    Two\n    lines.\n  X\n}\n"))
	require.Equal(t, []string{"a", "b"}, names)
	require.Equal(t, map[string]string{"b": "Two lines."}, described)
}

func FuzzReadVariables(f *testing.F) {
	for _, seed := range []string{"a = 1\n", "a = {b = [\"c\"]}\n", "variable \"a\" {}", "a = <<X\nb\nX\n", "a = \"${\"\n", "a = [for x in y : z]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		values, _, diags := drillfile.ReadVariables("f", src, true)
		for _, v := range values {
			_, wrong := v.Expr.Value(nil)
			require.Empty(t, wrong, "a value that was taken can be read")
		}
		for _, d := range diags {
			require.NotEmpty(t, d.Detail)
		}
		_, _ = drillfile.DeclaredVariables("f", src)
	})
}
