package server

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/metrics"
	"github.com/failoverdrill/drill/test/bubble"
)

// guarded is a world whose policies are in force, or not.
func guarded(t *testing.T) (w *world, holes *[]kube.Hole, broken *error) {
	holes, broken = new([]kube.Hole), new(error)
	w = newWorld(t)
	w.o.policies = &policies{log: zap.NewNop(), prove: func(context.Context) ([]kube.Hole, error) { return *holes, *broken }}
	return w, holes, broken
}

func madeNow(run *kube.DrillRun) { run.CreationTimestamp = metav1.Now() }

// TestT13NothingIsAdmittedWithoutThePolicies: the loop notices within a minute, and admission before each run.
func TestT13NothingIsAdmittedWithoutThePolicies(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w, holes, _ := guarded(t)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go w.o.policies.run(ctx)
		time.Sleep(10 * time.Second)
		require.Empty(t, w.o.policies.state())

		*holes = []kube.Hole{{Policy: "drillruns.failoverdrill.io", What: "a run in another's name"}}
		forged := w.create(kube.Status{}, madeNow)
		run, _ := w.step(time.Minute)
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict, "although no minute has passed since they were proved")
		require.Contains(t, run.Status.Message, "drillruns.failoverdrill.io")
		require.Equal(t, "r1", forged)
		require.Contains(t, w.o.policies.state(), "drill install")
		passed, again, err := w.policed(t.Context(), &admission{run: run})
		require.False(t, passed)
		require.Zero(t, again)
		require.Error(t, err, "it is finished already, and still not admitted")
	})
}

// TestT13WhatWasAskedForMeanwhileIsRefused: such a record may say what its author may not say, for ever.
func TestT13WhatWasAskedForMeanwhileIsRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w, holes, _ := guarded(t)
		p := w.o.policies
		before := time.Now()
		require.NoError(t, p.check(t.Context(), time.Time{}))
		require.False(t, p.doubtful(before))
		time.Sleep(time.Minute)
		*holes = []kube.Hole{{Policy: "schedules.failoverdrill.io"}}
		require.NoError(t, p.check(t.Context(), time.Time{}))
		time.Sleep(time.Minute)
		meanwhile := time.Now()
		time.Sleep(time.Minute)
		*holes = nil
		require.NoError(t, p.check(t.Context(), time.Time{}))
		require.Empty(t, p.state())
		require.True(t, p.doubtful(meanwhile))
		require.True(t, p.doubtful(before.Add(time.Second)), "the hole may be as old as the last proof")
		require.False(t, p.doubtful(before.Add(-time.Minute)))
		w.create(kube.Status{}, func(run *kube.DrillRun) { run.CreationTimestamp = metav1.NewTime(meanwhile) })
		run, _ := w.step(time.Minute)
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "while an admission policy was not in force")
		time.Sleep(3 * time.Second)
		require.False(t, p.doubtful(time.Now()))
	})
}

// TestT13WhatIsNotKnownIsNotRefused: an API server that does not answer proves nothing, and the run waits.
func TestT13WhatIsNotKnownIsNotRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w, _, broken := guarded(t)
		*broken = errors.New("no answer")
		w.create(kube.Status{}, madeNow)
		run, _ := w.step(time.Second)
		require.False(t, run.Finished())
		require.Empty(t, run.Status.Phase)
		require.Contains(t, w.o.policies.state(), "no answer")
		*broken = nil
		run, _ = w.step(time.Minute)
		require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)
		require.Empty(t, w.o.policies.state())
	})
}

// TestT13ItIsSaid on /readyz, on the page and in the metrics.
func TestT13ItIsSaid(t *testing.T) {
	w, holes, _ := guarded(t)
	gauge := metrics.NewPolicies(w.o.policies.measured)
	require.Zero(t, testutil.CollectAndCount(gauge), "nothing is known yet")
	require.Contains(t, w.o.policies.state(), "being proved")
	*holes = []kube.Hole{{Policy: "pods.failoverdrill.io", What: "a pod that is no runner"}}
	require.NoError(t, w.o.policies.check(t.Context(), time.Time{}))
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(gauge)
	families, err := registry.Gather()
	require.NoError(t, err)
	var open []string
	for _, m := range families[0].Metric {
		if m.GetGauge().GetValue() == 0 {
			open = append(open, m.Label[0].GetValue())
		}
	}
	require.Equal(t, []string{"pods.failoverdrill.io"}, open)
	require.Len(t, families[0].Metric, len(kube.Policies()))

	e := &elector{options: w.o, index: w.indexed()}
	e.leading.Store(true)
	w.o.Registry, w.o.PageAuth = registry, AuthAnonymous
	ready := newReadiness(w.o.Client, w.o.Log)
	ready.ask(t.Context())
	answer := httptest.NewRecorder()
	handler(w.o, e, ready).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
	require.Equal(t, 200, answer.Code, "the page must be reachable")
	require.Contains(t, answer.Body.String(), "nothing is admitted: an admission policy is not in force (pods.failoverdrill.io")
	answer = httptest.NewRecorder()
	handler(w.o, e, ready).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	require.Equal(t, 200, answer.Code, answer.Body)
	require.Equal(t, 1, strings.Count(answer.Body.String(), "pods.failoverdrill.io"))
}

// TestT13AProofFromBeforeTheRunSaysNothing: the policy may have gone between that proof and the run.
func TestT13AProofFromBeforeTheRunSaysNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w, holes, _ := guarded(t)
		require.NoError(t, w.o.policies.check(t.Context(), time.Time{}))
		time.Sleep(time.Second)
		*holes = []kube.Hole{{Policy: "drillruns.failoverdrill.io", What: "a run in another's name"}}
		w.another("forged", "mallory")
		_, err := w.reconcile(t.Context(), "forged")
		require.NoError(t, err)
		run, err := w.runs.Get(t.Context(), "forged")
		require.NoError(t, err)
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "An admission policy is not in force")
	})
}
