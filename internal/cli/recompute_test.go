package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/measure"
)

// recordedRun is a small run: its detail, and the report that was computed from it.
func recordedRun(t *testing.T, id string) (drill.Report, []byte) {
	t.Helper()
	w := detail.NewWriter(drill.Recording{})
	primary := drill.Member{Namespace: "shop", Name: "orders-0", Role: drill.RolePrimary}
	w.Append(drill.Event{Type: drill.EventPlan, Members: []drill.Member{primary},
		Plans: []drill.FaultPlan{{Kind: "kill_primary", Name: "orders", Victims: []drill.Member{primary}}}})
	w.Append(drill.Event{Type: drill.EventProbe, Probe: &drill.ProbeInfo{Name: "orders", Target: "orders", Class: drill.ClassPooled,
		Interval: 20 * time.Millisecond, Deadline: time.Second, Sessions: 50}})
	ms := func(n int64) drill.Offset { return drill.Offset(time.Duration(n) * time.Millisecond) }
	w.Append(drill.Event{At: ms(10_000), Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill_primary", Name: "orders", State: drill.FaultInjected, From: ms(9_990)}})
	var batch []drill.Sample
	for k := range int64(2000) {
		s := drill.Sample{Probe: "orders", Class: drill.ClassPooled, Slot: k, Scheduled: ms(20 * k), Sent: ms(20 * k), Done: ms(20*k + 1),
			Outcome: drill.OutcomeOK, Write: true, By: "orders-0", Role: drill.RolePrimary, Epoch: 1}
		if k >= 500 && k < 600 {
			s.Outcome, s.Signal, s.By = drill.OutcomeFail, drill.SignalRefused, ""
		}
		batch = append(batch, s)
	}
	w.Append(drill.Event{At: ms(40_000), Type: drill.EventSamples, Samples: batch})
	w.Append(drill.Event{At: ms(40_000), Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished, Code: "finished"}})
	rec, err := w.Recording(drill.Recording{Run: drill.RunReport{ID: id, Drill: "kill", DrillVersion: "v9", Started: time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC)},
		Settings: drill.Settings{Window: 10 * time.Second}})
	require.NoError(t, err)
	return measure.Report(rec), w.Bytes()
}

func TestRecompute(t *testing.T) {
	state := t.TempDir()
	rep, recorded := recordedRun(t, "r-1")
	require.InDelta(t, 2, float64(rep.Recovery.Estimate.Estimate), 0.1, "there is something to compare")
	env := &Env{Stderr: &bytes.Buffer{}, Getenv: func(string) string { return state }}
	remember(env, rep, recorded)
	folder, err := history.DefaultFolder(env.Getenv)
	require.NoError(t, err)
	file := filepath.Join(string(folder), "r-1.detail")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	for name, args := range map[string][]string{"by its id": {"report", "last", "--local", "--recompute"}, "by its file": {"report", file, "--recompute"}} {
		code, out, errs := callAt(t, state, append(args, "--format", "json")...)
		require.Zero(t, code, errs)
		require.Contains(t, errs, "the same as recorded", name)
		_, plain, _ := callAt(t, state, "report", "last", "--local", "--format", "json")
		require.Equal(t, plain, out, name)
	}

	// Somebody changed the record.
	raw, err := os.ReadFile(filepath.Join(string(folder), "r-1.json"))
	require.NoError(t, err)
	var report map[string]any
	require.NoError(t, json.Unmarshal(raw, &report))
	recovery := report["recovery"].(map[string]any)
	was := recovery["estimate_seconds"].(float64)
	recovery["estimate_seconds"] = 0.5
	delete(recovery, "flaps")
	raw, err = json.Marshal(report)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(string(folder), "r-1.json"), raw, 0o600))
	code, out, errs := callAt(t, state, "report", file, "--recompute")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "DIFFERS")
	computed, err := json.Marshal(was)
	require.NoError(t, err)
	require.Contains(t, errs, "recovery.estimate_seconds: recorded 0.5, computed again "+string(computed))
	require.Contains(t, errs, "recovery.flaps: recorded absent, computed again 0")
	require.Equal(t, 2, strings.Count(errs, "recorded "+"0.5")+strings.Count(errs, "recorded absent"), errs)
	require.Contains(t, errs, "recorded by drill v9")
	require.Contains(t, out, "2.0", "the computed one is printed")
	code, _, errs = callAt(t, state, "report", "r-1", "--local", "--recompute")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "recovery.estimate_seconds")

	alone := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(alone, recorded, 0o600))
	code, _, errs = callAt(t, state, "report", alone, "--recompute")
	require.Zero(t, code)
	require.Contains(t, errs, "no recorded report")
	require.NoError(t, os.WriteFile(alone, recorded[:len(recorded)-9], 0o600))
	code, out, errs = callAt(t, state, "report", alone, "--recompute")
	require.Equal(t, exitError, code)
	require.Empty(t, out)
	require.Contains(t, errs, "cut off")
	require.NoError(t, os.Remove(file))
	code, _, errs = callAt(t, state, "report", "last", "--local", "--recompute")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "no detail of run r-1 on this machine")
	code, _, errs = callAt(t, state, "report", "no/such.detail", "--recompute")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errs, "no such file")
}

// TestARecordThatWasShortenedIsTheSame: what the record in the cluster had no room for is no difference.
func TestARecordThatWasShortenedIsTheSame(t *testing.T) {
	rep, _ := recordedRun(t, "r")
	for range 500 {
		rep.Findings = append(rep.Findings, drill.Finding{Code: "c", Text: strings.Repeat("long ", 20)})
	}
	whole, err := json.Marshal(rep)
	require.NoError(t, err)
	shortened, err := kube.Fit(&rep)
	require.NoError(t, err)
	require.Less(t, len(shortened), len(whole))
	for _, recorded := range [][]byte{whole, shortened} {
		c, err := computed{report: rep}.compare(recorded)
		require.NoError(t, err)
		require.Empty(t, c.differences)
	}
	rep.Findings[0].Text = "another"
	c, err := computed{report: rep}.compare(shortened)
	require.NoError(t, err)
	require.NotEmpty(t, c.differences)
}
