package cli

import (
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixtures is the directory that `bin/drill validate testdata` is held to. To add a case, add a file: its name is that of
// its drill, and each faulty line ends in # ERROR: Summary or # WARNING: Summary, with commas between several.
const fixtures = "../../testdata"

var mark = regexp.MustCompile(`# (ERROR|WARNING): (.*?)(?: # (ERROR|WARNING): (.*))?\r?$`)

// findings are the problems of one file: per line, "error: Summary", sorted.
type findings map[int][]string

func (f findings) add(line int, severity, summary string) {
	f[line] = append(f[line], strings.ToLower(severity)+": "+summary)
	slices.Sort(f[line])
}

// marked reads the marks of every file below the directory.
func marked(t *testing.T, dir string) map[string]findings {
	t.Helper()
	all := map[string]findings{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, drillFileSuffix) {
			return err
		}
		src, err := os.ReadFile(path)
		for i, line := range strings.Split(string(src), "\n") {
			m := mark.FindStringSubmatch(line)
			for ; len(m) > 2 && m[1] != ""; m = m[2:] {
				for summary := range strings.SplitSeq(m[2], ", ") {
					if all[path] == nil {
						all[path] = findings{}
					}
					all[path].add(i+1, m[1], summary)
				}
			}
		}
		return err
	}))
	return all
}

// reported runs the command, and returns what it finds in each file.
func reported(t *testing.T, paths ...string) (code int, all map[string]findings) {
	t.Helper()
	code, out, errs := call(t, append([]string{"validate", "--output", "json"}, paths...)...)
	require.Empty(t, errs)
	var result validateResult
	require.NoError(t, json.Unmarshal([]byte(out), &result), out)
	all = map[string]findings{}
	for _, d := range result.Diagnostics {
		require.NotNil(t, d.Range, "%s: %s", d.Summary, d.Detail)
		assert.NotEmpty(t, d.Detail, "%s in %s", d.Summary, d.Range.Filename)
		if all[d.Range.Filename] == nil {
			all[d.Range.Filename] = findings{}
		}
		all[d.Range.Filename].add(d.Range.Start.Line, d.Severity, d.Summary)
	}
	return code, all
}

// validateResult is what other programs read of the JSON.
type validateResult struct {
	FormatVersion string `json:"format_version"`
	Valid         bool   `json:"valid"`
	ErrorCount    int    `json:"error_count"`
	WarningCount  int    `json:"warning_count"`
	Diagnostics   []struct {
		Severity, Summary, Detail string
		Range                     *struct {
			Filename   string
			Start, End struct{ Line, Column, Byte int }
		}
		Snippet *struct {
			Context              *string
			Code                 string
			StartLine            int `json:"start_line"`
			HighlightStartOffset int `json:"highlight_start_offset"`
			HighlightEndOffset   int `json:"highlight_end_offset"`
		}
	}
}

// TestFixtures: all files at once, every marked line is reported, and no other.
func TestFixtures(t *testing.T) {
	want := marked(t, fixtures)
	code, got := reported(t, fixtures)
	assert.Equal(t, 4, code)
	for _, path := range drillFilesBelow(t, fixtures) {
		assert.Equal(t, want[path], got[path], path)
		faulty := strings.Contains(path, "errors")
		assert.Equal(t, faulty, len(want[path]) > 0, "%s: what is in errors/ has marks, and what is in valid/ has none", path)
	}
	for path := range got {
		assert.FileExists(t, path)
	}
}

// TestFixturesAlone: no file's problems depend on which others are read with it.
func TestFixturesAlone(t *testing.T) {
	for path, want := range marked(t, fixtures) {
		_, got := reported(t, path)
		assert.Equal(t, map[string]findings{path: want}, got, path)
	}
	code, got := reported(t, filepath.Join(fixtures, "valid"))
	assert.Zero(t, code)
	assert.Empty(t, got)
	code, out, _ := call(t, "fmt", "--check", "--diff", filepath.Join(fixtures, "valid"))
	assert.Zero(t, code, out)
}

func drillFilesBelow(t *testing.T, dir string) []string {
	t.Helper()
	found, diags := filesBelow(dir)
	require.Empty(t, diags)
	return found
}

// TestRendered shows what a person sees. Run with -update after a change of words.
func TestRendered(t *testing.T) {
	t.Chdir("../..")
	for _, name := range []string{
		"brace-not-closed", "comparison-with-text", "condition-and-in-words", "condition-constant", "duplicate-abort", "duplicate-drill", "duration-as-text",
		"duration-invalid", "fault-network_partition", "fault-pod_kill", "guard-namespace-not-allowed", "kind-argument-misspelt", "locals-circle", "misspelt-attribute",
		"misspelt-target", "repeat-too-many", "schedule-everything-wrong", "schedule-outside-window", "schedule-without-zone",
		"schedule-zone-in-cron", "secret-changed", "secret-in-description", "text-without-quotes", "timeout-shorter-than-stagger", "unknown-target-kind", "variable-validation-fails",
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, "testdata/errors/"+name+".hcl") })
	}
	t.Run("in colour", func(t *testing.T) {
		golden(t, "misspelt-attribute-colour", "testdata/errors/misspelt-attribute.hcl", func(e *Env) { e.TTY = true })
	})
}

func golden(t *testing.T, name, path string, change ...func(*Env)) {
	t.Helper()
	_, _, errs := callWith(t, []string{"validate", path}, change...)
	file := "testdata/golden/" + name + ".txt"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(errs), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), errs)
}

// TestFixtureNames: a fixture is found by the name of its drill.
func TestFixtureNames(t *testing.T) {
	label := regexp.MustCompile(`(?m)^drill "([a-z0-9_-]+)"`)
	for _, path := range drillFilesBelow(t, fixtures) {
		src, err := os.ReadFile(path)
		require.NoError(t, err)
		for i, m := range label.FindAllStringSubmatch(string(src), -1) {
			name := strings.TrimSuffix(filepath.Base(path), drillFileSuffix)
			if i == 0 {
				assert.Equal(t, name, m[1], path)
			}
			assert.True(t, strings.HasPrefix(m[1], name), "%s: a further drill is called %s-…, so that names stay unique", path, name)
		}
	}
}
