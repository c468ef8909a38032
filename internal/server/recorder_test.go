package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// record makes a record; ended ones have a report.
func (w *world) record(name string, status kube.Status, edit ...func(*kube.DrillRun)) {
	w.Helper()
	w.create(status, append([]func(*kube.DrillRun){func(r *kube.DrillRun) {
		r.Name, r.UID, r.ResourceVersion = name, types.UID("uid-"+name), "1"
	}}, edit...)...)
}

func over(verdict drill.Verdict, minute int, edit ...func(*drill.Report)) kube.Status {
	at := time.Date(2026, 11, 21, 12, minute, 0, 0, time.UTC)
	rep := drill.Report{FormatVersion: "1", Run: drill.RunReport{Verdict: verdict, Drill: "d", Started: at.Add(-time.Minute), Finished: at},
		Faults:   []drill.FaultReport{{Kind: "kill_primary", Name: "orders"}},
		Recovery: &drill.RecoveryReport{Estimate: drill.Estimate{Estimate: 12.3, Lower: 12.2, Upper: 12.4}}}
	for _, e := range edit {
		e(&rep)
	}
	raw, _ := json.Marshal(rep)
	return kube.Status{Phase: kube.PhaseFinished, Verdict: verdict, Finished: new(metav1.NewTime(at)), Report: raw}
}

// versions gives ConfigMaps the version that an API server gives them; the fake has none.
func (w *world) versions() {
	n := 0
	for _, verb := range []string{"create", "update"} {
		w.api.PrependReactor(verb, "configmaps", func(a clienttesting.Action) (bool, runtime.Object, error) {
			n++
			a.(clienttesting.CreateAction).GetObject().(*corev1.ConfigMap).ResourceVersion = fmt.Sprint(n)
			return false, nil, nil
		})
	}
}

// lead runs a recorder until it is stopped.
func (w *world) lead() (registry *prometheus.Registry, stop func()) {
	w.Helper()
	registry = prometheus.NewPedanticRegistry()
	o := w.o
	o.Registry = registry
	ctx, cancel := context.WithCancel(w.Context())
	r := newRecorder(o, w.indexed())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	stop = func() { cancel(); <-done }
	w.Cleanup(stop)
	return registry, stop
}

// counts waits until as many runs are counted.
func (w *world) counts(registry *prometheus.Registry, want int) {
	w.Helper()
	got := -1
	require.Eventually(w, func() bool {
		families, err := registry.Gather()
		require.NoError(w, err)
		got = 0
		for _, f := range families {
			for _, m := range f.Metric {
				if f.GetName() == "drill_runs_total" {
					got += int(m.Counter.GetValue())
				}
			}
		}
		return got == want
	}, 5*time.Second, 5*time.Millisecond, "want %d, got %v", want, &got)
}

// exposition is what a scraper gets.
func exposition(registry *prometheus.Registry) string {
	recorded := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorded, httptest.NewRequest("GET", "/metrics", nil))
	return recorded.Body.String()
}

func (w *world) remove(name string) {
	w.Helper()
	require.NoError(w, w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Delete(w.Context(), name, metav1.DeleteOptions{}))
}

func TestTheMetricsAreRebuiltFromRecordsAndCountEachOnce(t *testing.T) {
	w := newWorld(t)
	w.versions()
	w.record("a", over(drill.VerdictPassed, 1))
	w.record("b", kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictRefused, Finished: new(metav1.Now())}, func(r *kube.DrillRun) { r.Annotations = map[string]string{kube.AnnotationFault: "pod_kill"} })
	w.record("c", kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictRefused, Finished: new(metav1.Now())})
	w.record("d", kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictError, Finished: new(metav1.Now()),
		Faults: []kube.FaultRecord{{Kind: "swept", Name: "x", State: json.RawMessage("{}"), Phase: kube.FaultResidue, Residue: []string{"a", "b"}}}})
	registry, stop := w.lead()
	w.counts(registry, 4)
	w.record("e", over(drill.VerdictFailed, 2))
	w.counts(registry, 5)
	time.Sleep(2100 * time.Millisecond) // resyncs of the informer
	w.counts(registry, 5)
	out := exposition(registry)
	for _, fault := range []string{"kill_primary", "pod_kill", "swept", "unknown"} {
		require.Contains(t, out, fmt.Sprintf("fault=%q", fault))
	}
	require.Contains(t, out, `drill_fault_residue{by="requester/alice",drill="d",targets=""} 2`)
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)

	w.remove("a")
	w.record("f", over(drill.VerdictPassed, 3))
	w.counts(registry, 6)
	stop()
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families, "who does not lead exports nothing")
	next, _ := w.lead()
	w.counts(next, 6)
}

// TestNothingIsShownThatIsNotStored: the next leader must never know less.
func TestNothingIsShownThatIsNotStored(t *testing.T) {
	w := newWorld(t)
	w.versions()
	failing := true
	w.api.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return failing, nil, errors.New("no space")
	})
	w.record("a", over(drill.VerdictPassed, 1))
	registry, stop := w.lead()
	time.Sleep(100 * time.Millisecond)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Empty(t, families)
	stop()
	failing = false
	registry, _ = w.lead()
	w.counts(registry, 1)
	m, err := w.api.CoreV1().ConfigMaps(ns).Get(t.Context(), kube.TotalsName, metav1.GetOptions{})
	require.NoError(t, err)
	require.Contains(t, m.Data["totals.json"], "uid-a")
}

func TestARunInProgressIsCountedWhileItLasts(t *testing.T) {
	w := newWorld(t)
	w.versions()
	w.record("a", running())
	registry, _ := w.lead()
	progress := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return strings.Contains(exposition(registry), want+"\n")
		}, 5*time.Second, 5*time.Millisecond, want)
	}
	progress(`drill_in_progress{by="requester/alice",drill="d",targets=""} 1`)
	u, err := w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Get(t.Context(), "a", metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, unstructured.SetNestedField(u.Object, "Finished", "status", "phase"))
	require.NoError(t, unstructured.SetNestedField(u.Object, "error", "status", "verdict"))
	u.SetResourceVersion("2")
	_, err = w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Update(t.Context(), u, metav1.UpdateOptions{})
	require.NoError(t, err)
	progress(`drill_in_progress{by="requester/alice",drill="d",targets=""} 0`)
	w.counts(registry, 1)
}
