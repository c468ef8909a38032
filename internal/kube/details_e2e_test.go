//go:build e2e

package kube_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestADetailGoesWithItsRecord: against a real API server, with its limits on the size of an object, the schema of the
// record, the list without contents, and the collector of what has lost its owner.
func TestADetailGoesWithItsRecord(t *testing.T) {
	c, runs, create := store(t)
	d := kube.NewDetails(c, runs.Namespace())
	finish := func(raw []byte) *kube.DrillRun {
		run := claimed(t, runs, create())
		record, err := d.Save(t.Context(), run, raw)
		require.NoError(t, err)
		require.NoError(t, runs.Journal(run.Name, run.Status.Generation).Finish(t.Context(), kube.Outcome{Verdict: drill.VerdictPassed, Detail: &record}))
		run, err = runs.Get(t.Context(), run.Name)
		require.NoError(t, err)
		return run
	}
	raw := noise(2<<20 + 5)
	older := finish(raw)
	require.NotNil(t, older.Status.Detail, "the schema knows it")
	got, err := d.Load(t.Context(), older)
	require.NoError(t, err)
	require.Equal(t, raw, got)

	time.Sleep(1100 * time.Millisecond) // the API server's times have the grain of a second
	newer := finish(raw[:1<<20])
	removed, err := d.Prune(t.Context(), 2<<20)
	require.NoError(t, err)
	require.Equal(t, []string{older.Name}, removed)
	_, err = d.Load(t.Context(), older)
	require.ErrorContains(t, err, "not in the cluster any more")
	_, err = d.Load(t.Context(), newer)
	require.NoError(t, err)

	require.NoError(t, c.Dynamic.Resource(kube.Resource).Namespace(runs.Namespace()).Delete(t.Context(), newer.Name, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		left, err := c.CoreV1().ConfigMaps(runs.Namespace()).List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelRun})
		return err == nil && len(left.Items) == 0
	}, time.Minute, 500*time.Millisecond, "they go with the record")
}

// TestTheRunnerCanOnlyMakeDetails: by the roles that drill install makes, and those of its own run alone.
func TestTheRunnerCanOnlyMakeDetails(t *testing.T) {
	c := connect(t)
	runner := runnerOf(t, c, "a-run", "uid-1")
	maps := runner.CoreV1().ConfigMaps(kube.Namespace)
	create := func(name string) error {
		_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	require.NoError(t, create("detail-a-run-0"))
	require.NoError(t, create("detail-a-run-17"))
	for _, name := range []string{"detail-another-run-0", "detail-a-run-t2-0", "detail-a-run", "detail-x-l0000-0", "drill-totals", "drill-schedule-state", "drill-hold"} {
		require.ErrorContains(t, create(name), "books.failoverdrill.io", name)
	}
	_, err := maps.Get(t.Context(), kube.TotalsName, metav1.GetOptions{})
	require.ErrorContains(t, err, "forbidden")
	require.ErrorContains(t, maps.Delete(t.Context(), kube.TotalsName, metav1.DeleteOptions{}), "forbidden")
}
