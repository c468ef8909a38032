package cli

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// validDrill is a valid drill file.
func validDrill(name string) string {
	return `drill "` + name + `" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
`
}

func TestValidateDirectories(t *testing.T) {
	written(t, map[string]string{
		"a.hcl": validDrill("a"), "below/b.hcl": validDrill("b"), "below/deep/c.hcl": "drill \"c\" {\n",
		".hidden/d.hcl": "{", ".e.hcl": "{", "notes.md": "{", "shop.drillvars.hcl": "zone = \"a\"\n",
	})
	code, out, errs := call(t, "validate")
	require.Equal(t, 4, code)
	require.Empty(t, out)
	require.Contains(t, errs, "on below/deep/c.hcl line 1")
	require.NotContains(t, errs, "hidden")
	require.True(t, strings.HasSuffix(errs, "\n1 error in 1 of 4 files.\n"), errs)

	require.NoError(t, os.Remove("below/deep/c.hcl"))
	code, out, errs = call(t, "validate")
	require.Zero(t, code, errs)
	require.Equal(t, "Valid: 2 drills in 3 files.\n", out)
	require.Empty(t, errs)
	code, out, _ = call(t, "validate", "a.hcl", "./a.hcl", ".", "below/../a.hcl")
	require.Zero(t, code)
	require.Equal(t, "Valid: 2 drills in 3 files.\n", out, "each once")
}

// TestALinkToADirectoryThatIsNamed is followed, unlike one that is found in a directory.
func TestALinkToADirectoryThatIsNamed(t *testing.T) {
	written(t, map[string]string{"drills/a.hcl": validDrill("a"), "drills/below/b.hcl": validDrill("b"), "others/c.hcl": validDrill("c")})
	require.NoError(t, os.Symlink("drills", "link"))
	require.NoError(t, os.Symlink("../others", "drills/others"))
	for _, path := range []string{"link", "link/", "drills", "./drills//"} {
		code, out, errs := call(t, "validate", path)
		require.Zero(t, code, errs)
		require.Equal(t, "Valid: 2 drills in 2 files.\n", out, path)
	}
	require.NoError(t, os.WriteFile("drills/a.hcl", []byte("a=1\n"), 0o600))
	code, out, errs := call(t, "fmt", "--check", "link")
	require.Equal(t, exitUnformatted, code, errs)
	require.Equal(t, "link/a.hcl\n", out, "as it was named")
}

// TestNamesOfFilesSteerNoTerminal: neither that of the faulty file nor that of another that a message names.
func TestNamesOfFilesSteerNoTerminal(t *testing.T) {
	written(t, map[string]string{"1\x1b[2J.hcl": validDrill("a"), "2\x1b[2J.hcl": validDrill("a")})
	code, _, errs := call(t, "validate")
	require.Equal(t, 4, code)
	require.NotContains(t, errs, "\x1b")
	require.Contains(t, errs, "on 2\uFFFD[2J.hcl line 1, in drill \"a\":\n   1: drill \"a\" {\n            ^^^")
	require.Contains(t, errs, "of 1\uFFFD[2J.hcl;")
	_, _, errs = callWith(t, []string{"validate"}, func(e *Env) { e.TTY = true })
	require.NotContains(t, errs, "\x1b[2J")
	require.Contains(t, errs, "\x1b[1;4m", "what colours it is no name")
}

// TestValidateEverything: no problem hides another, in whichever file.
func TestValidateEverything(t *testing.T) {
	written(t, map[string]string{
		"1.hcl": "drill \"one\" {\n  tiemout = \"1m\"\n}\n", "2.hcl": "drill {{", "3.hcl": validDrill("three"), "4.hcl": "# \x00",
		"5.drillvars.hcl": "a = b\nc {}\n", "empty/x": "",
	})
	require.NoError(t, os.Symlink("nowhere", "6.hcl"))
	code, _, errs := call(t, "validate", "none.hcl", ".", "empty")
	require.Equal(t, 2, code)
	for _, want := range []string{`Did you mean "timeout"?`, "on 2.hcl line 1", "Control character", "on 5.drillvars.hcl line 1", "on 5.drillvars.hcl line 2",
		"Reading 6.hcl failed: no such file", "Reading none.hcl failed: no such file", "The directory empty holds no drill file"} {
		assert.Contains(t, errs, want)
	}
	_, out, errs := call(t, "validate", "-o", "json", "none.hcl", ".", "empty")
	require.Empty(t, errs)
	var result validateResult
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	var bare int
	for _, d := range result.Diagnostics {
		if d.Range == nil {
			bare++
		}
	}
	require.Equal(t, 3, bare, "what has no line is in the JSON, too")
	require.Len(t, result.Diagnostics, result.ErrorCount)
}

// TestValidateUnreadableVariables: a file of variables that cannot be read is said once, and hides nothing.
func TestValidateUnreadableVariables(t *testing.T) {
	written(t, map[string]string{"a.hcl": validDrill("a"), "b.hcl": validDrill("b"), "below/c.hcl": "drill {{"})
	require.NoError(t, os.Symlink("nowhere", "shop.drillvars.hcl"))
	for _, args := range [][]string{{"validate"}, {"validate", "--var-file", "none"}} {
		code, _, errs := call(t, args...)
		require.Equal(t, 2, code)
		require.Equal(t, 1, strings.Count(errs, "Cannot read the variables file shop.drillvars.hcl: there is no such file."), errs)
		require.Contains(t, errs, "on below/c.hcl line 1")
		require.Contains(t, errs, "in 2 of 4 files.")
	}
}

func TestValidateNamesOfADirectory(t *testing.T) {
	written(t, map[string]string{
		"here/a.hcl": validDrill("same"), "here/below/b.hcl": validDrill("same"), "there/c.hcl": validDrill("same"),
		"broken/d.hcl": "drill \"x\" {}\n", "broken/e.hcl": validDrill("x"),
	})
	code, _, errs := call(t, "validate", "here", "there")
	require.Equal(t, 4, code)
	require.Contains(t, errs, "Error: Duplicate name\n\n  on here/below/b.hcl line 1")
	require.Contains(t, errs, `Another drill named "same" is on line 1 of here/a.hcl; this one is on line 1.`)
	require.Contains(t, errs, "1 error in 1 of 3 files.")
	code, _, errs = call(t, "validate", "here/a.hcl", "there/c.hcl")
	require.Zero(t, code, errs)
	_, _, errs = call(t, "validate", "broken")
	require.Contains(t, errs, "line 1 of broken/d.hcl", "also when the first one has errors of its own")
	code, _, errs = call(t, "validate", "./here/below/b.hcl", "here")
	require.Equal(t, 4, code)
	require.Contains(t, errs, "Duplicate name", "a file that is named beside its directory belongs to it")
}

func TestValidateStdin(t *testing.T) {
	stdin := func(text string) func(*Env) { return func(e *Env) { e.Stdin = strings.NewReader(text) } }
	code, out, errs := callWith(t, []string{"validate", "-"}, stdin(validDrill("a")))
	require.Zero(t, code, errs)
	require.Equal(t, "Valid: 1 drill in 1 file.\n", out)
	code, _, errs = callWith(t, []string{"validate", "-"}, stdin("drill \"a\" {\n"))
	require.Equal(t, 4, code)
	require.Contains(t, errs, "on <stdin> line 1")
	code, _, errs = callWith(t, []string{"validate", "-"}, func(e *Env) { e.Stdin = iotest.ErrReader(errors.New("torn")) })
	require.Equal(t, 2, code)
	require.Contains(t, errs, "Reading <stdin> failed: torn")
}

func TestValidateWithWarnings(t *testing.T) {
	written(t, map[string]string{"a.hcl": validDrill("a"), "b.hcl": strings.Replace(validDrill("b"), "{}", "{\n    method = \"sigkill\"\n  }", 1)})
	code, out, errs := call(t, "validate")
	require.Zero(t, code, errs)
	require.Contains(t, errs, "Warning: Not available yet")
	require.Equal(t, "Valid: 2 drills in 2 files, with 1 warning.\n", out)
	code, out, _ = call(t, "validate", "-o", "json")
	require.Zero(t, code)
	var result validateResult
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.Equal(t, []any{true, 0, 1}, []any{result.Valid, result.ErrorCount, result.WarningCount})
}

func TestColour(t *testing.T) {
	written(t, map[string]string{"a.hcl": "drill {"})
	terminal := func(e *Env) { e.TTY = true }
	for _, tc := range []struct {
		name   string
		args   []string
		change []func(*Env)
		want   bool
	}{
		{"terminal", []string{"validate"}, []func(*Env){terminal}, true},
		{"pipe", []string{"validate"}, nil, false},
		{"flag", []string{"validate", "--no-color"}, []func(*Env){terminal}, false},
		{"NO_COLOR", []string{"validate"}, []func(*Env){terminal, func(e *Env) {
			e.Getenv = func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }
		}}, false},
	} {
		_, _, errs := callWith(t, tc.args, tc.change...)
		assert.Equal(t, tc.want, strings.Contains(errs, "\x1b["), tc.name)
		assert.Equal(t, !tc.want, strings.Contains(errs, "^"), tc.name)
	}
}
