package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// T6: the record of a finished run, restored by a backup tool without its status and with a new UID, ran again in 16 s.
func TestT6ARestoredRecordNeverRunsAgain(t *testing.T) {
	for name, restored := range map[string]func(*kube.DrillRun){
		"seen under another UID": func(r *kube.DrillRun) { r.Annotations = map[string]string{kube.AnnotationSeen: "uid-before"} },
		"local": func(r *kube.DrillRun) {
			r.Annotations, r.Spec.Local = map[string]string{kube.AnnotationSeen: "uid-before"}, true
		},
		"scheduled": func(r *kube.DrillRun) {
			r.Annotations = map[string]string{kube.AnnotationSeen: "uid-before", kube.AnnotationScheduledFor: "2026-01-01T00:00:00Z"}
			r.Labels = map[string]string{kube.LabelSchedule: "d"}
		},
		"with drill's finalizer": func(r *kube.DrillRun) { r.Finalizers = []string{kube.Finalizer} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) {
				t.Error("it was read")
				return Request{}, nil
			}
			w.create(kube.Status{}, restored)
			_, err := w.reconcile(t.Context(), "r1")
			require.NoError(t, err)
			run, err := w.runs.Get(t.Context(), "r1")
			require.NoError(t, err)
			require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
			require.Contains(t, run.Status.Message, "restored from a backup; it never runs again")
			require.Empty(t, run.Status.Runner.Pod)
		})
	}
}

func TestT6ANewRecordIsMarkedBeforeItIsRead(t *testing.T) {
	w := newWorld(t)
	w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) {
		run, err := w.runs.Get(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, "run-uid", run.Annotations[kube.AnnotationSeen])
		return Request{}, nil
	}
	w.create(kube.Status{})
	_, err := w.reconcile(t.Context(), "r1")
	require.NoError(t, err)
	_, err = w.reconcile(t.Context(), "r1") // its own mark does not make it a stranger
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)
}
