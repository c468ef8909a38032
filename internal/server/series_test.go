package server

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

// newSeries is a world whose drill has so many trials, and whose first trial has ended so.
func newSeries(t *testing.T, trials int, verdict drill.Verdict, edit ...func(*kube.DrillRun)) *world {
	w := newWorld(t)
	w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) {
		return Request{Namespaces: []string{"shop"}, FaultKinds: []string{"kill_primary"}, Trials: trials}, nil
	}
	w.create(ended(verdict), append([]func(*kube.DrillRun){func(r *kube.DrillRun) {
		r.Spec.File, r.Spec.Source, r.Spec.Requester.Groups = "d.hcl", "drill text", []string{"dba"}
		r.Finalizers = []string{kube.Finalizer}
	}}, edit...)...)
	return w
}

func ended(verdict drill.Verdict) kube.Status {
	return kube.Status{Phase: kube.PhaseFinished, Verdict: verdict, Runner: kube.Runner{Pod: "run-r1", UID: "pod-uid"}, Faults: []kube.FaultRecord{
		{Kind: "kill_primary", Name: "a", State: json.RawMessage(`{}`), Phase: kube.FaultReverted}}}
}

// settled reconciles a run and returns it.
func (w *world) settled(name string) *kube.DrillRun {
	w.Helper()
	_, err := w.reconcile(w.Context(), name)
	require.NoError(w, err)
	return w.read(name)
}

func (w *world) read(name string) *kube.DrillRun {
	w.Helper()
	run, err := w.runs.Get(w.Context(), name)
	require.NoError(w, err)
	return run
}

func (w *world) none(name string) {
	w.Helper()
	_, err := w.runs.Get(w.Context(), name)
	require.True(w, apierrors.IsNotFound(err), "there is a run %s", name)
}

// finish ends a trial that the server made, as its runner would.
func (w *world) finish(name string, verdict drill.Verdict) {
	w.Helper()
	run := w.read(name)
	run.Finalizers, run.Status = []string{kube.Finalizer}, ended(verdict)
	raw, err := json.Marshal(run)
	require.NoError(w, err)
	var object map[string]any
	require.NoError(w, json.Unmarshal(raw, &object))
	u, err := w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Get(w.Context(), name, metav1.GetOptions{})
	require.NoError(w, err)
	u.Object = object
	_, err = w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Update(w.Context(), u, metav1.UpdateOptions{})
	require.NoError(w, err)
}

func TestOneTrialFollowsTheOther(t *testing.T) {
	w := newSeries(t, 3, drill.VerdictPassed)
	first := w.settled("r1")
	require.NotContains(t, first.Finalizers, kube.Finalizer)
	second := w.read("r1-t2")
	require.Equal(t, first.Spec, second.Spec, "the same text, in the same name")
	series, trial := second.Trial()
	require.Equal(t, "r1", series)
	require.Equal(t, 2, trial)
	require.Empty(t, second.Status.Phase)
	w.none("r1-t3")

	w.finish("r1-t2", drill.VerdictFailed)
	w.settled("r1-t2")
	third := w.read("r1-t3")
	_, trial = third.Trial()
	require.Equal(t, 3, trial, "a trial that failed says how often that happens")

	w.finish("r1-t3", drill.VerdictPassed)
	require.Empty(t, w.settled("r1-t3").Annotations[kube.AnnotationSeriesEnded], "it is complete")
	w.none("r1-t4")
}

func TestATrialOnItsOwnHasNoOther(t *testing.T) {
	for _, trials := range []int{0, 1} {
		w := newSeries(t, trials, drill.VerdictPassed)
		require.NotContains(t, w.settled("r1").Finalizers, kube.Finalizer)
		w.none("r1-t2")
	}
}

// TestAServerThatStopsInBetween: the record is let go only when the next trial is there.
func TestAServerThatStopsInBetween(t *testing.T) {
	w := newSeries(t, 3, drill.VerdictPassed)
	fake := w.o.Client.Dynamic.(*dynamicfake.FakeDynamicClient)
	down := errors.New("the API server is away")
	fake.PrependReactor("create", "drillruns", func(clienttesting.Action) (bool, runtime.Object, error) { return down != nil, nil, down })
	_, err := w.reconcile(t.Context(), "r1")
	require.ErrorIs(t, err, down)
	require.Contains(t, w.read("r1").Finalizers, kube.Finalizer, "the next server finds it")

	down = nil
	stuck := errors.New("and again")
	fake.PrependReactor("patch", "drillruns", func(clienttesting.Action) (bool, runtime.Object, error) { return stuck != nil, nil, stuck })
	_, err = w.reconcile(t.Context(), "r1")
	require.ErrorIs(t, err, stuck)
	uid := w.read("r1-t2").UID
	stuck = nil
	require.NotContains(t, w.settled("r1").Finalizers, kube.Finalizer)
	require.Equal(t, uid, w.read("r1-t2").UID, "made once")

	// From then on a deleted trial stays deleted.
	require.NoError(t, w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Delete(t.Context(), "r1-t2", metav1.DeleteOptions{}))
	w.settled("r1")
	w.none("r1-t2")
}

func TestWhatEndsASeries(t *testing.T) {
	for _, v := range []drill.Verdict{drill.VerdictAborted, drill.VerdictRefused, drill.VerdictInvalid, drill.VerdictInterrupted, drill.VerdictError} {
		w := newSeries(t, 3, v)
		require.NotContains(t, w.settled("r1").Finalizers, kube.Finalizer, v)
		w.none("r1-t2")
		require.NotEmpty(t, drill.EndsSeries(v, false))
	}
	for name, edit := range map[string]func(*kube.DrillRun){
		"residue that was put back": func(r *kube.DrillRun) {
			r.Status.Faults[0].Phase, r.Status.Faults[0].Cleared = kube.FaultReverted, new(metav1.Now())
		},
		"cancelled after its end": func(r *kube.DrillRun) { r.Spec.Cancel = true },
		"executed elsewhere":      func(r *kube.DrillRun) { r.Spec.Local = true },
	} {
		w := newSeries(t, 3, drill.VerdictPassed, edit)
		run := w.settled("r1")
		require.NotContains(t, run.Finalizers, kube.Finalizer, name)
		w.none("r1-t2")
		if name == "cancelled after its end" {
			require.Contains(t, run.Annotations[kube.AnnotationSeriesEnded], "cancelled")
		}
	}
}

func TestCancellingTheFirstRunEndsTheSeries(t *testing.T) {
	w := newSeries(t, 3, drill.VerdictPassed)
	w.settled("r1")
	w.finish("r1-t2", drill.VerdictPassed)
	require.NoError(t, w.runs.Cancel(t.Context(), "r1"))
	require.Contains(t, w.settled("r1-t2").Annotations[kube.AnnotationSeriesEnded], "r1")
	w.none("r1-t3")

	w = newSeries(t, 3, drill.VerdictPassed)
	w.settled("r1")
	w.finish("r1-t2", drill.VerdictPassed)
	require.NoError(t, w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Delete(t.Context(), "r1", metav1.DeleteOptions{}))
	w.settled("r1-t2")
	w.read("r1-t3") // its record was only cleared away
}

// TestARunInTheWay: somebody else's run with the next trial's name is not taken for it.
func TestARunInTheWay(t *testing.T) {
	for name, edit := range map[string]func(*kube.DrillRun){
		"another's":   func(r *kube.DrillRun) { r.Spec.Requester.User = "bob" },
		"of its own":  func(r *kube.DrillRun) { r.Labels = nil },
		"other drill": func(r *kube.DrillRun) { r.Spec.Source = "other text" },
	} {
		w := newSeries(t, 3, drill.VerdictPassed)
		w.create(kube.Status{}, func(r *kube.DrillRun) {
			r.Spec = w.read("r1").Spec
			r.Name, r.Labels = "r1-t2", map[string]string{kube.LabelSeries: "r1", kube.LabelTrial: "2"}
			edit(r)
		})
		run := w.settled("r1")
		require.Contains(t, run.Annotations[kube.AnnotationSeriesEnded], "a run r1-t2 already", name)
		require.NotContains(t, run.Finalizers, kube.Finalizer, name)
	}
}

// TestLabelsAloneMakeNoSeries: a run whose name is not its trial's is a run on its own.
func TestLabelsAloneMakeNoSeries(t *testing.T) {
	run := &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "x", Labels: map[string]string{kube.LabelSeries: "r1", kube.LabelTrial: "2"}}}
	for _, l := range []string{"2", "1", "0", "-1", "two", ""} {
		run.Labels[kube.LabelTrial] = l
		series, trial := run.Trial()
		require.Equal(t, "x", series, l)
		require.Equal(t, 1, trial, l)
	}
}

func TestAScheduledSeriesKeepsItsScheduleBusy(t *testing.T) {
	const due = "2026-11-21T10:00:00Z"
	w := newSeries(t, 2, drill.VerdictPassed, func(r *kube.DrillRun) {
		r.Labels = map[string]string{kube.LabelSchedule: "d"}
		r.Annotations = map[string]string{kube.AnnotationScheduledFor: due}
	})
	s := newScheduler(w.o)
	busy := func() string {
		made, err := s.made(t.Context(), []schedule.Entry{{Drill: "d"}})
		require.NoError(t, err)
		for _, r := range made {
			require.Equal(t, due, r.For.Format("2006-01-02T15:04:05Z07:00"))
			if !r.Finished {
				return r.Name
			}
		}
		return ""
	}
	require.Equal(t, "r1", busy(), "it may be followed yet")
	w.settled("r1")
	require.Equal(t, "r1", busy(), "of which the second trial goes on")
	w.finish("r1-t2", drill.VerdictPassed)
	w.settled("r1-t2")
	require.Empty(t, busy())
}
