package server

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/metadata"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// slowly lists all records at once only after a while, and those that a selector picks at once.
type slowly struct {
	metadata.Interface
	after time.Duration
}

func (s slowly) Resource(r schema.GroupVersionResource) metadata.Getter {
	return slowGetter{s.Interface.Resource(r), s.after, r == kube.Resource}
}

func (slowly) IsWatchListSemanticsUnSupported() bool { return true }

type slowGetter struct {
	metadata.Getter
	after time.Duration
	slow  bool
}

func (g slowGetter) Namespace(ns string) metadata.ResourceInterface {
	return slowResource{g.Getter.Namespace(ns), g.after, g.slow}
}

type slowResource struct {
	metadata.ResourceInterface
	after time.Duration
	slow  bool
}

func (slowResource) IsWatchListSemanticsUnSupported() bool { return true }

func (r slowResource) List(ctx context.Context, o metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	if r.slow && o.LabelSelector == "" && !pause(ctx, r.after) {
		return nil, context.Cause(ctx)
	}
	return r.ResourceInterface.List(ctx, o)
}

// leading runs the reconciler as a leader does, beside an index that takes a while, until the function returns.
func (w *world) leading(after time.Duration, f func()) {
	w.Helper()
	w.o.Client.Metadata, w.o.Registry = slowly{w.o.Client.Metadata, after}, prometheus.NewRegistry()
	r := newReconciler(w.o, newIndex(w.o))
	w.reconciler = r
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	indexed := make(chan struct{})
	go func() { defer close(indexed); r.index.run(ctx) }()
	f()
	cancel()
	<-done
	<-indexed
}

// pastRuns makes records of settled runs, and their pods.
func (w *world) pastRuns(n int) {
	w.Helper()
	for i := range n {
		name := fmt.Sprint("old", i)
		w.record(name, kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictPassed}, func(run *kube.DrillRun) {
			m := past(name, "d", "schedule", i)
			run.Labels, run.Annotations = m.Labels, m.Annotations
		})
		pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{
			"name": kube.RunnerPod(name), "namespace": ns, "labels": map[string]any{kube.LabelManagedBy: kube.ManagedBy, kube.LabelComponent: componentRunner, kube.LabelRun: name}}}}
		_, err := w.o.Client.Dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(ns).Create(w.Context(), pod, metav1.CreateOptions{})
		require.NoError(w, err)
	}
}

// recordsRead are the names of the records that were read whole, one at a time.
func (w *world) recordsRead() (names []string) {
	fake, ok := w.o.Client.Dynamic.(*dynamicfake.FakeDynamicClient)
	require.True(w, ok)
	for _, a := range fake.Actions() {
		if get, ok := a.(clienttesting.GetAction); ok && a.GetResource() == kube.Resource && a.GetVerb() == "get" {
			names = append(names, get.GetName())
		}
	}
	return names
}

// TestT4PodsOfSettledRunsAreNoReasonToReadTheirRecords: with 5,000 of them each resync queued 5,000 reads, and no run was
// admitted within five minutes. The pods are there before the index is, and after.
func TestT4PodsOfSettledRunsAreNoReasonToReadTheirRecords(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pastRuns(50)
		w.leading(2*time.Minute, func() {
			time.Sleep(4*time.Minute + 4*resync)
			require.Empty(t, w.recordsRead())
		})
	})
}

// TestT4ANewRunDoesNotWaitForTheIndex: a leader that knows what is open admits, however long the past takes.
func TestT4ANewRunDoesNotWaitForTheIndex(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.pastRuns(3)
		w.create(kube.Status{})
		w.leading(time.Hour, func() {
			time.Sleep(time.Second)
			synctest.Wait()
			run, err := w.runs.Get(t.Context(), "r1")
			require.NoError(t, err)
			require.Equal(t, kube.PhaseAdmitted, run.Status.Phase, "that was there before this server")
			w.create(kube.Status{}, func(run *kube.DrillRun) { run.Name, run.UID = "r2", "another-uid" })
			time.Sleep(time.Second)
			synctest.Wait()
			run, err = w.runs.Get(t.Context(), "r2")
			require.NoError(t, err)
			require.Equal(t, kube.PhaseAdmitted, run.Status.Phase, "a new one")
		})
	})
}

// TestT3ALabelHidesNoRun: one that is labelled as settled and is not is looked at, once the index knows it.
func TestT3ALabelHidesNoRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(kube.Status{}, func(run *kube.DrillRun) {
			run.Labels = map[string]string{kube.LabelPhase: string(kube.PhaseFinished)}
			run.CreationTimestamp = metav1.Now()
		})
		w.leading(time.Minute, func() {
			time.Sleep(time.Minute + 10*time.Second)
			synctest.Wait()
			run, err := w.runs.Get(t.Context(), "r1")
			require.NoError(t, err)
			require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)
		})
	})
}
