package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// The run of testdata/version-1.json was recorded by the last version of drill with format 1 (commit 330e8c7), from a scene
// in which writes failed for 2.2 s, and one answer 55 s after the fault took 145 ms.
const version1Run = "2026-11-21t10-04-05z-kill-primary-7f3a"

// version1 is a local history that holds that run, and the paths of its report and of its detail.
func version1(t *testing.T) (state, recorded, detail string) {
	t.Helper()
	state = t.TempDir()
	home := filepath.Join(state, "drill", "history")
	require.NoError(t, os.MkdirAll(home, 0o700))
	for _, ext := range []string{".json", ".detail"} {
		raw, err := os.ReadFile("testdata/version-1" + ext)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(home, version1Run+ext), raw, 0o600))
	}
	return state, filepath.Join(home, version1Run+".json"), filepath.Join(home, version1Run+".detail")
}

// TestVersion1IsPrinted: a record is what it was when it was made, with no number that nobody measured.
func TestVersion1IsPrinted(t *testing.T) {
	state, recorded, _ := version1(t)
	code, out, errs := callAt(t, state, "report", "last", "--local")
	require.Zero(t, code, errs)
	require.Contains(t, out, "55.02 s  [54.99, 55.05]")
	require.Contains(t, out, "format version 1")
	require.NotContains(t, out, "blip and no outage", "it knew no blips")

	code, out, errs = callAt(t, state, "report", "last", "--local", "--format", "json")
	require.Zero(t, code, errs)
	raw, err := os.ReadFile(recorded)
	require.NoError(t, err)
	require.JSONEq(t, string(raw), out)

	code, out, errs = callAt(t, state, "history", "--local")
	require.Zero(t, code, errs)
	require.Contains(t, out, "55.02 s")
}

// TestVersion1IsComputedAgain: by the present definition the late answer is a blip. That this is another number is told in
// a sentence, and is no sign of damage.
func TestVersion1IsComputedAgain(t *testing.T) {
	state, _, file := version1(t)
	for name, args := range map[string][]string{"by its id": {"report", "last", "--local"}, "by its file": {"report", file}} {
		code, out, errs := callAt(t, state, append(args, "--recompute")...)
		require.Zero(t, code, name)
		require.Contains(t, out, "PASSED", name)
		require.Contains(t, out, "Writes back after 2.17 s  [2.14, 2.20]", name)
		require.Contains(t, errs, "The record is of format 1, and the definition changed in between", name)
		require.NotContains(t, errs, "DIFFERS", name)
		require.Contains(t, errs, "recovery.estimate_seconds: recorded 55.025, computed again 2.175", name)
		require.Contains(t, errs, "recovery.blips.count: recorded absent, computed again 1", name)
		require.Contains(t, errs, "The run was recorded by drill v0.10.0", name)
	}

	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, raw[:len(raw)-9], 0o600))
	code, _, errs := callAt(t, state, "report", "last", "--local", "--recompute")
	require.Equal(t, exitError, code, "damage is still an error")
	require.Contains(t, errs, "cut off")
}

// TestVersion1IsCompared: with its like silently, and with runs of the present version with a warning, which the report that
// was computed again does not need.
func TestVersion1IsCompared(t *testing.T) {
	const warning = "1 of BASE and 0 of NEW were measured by the definition of format 1"
	state, recorded, file := version1(t)
	dir := t.TempDir()
	like := filepath.Join(dir, "like.json")
	change(t, recorded, like, func(r map[string]any) { r["run"].(map[string]any)["id"] = "like" })
	_, out, errs := callAt(t, state, "compare", recorded, like, "--output", "json")
	require.Empty(t, errs)
	var c drill.Comparison
	require.NoError(t, json.Unmarshal([]byte(out), &c))
	require.Equal(t, drill.ComparedTooLittle, c.Result)
	require.NotContains(t, out, "format 1")

	_, out, _ = callAt(t, state, "report", file, "--recompute", "--format", "json")
	again := filepath.Join(dir, "again.json")
	require.NoError(t, os.WriteFile(again, []byte(out), 0o600))
	next := filepath.Join(dir, "next.json")
	change(t, again, next, func(r map[string]any) { r["run"].(map[string]any)["id"] = "next" })
	for _, args := range [][]string{{recorded, next}, {version1Run, next, "--local"}} {
		code, out, errs := callAt(t, state, append([]string{"compare", "--output", "json"}, args...)...)
		require.Equal(t, exitRefused, code, errs)
		require.Contains(t, out, warning)
		require.Contains(t, out, "drill report RUN --recompute --format json")
	}
	_, out, _ = callAt(t, state, "compare", again, next, "--output", "json")
	require.NotContains(t, out, "format 1")

	later := filepath.Join(dir, "later.json")
	change(t, next, later, func(r map[string]any) { r["format_version"] = "3" })
	code, _, errs := callAt(t, state, "compare", again, later)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, `cannot compare run next: its report has format_version "3", and it must be "1" or "2"`)
}

// change writes a report with something changed into another file.
func change(t *testing.T, from, to string, edit func(map[string]any)) {
	t.Helper()
	raw, err := os.ReadFile(from)
	require.NoError(t, err)
	var r map[string]any
	require.NoError(t, json.Unmarshal(raw, &r))
	edit(r)
	raw, err = json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, raw, 0o600))
}
