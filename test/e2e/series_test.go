//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// twice is the quick drill as a series of two, each after a random delay.
func twice(t *testing.T) string {
	return patched(t, "drills/pod-kill-one.hcl", `timeout = "10m"`, "timeout = \"10m\"\n  repeat  = 2\n  stagger = \"8s\"")
}

// begun waits until a runner has claimed the run.
func begun(t *testing.T, c *kube.Client, name string) {
	t.Helper()
	eventually(t, time.Minute, "the trial begins", func() (bool, string) {
		r := record(t, c, name)
		return r.Status.Phase == kube.PhaseRunning, string(r.Status.Phase)
	})
}

// TestSeries runs a series through a restart of the server in its middle. It goes red when the server's proceed is
// emptied (the second trial never comes).
func TestSeries(t *testing.T) {
	c := cluster(t)
	checkoutWhole(t, c)
	dir := outDir(t)
	since := time.Now()
	cmd := start(t, "run", twice(t), "--report", "json="+filepath.Join(dir, "TestSeries-{trial}.json"),
		"--report", "json="+filepath.Join(dir, "TestSeries.json"), "--report", "junit="+filepath.Join(dir, "TestSeries.xml"))
	first := newest(t, c, since)
	begun(t, c, first.Name)
	require.NoError(t, c.CoreV1().Pods(kube.Namespace).DeleteCollection(context.Background(), metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=server"}))
	require.Zero(t, cmd.wait(t, 2*runLimit))

	read := func(name string) (rep drill.Report) {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &rep))
		return rep
	}
	one, two := read("TestSeries-1.json"), read("TestSeries-2.json")
	require.Equal(t, two, read("TestSeries.json"))
	require.Equal(t, first.Name, one.Run.ID)
	require.Equal(t, kube.TrialID(first.Name, 2), two.Run.ID)
	for i, rep := range []drill.Report{one, two} {
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, i+1, rep.Run.Trial)
		require.Equal(t, 2, rep.Run.Trials)
		require.Equal(t, i+1, rep.Statistics.N, "of all trials so far")
		require.Zero(t, rep.Statistics.LeftOut)
		require.NotNil(t, rep.Run.Stagger)
		require.Less(t, float64(*rep.Run.Stagger), 8.0)
		require.GreaterOrEqual(t, float64(*rep.Faults[0].InjectedOffset), 10+float64(*rep.Run.Stagger), "after the steady state and the delay")
	}
	require.NotEqual(t, one.Run.Stagger, two.Run.Stagger)
	require.NotEqual(t, one.Faults[0].Victims[0].UID, two.Faults[0].Victims[0].UID)
	require.False(t, two.Run.Started.Before(one.Run.Finished), "one after the other")
	slower := max(one.Recovery.Estimate.Estimate, two.Recovery.Estimate.Estimate)
	require.InDelta(t, float64(slower), float64(*two.Statistics.Max), 1e-5)
	require.InDelta(t, 0.776, two.Statistics.FailureProbabilityUpper, 0.001)

	second := record(t, c, two.Run.ID)
	require.Equal(t, first.Spec.Requester, second.Spec.Requester)
	require.Equal(t, first.Spec.Source, second.Spec.Source)
	_, said := run(t, "history", "--limit", "2")
	require.Contains(t, said, "2 of 2")
	nothingLeft(t, c)
}

// TestSeriesInterrupted: Ctrl-C ends the trial that goes on, and no other follows.
func TestSeriesInterrupted(t *testing.T) {
	c := cluster(t)
	before := checkoutWhole(t, c)
	since := time.Now()
	cmd := start(t, "run", twice(t))
	first := newest(t, c, since)
	begun(t, c, first.Name)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 13, cmd.wait(t, time.Minute))
	require.Contains(t, cmd.stderr.String(), "The series ended after trial 1 of 2")
	require.Equal(t, drill.VerdictInterrupted, finished(t, c, first.Name, time.Minute).Status.Verdict)
	time.Sleep(5 * time.Second) // in which a server that did not care would have made it
	runs, err := kube.NewRuns(c.Dynamic, "").List(context.Background())
	require.NoError(t, err)
	for _, r := range runs {
		require.NotEqual(t, kube.TrialID(first.Name, 2), r.Name)
	}
	require.Equal(t, before, sameUIDs(before, checkoutPods(t, c)), "nothing was touched")
	nothingLeft(t, c)
}
