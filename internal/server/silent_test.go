package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// locked gives the run a lock; renew renews it.
func (w *world) locked() (renew func()) {
	w.Helper()
	holder, seconds, version := "r1", int32(15), 1
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lock-x", Namespace: ns, UID: "l", ResourceVersion: "1",
		Labels: map[string]string{kube.LabelComponent: "lock", kube.LabelRun: "r1"}}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds}}
	_, err := w.api.CoordinationV1().Leases(ns).Create(w.Context(), lease, metav1.CreateOptions{})
	require.NoError(w, err)
	return func() {
		version++
		lease.ResourceVersion = fmt.Sprint(version)
		_, err := w.api.CoordinationV1().Leases(ns).Update(w.Context(), lease, metav1.UpdateOptions{})
		require.NoError(w, err)
	}
}

// T10: a runner that was stopped, or cut off from the API server, kept its cordon until its pod's deadline.
func TestT10ASilentRunnerIsTakenOverWhateverItsPodSays(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(running())
		w.setPod(func(*corev1.Pod) {})
		renew := w.locked()
		for range 30 {
			run, _ := w.step(0)
			require.Equal(t, kube.PhaseRunning, run.Status.Phase)
			time.Sleep(5 * time.Second)
			renew()
		}
		began := time.Now()
		var reverted time.Duration
		w.o.Revert = func(context.Context, kube.FaultRecord, string) error {
			if reverted == 0 {
				reverted = time.Since(began)
			}
			return nil
		}
		run, _ := w.step(time.Hour)
		require.Equal(t, drill.VerdictError, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "has not renewed its locks for 1m0s")
		require.InDelta(t, 65, reverted.Seconds(), 10)
		require.EqualValues(t, 4, run.Status.Generation, "it is fenced off")
		pods, err := w.api.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		require.Empty(t, pods.Items)
	})
}

// T10: an API server that was away for minutes says nothing about the runner's renewals of that time.
func TestT10AnAPIServerThatWasAwayMakesNoRunnerSilent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(running())
		w.setPod(func(*corev1.Pod) {})
		renew := w.locked()
		w.step(20 * time.Second)
		time.Sleep(10 * time.Minute)
		run, _ := w.step(0)
		require.Equal(t, kube.PhaseRunning, run.Status.Phase)
		time.Sleep(10 * time.Second)
		renew()
		for range 20 {
			run, _ = w.step(0)
			require.Equal(t, kube.PhaseRunning, run.Status.Phase)
			time.Sleep(5 * time.Second)
			renew()
		}
	})
}

// T10: an injected sidecar kept the pod of a dead runner running, and nobody swept it.
func TestT10ASidecarKeepsNoDeadRunnerAlive(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(running())
		w.locked()
		w.setPod(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{
				{Name: "proxy", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
				{Name: kube.RunnerContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}}
		})
		run, took := w.step(time.Hour)
		require.Equal(t, drill.VerdictError, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "exit code 137 (OOMKilled)")
		require.LessOrEqual(t, took, LateWithin+10*time.Second)
	})
}

// T10: a sidecar that died is not the runner.
func TestT10ADeadSidecarIsNotTheRunner(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "proxy", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}}},
		{Name: kube.RunnerContainer, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
	require.False(t, kubeTerminal(pod))
	require.Nil(t, kube.PodTrouble(pod))
}

// T11: a runner's pod was force-deleted while a slow webhook held its PATCH. The server found nothing to revert and let
// the record go; then the node was cordoned.
func TestT11WhatComesLateIsRevertedToo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(running(), held)
		w.setPod(func(*corev1.Pod) {})
		w.step(0) // the entry is seen now
		began := time.Now()
		var cordoned atomic.Bool
		time.AfterFunc(28*time.Second, func() { cordoned.Store(true) })
		w.o.Revert = func(context.Context, kube.FaultRecord, string) error { cordoned.Store(false); return nil }
		require.NoError(t, w.api.CoreV1().Pods(ns).Delete(t.Context(), "run-r1", metav1.DeleteOptions{}))
		for time.Since(began) < LateWithin-time.Second {
			_, err := w.reconcile(t.Context(), "r1")
			require.NoError(t, err)
			run, err := w.runs.Get(t.Context(), "r1")
			require.NoError(t, err)
			require.NotEmpty(t, run.Unreverted(), "a server that starts now must look again as well")
			time.Sleep(time.Second)
		}
		run, _ := w.letGo(time.Minute)
		require.True(t, run.Finished())
		require.Empty(t, run.Unreverted())
		require.False(t, cordoned.Load())
		require.Less(t, time.Since(began), LateWithin+20*time.Second)
	})
}

// T16: a runner that could not record its result for longer than it was patient lost it, although its log had it.
func TestT16TheReportOfADeadRunnerIsInItsLog(t *testing.T) {
	report := drill.Report{Run: drill.RunReport{ID: "r1", Verdict: drill.VerdictInterrupted, Reasons: []drill.Reason{{Code: "lock_lost", Text: "The lock could not be kept."}}}}
	other := report
	other.Run.ID, other.Run.Verdict = "r2", drill.VerdictPassed
	line := func(r drill.Report) string {
		raw, err := json.Marshal(drill.Event{Seq: 7, Type: drill.EventReport, Report: &r})
		require.NoError(t, err)
		return string(raw)
	}
	log := strings.Join([]string{`{"seq":1,"type":"step"}`, `{"level":"warn","msg":"\"type\":\"report\""}`, "panic: not JSON", line(other), line(report), `{"level":"warn","msg":"note the revert"}`}, "\n")
	found := reportIn(strings.NewReader(log), &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "r1"}})
	require.NotNil(t, found)
	end := outcomeOf(found, "its container ended with exit code 1", "It had put everything back before.")
	require.Equal(t, drill.VerdictInterrupted, end.Verdict)
	require.Equal(t, "The lock could not be kept. The runner could not record this result itself: its container ended with exit code 1. "+
		"The server took it from its log. It had put everything back before.", end.Message)
	require.Equal(t, "report_from_log", end.Report.Findings[0].Code)

	require.Nil(t, reportIn(strings.NewReader(line(other)), &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "r1"}}))
	require.Equal(t, drill.VerdictError, outcomeOf(nil, "it hung", "").Verdict)
}
