package history

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestEarlier: what the statistics of trial 6 know of the five before it.
func TestEarlier(t *testing.T) {
	dyn := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	runs := kube.NewRuns(dyn, "")
	var last *kube.DrillRun
	create := func(name, number string, edit func(*kube.DrillRun)) {
		run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: kube.Namespace}, Spec: kube.Spec{Drill: "kill", Source: "text", Requester: kube.Requester{User: "alice"}},
			Status: kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictPassed}}
		if number != "" {
			run.Labels = map[string]string{kube.LabelSeries: "s", kube.LabelTrial: number}
		}
		rep := reported(name, drill.VerdictPassed, 0)
		run.Status.Report, _ = json.Marshal(rep)
		edit(run)
		raw, err := json.Marshal(run)
		require.NoError(t, err)
		u := new(unstructured.Unstructured)
		require.NoError(t, u.UnmarshalJSON(raw))
		_, err = dyn.Resource(kube.Resource).Namespace(kube.Namespace).Create(t.Context(), u, metav1.CreateOptions{})
		require.NoError(t, err)
		last = run
	}
	same := func(*kube.DrillRun) {}
	create("s", "", same)
	create("s-t2", "2", func(r *kube.DrillRun) { r.Status.Verdict, r.Status.Report = drill.VerdictError, nil })
	// The record of the third is gone.
	create("s-t4", "4", func(r *kube.DrillRun) { r.Spec.Requester.User = "bob" })
	create("s-t5", "5", func(r *kube.DrillRun) { r.Status.Phase = kube.PhaseRunning })
	create("other-t3", "3", same)
	create("s-t7", "7", same)
	create("s-t6", "6", same)

	trials, err := Earlier(t.Context(), runs, last)
	require.NoError(t, err)
	require.Len(t, trials, 5)
	require.Equal(t, "s", trials[0].Run)
	require.True(t, trials[0].Counts())
	require.Equal(t, drill.Never(), trials[0].Recovery.Estimate)
	require.Equal(t, 2, *trials[0].Lost)
	require.Equal(t, drill.Trial{Run: "s-t2", Format: drill.FormatVersion, Verdict: drill.VerdictError}, trials[1])
	for i, name := range []string{"s-t3", "s-t4", "s-t5"} {
		require.Equal(t, drill.Trial{Run: name}, trials[2+i], "it has a name and nothing that counts")
	}

	first, err := runs.Get(t.Context(), "s")
	require.NoError(t, err)
	trials, err = Earlier(t.Context(), runs, first)
	require.NoError(t, err)
	require.Empty(t, trials)

	dyn.PrependReactor("list", "drillruns", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("away") })
	trials, err = Earlier(t.Context(), runs, last)
	require.ErrorContains(t, err, "earlier trials of run s-t6")
	require.Len(t, trials, 5, "the run goes on, and says how many it leaves out")
}
