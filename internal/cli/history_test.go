package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
)

// callAt is call with a home of its own.
func callAt(t *testing.T, state string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Notify: func(chan<- os.Signal) {},
		Getenv: func(name string) string { return map[string]string{"XDG_STATE_HOME": state}[name] }, Exit: func(int) { t.Fatal("exit") }}
	code = Main(env)
	return code, out.String(), errs.String()
}

func TestLocalHistory(t *testing.T) {
	state := t.TempDir()
	code, out, errs := callAt(t, state, "history", "--local")
	require.Zero(t, code, errs)
	require.Empty(t, out)
	require.Contains(t, errs, "no run yet")

	env := &Env{Stderr: &bytes.Buffer{}, Getenv: func(string) string { return state }}
	rep := func(id string, verdict drill.Verdict, minute int) drill.Report {
		return drill.Report{FormatVersion: "1", Run: drill.RunReport{ID: id, Drill: "kill\x1b[31m", Verdict: verdict, Started: time.Date(2026, 11, 21, 12, minute, 0, 0, time.UTC)},
			Recovery: &drill.RecoveryReport{Estimate: drill.Estimate{Estimate: 12.34, Lower: 12.3, Upper: 12.4}, Redundancy: new(drill.Never())},
			Writes:   &drill.WritesReport{Lost: new(0)}}
	}
	remember(env, rep("r-1", drill.VerdictPassed, 1), nil)
	remember(env, rep("r-2", drill.VerdictInvalid, 2), nil)
	code, out, errs = callAt(t, state, "history", "--local")
	require.Zero(t, code, errs)
	require.Equal(t, `RUN  DRILL      STARTED               VERDICT  RECOVERY                LOST  REDUNDANCY
r-2  kill [31m  2026-11-21 12:02:00Z  invalid  –                       –     –
r-1  kill [31m  2026-11-21 12:01:00Z  passed   12.34 s [12.30, 12.40]  0     never
`, out)

	// A column tells the trials of a series, when there is one.
	series := t.TempDir()
	env.Getenv = func(string) string { return series }
	for i, id := range []string{"s", "s-t2", "s-t10", "alone"} {
		one := rep(id, drill.VerdictPassed, i)
		one.Run.Trial, one.Run.Trials = []int{1, 2, 10, 1}[i], []int{10, 10, 10, 1}[i]
		remember(env, one, nil)
		require.Equal(t, []string{"s", "s", "s", "alone"}[i], history.SeriesOf(one.Run))
	}
	_, out, _ = callAt(t, series, "history", "--local")
	require.Regexp(t, `(?m)^RUN +DRILL +TRIAL +STARTED`, out)
	require.Regexp(t, `(?m)^s-t10 +kill \[31m +10 of 10 +2026`, out)
	require.Regexp(t, `(?m)^alone +kill \[31m +– +2026`, out)

	code, out, _ = callAt(t, state, "history", "--local", "--output", "json", "--limit", "1")
	require.Zero(t, code)
	var entries []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &entries))
	require.Len(t, entries, 1)
	require.NotContains(t, entries[0], "recovery")
	code, out, _ = callAt(t, state, "history", "--local", "--drill", "other", "--output", "json")
	require.Zero(t, code)
	require.Equal(t, "[]\n", out)

	for format, want := range map[string]string{"text": "INVALID", "json": `"id": "r-2"`, "junit": "<testsuites"} {
		code, out, errs = callAt(t, state, "report", "last", "--local", "--format", format)
		require.Zero(t, code, errs)
		require.Contains(t, out, want)
	}
	for text, args := range map[string][]string{
		"any of 2 runs":       {"report", "r-", "--local"},
		"no finished run \"x": {"report", "x", "--local"},
		"text, json or junit": {"report", "last", "--local", "--format", "pdf"},
		"one run":             {"report"},
		"0 or more":           {"history", "--limit", "-1"},
	} {
		code, _, errs = callAt(t, state, args...)
		require.Equal(t, exitUsage, code, text)
		require.Contains(t, errs, text)
	}
}

// TestT9HistorySaysWhoseRunsAre: of a scheduled drill the schedule's are listed, and what was left out is said.
func TestT9HistorySaysWhoseRunsAre(t *testing.T) {
	entries := []history.Entry{{Run: "m", Drill: "kill", By: "requester/mallory", Targets: "mallory"}, {Run: "s", Drill: "kill", By: "schedule", Targets: "shop"}}
	list := func(o historyOptions) (names []string, said string) {
		var errs bytes.Buffer
		for _, e := range ofChoice(&Env{Stderr: &errs}, entries, o) {
			names = append(names, e.Run)
		}
		return names, errs.String()
	}
	names, said := list(historyOptions{drill: "kill"})
	require.Equal(t, []string{"s"}, names)
	require.Contains(t, said, "--by all shows 1 more")
	names, said = list(historyOptions{})
	require.Equal(t, []string{"m", "s"}, names, "of all drills, everybody's, with their names")
	require.Empty(t, said)
	for by, want := range map[string][]string{"all": {"m", "s"}, "mallory": {"m"}, "schedule": {"s"}, "nobody": nil} {
		names, said = list(historyOptions{drill: "kill", choice: history.Choice{By: by}})
		require.Equal(t, want, names, by)
		require.Empty(t, said)
	}
	names, _ = list(historyOptions{choice: history.Choice{Targets: "shop"}})
	require.Equal(t, []string{"s"}, names)
}
