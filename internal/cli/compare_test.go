package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/report"
)

// store writes reports of one drill, with these recoveries, into a directory.
func store(t *testing.T, dir, name string, recoveries ...float64) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for i, s := range recoveries {
		rep := drill.Report{FormatVersion: "1", Run: drill.RunReport{ID: fmt.Sprintf("%s-%d", name, i), Drill: "kill", Verdict: drill.VerdictPassed, Trial: 1, Trials: 1,
			Started: time.Date(2026, 11, 1+i, 0, 0, 0, 0, time.UTC)},
			Recovery: &drill.RecoveryReport{Outcome: drill.OutcomeFailedOver, Estimate: drill.Estimate{Estimate: drill.Seconds(s), Lower: drill.Seconds(s - 0.02), Upper: drill.Seconds(s + 0.02)}},
			Writes:   &drill.WritesReport{Lost: new(0)}}
		var b bytes.Buffer
		require.NoError(t, report.JSON(&b, rep))
		require.NoError(t, os.WriteFile(filepath.Join(dir, rep.Run.ID+".json"), b.Bytes(), 0o600))
	}
	return dir
}

func TestCompareFiles(t *testing.T) {
	dir := t.TempDir()
	base := store(t, filepath.Join(dir, "base"), "base", 10, 11, 12, 13, 14)
	slow := store(t, filepath.Join(dir, "slow"), "slow", 20, 21, 22, 23, 24)
	same := store(t, filepath.Join(dir, "same"), "same", 10.5, 11.5, 12.5, 13.5, 11.1)
	few := slow + "/slow-0.json," + slow + "/slow-1.json"

	code, out, errs := call(t, "compare", base, slow)
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, "REGRESSION")
	require.Contains(t, out, "NEW recovers more slowly than BASE by 10 s")
	code, out, _ = call(t, "compare", slow, base)
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, "10.00 s faster")
	code, out, _ = call(t, "compare", base, same)
	require.Equal(t, exitOK, code, out)
	require.Contains(t, out, "NO EVIDENCE OF A REGRESSION")
	code, out, _ = call(t, "compare", base, few)
	require.Equal(t, exitFailed, code, "5 against 2 are just enough: %s", out)
	code, out, _ = call(t, "compare", base, slow+"/slow-0.json")
	require.Equal(t, exitRefused, code)
	require.Contains(t, out, "TOO LITTLE TO COMPARE")

	code, out, errs = call(t, "compare", base, slow, "--output", "json")
	require.Equal(t, exitFailed, code, errs)
	var c drill.Comparison
	require.NoError(t, json.Unmarshal([]byte(out), &c))
	require.Equal(t, drill.ComparedRegression, c.Result)
	require.Equal(t, base, c.Base.Name)
	require.Equal(t, []string{"kill"}, c.New.Drills)
	require.InDelta(t, 1.0/252, c.Recovery.P, 1e-9)
	require.Equal(t, drill.Seconds(10), *c.Recovery.Shift)
	require.InDelta(t, 0.02, float64(*c.Recovery.Resolution), 1e-9)

	// A file that is named twice counts once.
	_, out, _ = call(t, "compare", base+","+base+"/base-0.json", slow, "--output", "json")
	c = drill.Comparison{}
	require.NoError(t, json.Unmarshal([]byte(out), &c))
	require.Equal(t, 5, c.Recovery.BaseN)

	// Sets that were measured by different rules are compared, and the text says so.
	next := store(t, filepath.Join(dir, "next"), "next", 20, 21, 22, 23, 24)
	for i := range 5 {
		path := filepath.Join(next, fmt.Sprintf("next-%d.json", i))
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, bytes.Replace(raw, []byte(`"format_version": "1"`), []byte(`"format_version": "2"`), 1), 0o600))
	}
	const rules = "The recovery times do not compare: 5 of BASE and 0 of NEW"
	code, out, errs = call(t, "compare", base, next)
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, rules)
	_, out, _ = call(t, "compare", base, slow)
	require.NotContains(t, out, "do not compare")
	later := filepath.Join(dir, "later.json")
	require.NoError(t, os.WriteFile(later, []byte(`{"format_version": "3", "run": {"id": "x"}}`), 0o600))

	odd := filepath.Join(dir, "odd.json")
	require.NoError(t, os.WriteFile(odd, []byte(`{"format_version": "1", "detail": []}`), 0o600))
	broken := filepath.Join(dir, "broken.json")
	require.NoError(t, os.WriteFile(broken, []byte("{"), 0o600))
	for says, args := range map[string][]string{
		"is in both sets":             {base, base},
		"no report of a run":          {base, odd},
		"broken.json":                 {base, broken},
		`it must be "1" or "2"`:       {base, later},
		"there is no file":            {base, filepath.Join(dir, "none.json")},
		"there is no file or dir":     {base, filepath.Join(dir, "none")},
		"holds no report":             {base, t.TempDir()},
		"a base and a new set":        {base},
		"a set of runs is empty":      {base, slow + ","},
		"--output takes text or json": {base, slow, "--output", "xml"},
	} {
		code, _, errs := call(t, append([]string{"compare"}, args...)...)
		require.Equal(t, exitUsage, code, says)
		require.Contains(t, errs, says)
	}
	code, _, errs = call(t, "compare", base, "kill:3", "--kubeconfig", filepath.Join(dir, "none"))
	require.Equal(t, exitError, code, "a name needs the cluster")
	require.Contains(t, errs, "none")
}

func TestCompareLocalHistory(t *testing.T) {
	state := t.TempDir()
	home := filepath.Join(state, "drill", "history")
	store(t, home, "run", 10, 11, 12, 13, 14, 20, 21, 22, 23, 24) // from the first to the tenth of November
	code, out, errs := callAt(t, state, "compare", "kill@/2026-11-06", "kill:5", "--local")
	require.Equal(t, exitFailed, code, errs)
	require.Contains(t, out, "BASE")
	require.Contains(t, out, "kill@/2026-11-06")
	code, _, errs = callAt(t, state, "compare", "kill@/2026-11-06", "kill:6", "--local")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "run run-4 is in both sets")
	code, _, errs = callAt(t, state, "compare", "other", "kill:6", "--local")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "no finished run")
}
