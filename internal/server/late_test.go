package server

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
	"github.com/failoverdrill/drill/test/bubble"
)

// T6: a run that was asked for while both servers were down injected whenever they were back.
func TestT6AnOldRequestIsRefused(t *testing.T) {
	for age, want := range map[time.Duration]kube.Phase{4*time.Minute + 50*time.Second: kube.PhaseAdmitted, 5*time.Minute + 10*time.Second: kube.PhaseFinished} {
		bubble.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.o.StartDeadline = StartDeadline
			w.create(kube.Status{}, func(r *kube.DrillRun) { r.CreationTimestamp = metav1.NewTime(time.Now().Add(-age)) })
			run, _ := w.step(0)
			require.Equal(t, want, run.Status.Phase)
			if want == kube.PhaseFinished {
				require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
				require.Equal(t, "The run was asked for 5m10s ago, and a run begins within 5m0s of its request or not at all. Ask for a new one. Nothing was touched.", run.Status.Message)
			}
		})
	}
}

func scheduledRun(due time.Time) func(*kube.DrillRun) {
	return func(r *kube.DrillRun) {
		r.Labels = map[string]string{kube.LabelSchedule: "d"}
		r.Annotations = map[string]string{kube.AnnotationScheduledFor: due.UTC().Format(time.RFC3339)}
	}
}

// book writes a book with one schedule, and read reads how often that was missed.
func (w *world) book() (missed func() schedule.Entry) {
	w.Helper()
	schedules := kube.NewSchedules(w.o.Client, ns)
	raw, err := json.Marshal(schedule.Book{Entries: []schedule.Entry{{Drill: "d"}}})
	require.NoError(w, err)
	// The cluster in memory gives no versions.
	_, err = w.api.CoreV1().ConfigMaps(ns).Create(w.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "drill-schedule-state", Namespace: ns, ResourceVersion: "1"}, Data: map[string]string{"state.json": string(raw)}}, metav1.CreateOptions{})
	require.NoError(w, err)
	return func() schedule.Entry {
		raw, _, err := schedules.Book(w.Context())
		require.NoError(w, err)
		var book schedule.Book
		require.NoError(w, json.Unmarshal(raw, &book))
		return book.Entries[0]
	}
}

// T6: windows and blackouts were asked when a run was made, and never again.
func TestT6AScheduledRunOutsideItsWindowIsRefusedAndCounted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) { // it begins on Saturday 2000-01-01 00:00 UTC
		w := newWorld(t)
		missed := w.book()
		hours := drill.Schedule{Cron: "0 9 * * *", Timezone: "UTC", Missed: drill.MissedSkip, Window: []string{"Mon-Fri 09:00-16:00"}}
		request := Request{Namespaces: []string{"shop"}, FaultKinds: []string{"kill_primary"}, Timeout: time.Minute, Schedule: &hours}
		w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) { return request, nil }
		w.create(kube.Status{}, scheduledRun(time.Now().Add(-time.Minute)))
		run, _ := w.step(0)
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Equal(t, "It is Sat 2000-01-01 00:00 UTC, outside the windows of the drill's schedule, or in a blackout. Nothing was touched.", run.Status.Message)
		require.Equal(t, 1, missed().Missed)
		require.Contains(t, missed().Newest.Reason, "outside the windows")

		require.NoError(t, w.countMissed(t.Context(), run, "the next server does it again"))
		require.Equal(t, 1, missed().Missed, "counted once")
	})
}

// T6: a runner that found the window closed right before the injection is counted as well.
func TestT6WhatTheRunnerRefusedByTimeIsCounted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		missed := w.book()
		report, err := json.Marshal(drill.Report{Run: drill.RunReport{ID: "r1", Verdict: drill.VerdictRefused, Reasons: []drill.Reason{{Code: OutsideWindow, Text: "It is night."}}}})
		require.NoError(t, err)
		w.create(kube.Status{Phase: kube.PhaseFinished, Verdict: drill.VerdictRefused, Report: report}, held, scheduledRun(time.Now()))
		run, _ := w.letGo(time.Minute)
		require.Empty(t, run.Finalizers)
		require.Equal(t, 1, missed().Missed)
		require.Equal(t, "It is night.", missed().Newest.Reason)
	})
}

// T6: the window was asked for the first trial only, so a series went on for days.
func TestT6NoTrialBeginsOutsideTheWindow(t *testing.T) {
	w := newSeries(t, 3, drill.VerdictPassed, func(r *kube.DrillRun) { scheduledRun(time.Now())(r) })
	check := w.o.Check
	never := drill.Schedule{Cron: "0 9 * * *", Timezone: "UTC", Missed: drill.MissedSkip, Blackout: []string{"2000-01-01/2200-01-01"}}
	w.o.Check = func(s kube.Spec, in drill.Inputs) (Request, error) {
		request, err := check(s, in)
		request.Schedule = &never
		return request, err
	}
	run := w.settled("r1")
	require.Contains(t, run.Annotations[kube.AnnotationSeriesEnded], "outside the windows")
	w.none("r1-t2")
}

// T21: a local run's record could be deleted, and with it the only way back.
func TestT21ALocalRunsRecordIsHeldToo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(kube.Status{}, func(r *kube.DrillRun) { r.Spec.Local = true })
		run, _ := w.step(0)
		require.Contains(t, run.Finalizers, kube.Finalizer)
		run, _ = w.step(time.Hour)
		require.True(t, run.Finished())
		run, _ = w.letGo(time.Minute)
		require.Empty(t, run.Finalizers, "a dead one is let go")
	})
}
