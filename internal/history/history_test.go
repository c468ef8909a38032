package history

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

func reported(id string, verdict drill.Verdict, minute int) drill.Report {
	return drill.Report{FormatVersion: "1",
		Run: drill.RunReport{ID: id, Drill: "kill", Verdict: verdict, Started: time.Date(2026, 11, 21, 12, minute, 0, 0, time.UTC),
			Reasons: []drill.Reason{{Code: "objective_missed", Text: "too slow"}}},
		Faults:   []drill.FaultReport{{Kind: "kill_primary", Residue: []string{"node n1 is cordoned"}}},
		Recovery: &drill.RecoveryReport{Estimate: drill.Estimate{Estimate: drill.Never(), Lower: 3, Upper: drill.Never()}, Redundancy: new(drill.Seconds(4))},
		Writes:   &drill.WritesReport{Lost: new(2)}}
}

func TestFind(t *testing.T) {
	ids := []string{"2026-11-21t12-kill-b", "2026-11-21t12-kill", "2026-11-20t10-kill-a"}
	for meant, want := range map[string]string{"last": ids[0], "2026-11-20": ids[2], "2026-11-21t12-kill": ids[1], "2026-11-21t12-kill-": ids[0]} {
		got, err := Find(ids, meant)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for meant, want := range map[string]string{"2026-11-21": "any of 2 runs", "kill": "no finished run", "": "no finished run"} {
		_, err := Find(ids, meant)
		require.ErrorContains(t, err, want, meant)
	}
	_, err := Find(nil, "last")
	require.ErrorContains(t, err, "no finished run yet")
}

// TestWhatCannotBeVouchedForIsAbsent: the numbers of an interrupted run look like numbers, and are none.
func TestWhatCannotBeVouchedForIsAbsent(t *testing.T) {
	e := Of(reported("r", drill.VerdictFailed, 0))
	require.Equal(t, drill.Never(), e.Recovery.Upper)
	require.Equal(t, 2, *e.Lost)
	require.Equal(t, "too slow", e.Reason)
	raw, err := json.Marshal(e)
	require.NoError(t, err)
	require.Contains(t, string(raw), `"upper_seconds":"+Inf"`)
	for _, v := range []drill.Verdict{drill.VerdictInterrupted, drill.VerdictInvalid, drill.VerdictRefused, drill.VerdictError} {
		e := Of(reported("r", v, 0))
		require.Nil(t, e.Recovery, v)
		require.Nil(t, e.Lost, v)
		require.Nil(t, e.Redundancy, v)
		require.Equal(t, []string{"node n1 is cordoned"}, e.Residue, v)
	}
}

func TestARecordWithoutAReportSaysWhatItKnows(t *testing.T) {
	run := &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "r1"}, Spec: kube.Spec{Drill: "kill", File: "a.hcl"}, Status: kube.Status{
		Phase: kube.PhaseFinished, Verdict: drill.VerdictError, Message: "The runner died.", Finished: new(metav1.Now()),
		Faults: []kube.FaultRecord{{Kind: "kill_primary", Name: "orders", Phase: kube.FaultResidue, Residue: []string{"cordoned"}}}}}
	rep, err := Report(run)
	require.NoError(t, err)
	require.Equal(t, drill.VerdictError, rep.Run.Verdict)
	require.Equal(t, "The runner died.", rep.Run.Reasons[0].Text)
	require.Equal(t, []string{"cordoned"}, rep.Faults[0].Residue)
	require.False(t, rep.Run.Finished.IsZero())
	require.Equal(t, []string{"cordoned"}, OfRecord(run).Residue)

	run.Status.Report = json.RawMessage(`{"format_version": 7}`)
	_, err = Report(run)
	require.Error(t, err)
	e := OfRecord(run)
	require.Contains(t, e.Reason, "cannot be read")
	require.Equal(t, drill.VerdictError, e.Verdict)

	run.Status = kube.Status{Phase: kube.PhaseRunning}
	require.Equal(t, kube.PhaseRunning, OfRecord(run).Phase)
	require.Empty(t, OfRecord(run).Verdict)
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	f, err := DefaultFolder(func(name string) string { return map[string]string{"XDG_STATE_HOME": dir}[name] })
	require.NoError(t, err)
	reports, problems, err := f.List()
	require.NoError(t, err, "none yet")
	require.Empty(t, reports)
	require.Empty(t, problems)
	require.NoError(t, f.Save(reported("a", drill.VerdictPassed, 1)))
	require.NoError(t, f.Save(reported("b", drill.VerdictFailed, 2)))
	require.NoError(t, f.Save(reported("b", drill.VerdictFailed, 2)), "again")
	require.NoError(t, os.WriteFile(filepath.Join(string(f), "c.json"), []byte("{"), 0o600))
	reports, problems, err = f.List()
	require.NoError(t, err)
	require.Len(t, reports, 2)
	require.Equal(t, "b", reports[0].Run.ID, "the newest first")
	require.Equal(t, drill.Never(), reports[0].Recovery.Upper)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0], "c.json")
	left, err := filepath.Glob(filepath.Join(string(f), ".*"))
	require.NoError(t, err)
	require.Empty(t, left)
	info, err := os.Stat(filepath.Join(string(f), "a.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	for _, id := range []string{"", "../a", "a/b", ".hidden"} {
		require.Error(t, f.Save(drill.Report{Run: drill.RunReport{ID: id}}), id)
	}
	f, err = DefaultFolder(func(name string) string {
		return map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "relative"}[name]
	})
	require.NoError(t, err)
	require.Equal(t, Folder("/home/u/.local/state/drill/history"), f)
	_, err = DefaultFolder(func(string) string { return "" })
	require.Error(t, err)
}

// TestNewConnectionsThatFaredWorse: one number in a list must not stand for both.
func TestNewConnectionsThatFaredWorse(t *testing.T) {
	rep := reported("a", drill.VerdictFailed, 0)
	rep.Recovery.HeadlineClass, rep.Recovery.Estimate = drill.ClassPooled, drill.Estimate{Estimate: 2.2, Lower: 2.19, Upper: 2.23}
	require.Equal(t, "2.20 s  [2.19, 2.23]", Of(rep).RecoveryText())
	for _, c := range []struct {
		fresh, worse drill.Estimate
		text         string
	}{
		{drill.Estimate{Estimate: 2.25, Lower: 2.2, Upper: 2.4}, rep.Recovery.Estimate, "2.20 s  [2.19, 2.23]"},
		{drill.Estimate{Estimate: 9, Lower: 8.9, Upper: 9.1}, drill.Estimate{Estimate: 9, Lower: 8.9, Upper: 9.1}, "2.20 s  [2.19, 2.23]; new connections 9.00 s  [8.90, 9.10]"},
		{drill.Estimate{Estimate: drill.Never(), Lower: 60, Upper: drill.Never()}, drill.Estimate{Estimate: drill.Never(), Lower: 60, Upper: drill.Never()},
			"2.20 s  [2.19, 2.23]; new connections never"},
	} {
		rep.Recovery.ByClass = map[drill.Class]drill.Estimate{drill.ClassFresh: c.fresh}
		require.Equal(t, c.text, Of(rep).RecoveryText())
		require.Equal(t, c.worse, Of(rep).Worse())
	}
	require.Equal(t, "–", Entry{}.RecoveryText())
}
