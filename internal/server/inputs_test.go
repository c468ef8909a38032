package server

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// handed is a run that has a secret, with what its Secret holds.
func handed(t *testing.T) (func(*kube.DrillRun), []byte) {
	in, payload, err := kube.SealInputs(drill.Inputs{Variables: map[string]json.RawMessage{"namespace": json.RawMessage(`"shop"`)}},
		drill.Inputs{Env: map[string]string{"DSN": "canary"}})
	require.NoError(t, err)
	return func(r *kube.DrillRun) { r.Spec.Inputs = in }, payload
}

func (w *world) store(run string, payload []byte) {
	w.Helper()
	require.NoError(w, kube.StoreInputs(w.Context(), w.api, w.read(run), payload))
}

func (w *world) hasInputs(run string) bool {
	w.Helper()
	_, err := w.api.CoreV1().Secrets(ns).Get(w.Context(), kube.InputsSecret(run), metav1.GetOptions{})
	if err != nil {
		require.True(w, apierrors.IsNotFound(err))
	}
	return err == nil
}

func TestARunWaitsForItsSecret(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var got drill.Inputs
		w.o.Check = func(_ kube.Spec, in drill.Inputs) (Request, error) {
			got = in
			return Request{Timeout: time.Minute}, nil
		}
		with, payload := handed(t)
		w.create(kube.Status{}, with)
		run, _ := w.step(5 * time.Second)
		require.Empty(t, run.Status.Phase)
		_, err := w.api.CoreV1().Pods(ns).Get(t.Context(), "run-r1", metav1.GetOptions{})
		require.True(t, apierrors.IsNotFound(err), "no pod may start before")

		w.store("r1", payload)
		_, err = w.reconcile(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, kube.PhaseAdmitted, w.read("r1").Status.Phase)
		require.Equal(t, "canary", got.Env["DSN"], "the server asks about the drill that the runner will read")
		require.JSONEq(t, `"shop"`, string(got.Variables["namespace"]))
		pod, err := w.api.CoreV1().Pods(ns).Get(t.Context(), "run-r1", metav1.GetOptions{})
		require.NoError(t, err)
		require.Equal(t, kube.InputsSecret("r1"), pod.Spec.Volumes[0].Secret.SecretName)
		require.Nil(t, pod.Spec.Volumes[0].Secret.Optional, "the kubelet waits for it, too")
		require.Equal(t, InputsPath, pod.Spec.Containers[0].VolumeMounts[0].MountPath)
		raw, err := json.Marshal(pod)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "canary")
	})
}

func TestARunWhoseSecretDoesNotComeIsRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		with, _ := handed(t)
		w.create(kube.Status{}, with)
		run, took := w.step(time.Minute)
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "drillrun-r1-inputs")
		require.GreaterOrEqual(t, took, inputsWithin)
		require.Less(t, took, inputsWithin+5*time.Second)
	})
}

// TestTheWaitForTheSecretIsNotTheRunners: its pod has as long as any other to begin.
func TestTheWaitForTheSecretIsNotTheRunners(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		with, payload := handed(t)
		w.create(kube.Status{}, with)
		w.step(inputsWithin - 5*time.Second)
		w.store("r1", payload)
		run, took := w.step(time.Hour)
		require.Contains(t, run.Status.Message, "did not begin within")
		require.GreaterOrEqual(t, took, startWithin)
	})
}

func TestSecretInputsGoWhenTheRunIsOver(t *testing.T) {
	with, payload := handed(t)
	w := newSeries(t, 1, drill.VerdictPassed, with)
	w.store("r1", payload)
	require.NotContains(t, w.settled("r1").Finalizers, kube.Finalizer)
	require.False(t, w.hasInputs("r1"))
}

// TestEachTrialHasItsOwnSecret: the server gives the next trial what the one before had, however often it stops in between.
func TestEachTrialHasItsOwnSecret(t *testing.T) {
	with, payload := handed(t)
	w := newSeries(t, 3, drill.VerdictPassed, with)
	w.store("r1", payload)
	down := errors.New("the API server is away")
	w.api.PrependReactor("create", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) { return down != nil, nil, down })
	_, err := w.reconcile(t.Context(), "r1")
	require.ErrorIs(t, err, down)
	require.True(t, w.hasInputs("r1"), "it is needed for the next attempt")
	down = nil
	w.settled("r1")
	require.False(t, w.hasInputs("r1"))
	second := w.read("r1-t2")
	in, again, err := kube.LoadInputs(t.Context(), w.api, second)
	require.NoError(t, err)
	require.Equal(t, payload, again)
	require.Equal(t, "canary", in.Env["DSN"])

	// Somebody takes it away: whoever waits for the third trial is told.
	require.NoError(t, kube.RemoveInputs(t.Context(), w.api, second))
	w.finish("r1-t2", drill.VerdictPassed)
	require.Contains(t, w.settled("r1-t2").Annotations[kube.AnnotationSeriesEnded], "Secret")
	w.none("r1-t3")
}

// TestVariablesFilesAreNoDrillFiles: those beside a drill file give its variables their values, unless drill schedule add did.
func TestVariablesFilesAreNoDrillFiles(t *testing.T) {
	var got []Source
	s := &scheduler{files: map[string]parsed{}, o: Options{Drills: func(from Source) ([]ScheduledDrill, kube.Inputs, error) {
		got = append(got, from)
		return []ScheduledDrill{{Name: from.File, Schedule: &drill.Schedule{Cron: "@daily", Timezone: "UTC"}}}, kube.Inputs{Variables: map[string]string{"zone": from.Text}}, nil
	}}}
	files := map[string]string{"a.hcl": "1", "b.hcl": "2", "b.hcl.inputs.json": "recorded", "lab.drillvars.hcl": "beside"}
	find := func() *findings {
		f, kept := &findings{drills: map[string]scheduled{}}, map[string]parsed{}
		s.add(f, kept, "directory x", files, kube.Requester{User: "alice"}, false)
		s.files = kept
		return f
	}
	f := find()
	require.Empty(t, f.problems)
	beside := map[string]string{"lab.drillvars.hcl": "beside"}
	require.Equal(t, []Source{{File: "a.hcl", Text: "1", Beside: beside}, {File: "b.hcl", Text: "2", Recorded: "recorded", Beside: beside}}, got)
	require.Equal(t, map[string]string{"zone": "1"}, f.drills["a.hcl"].inputs.Variables)
	require.Equal(t, map[string]string{"zone": "2"}, f.drills["b.hcl"].Variables, "for drill schedule list")
	find()
	require.Len(t, got, 2, "what is the same is not read again")
	files["lab.drillvars.hcl"] = "changed"
	find()
	require.Len(t, got, 4, "and a variable is part of it")
	files["b.hcl.inputs.json"] = "changed"
	find()
	require.Len(t, got, 5)
}

// TestT18AnothersSecretMakesWay: the name of a run's Secret can be foretold. Whoever makes it first does no harm.
func TestT18AnothersSecretMakesWay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		with, payload := handed(t)
		w.create(kube.Status{}, with)
		squatter := *w.read("r1")
		squatter.UID = "no-such"
		require.NoError(t, kube.StoreInputs(t.Context(), w.api, &squatter, []byte("{}")))
		again, err := w.reconcile(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, whileHanded, again)
		require.False(t, w.hasInputs("r1"), "it is nobody's")
		require.Empty(t, w.read("r1").Status.Phase)
		w.store("r1", payload) // by drill run, which tries again
		_, err = w.reconcile(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, kube.PhaseAdmitted, w.read("r1").Status.Phase)
	})
}

// TestT18WhoeverGoesOnSquattingIsNamed: the run is refused when its requester's time is up, and the record says why.
func TestT18WhoeverGoesOnSquattingIsNamed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		with, _ := handed(t)
		_, forged := handed(t)
		w.create(kube.Status{}, with)
		for began := time.Now(); w.read("r1").Status.Phase == ""; time.Sleep(whileHanded) {
			require.Less(t, time.Since(began), inputsWithin+5*time.Second)
			w.store("r1", forged)
			_, err := w.reconcile(t.Context(), "r1")
			require.NoError(t, err)
		}
		run := w.read("r1")
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "is not the one")
		require.NotContains(t, run.Status.Message, "canary")
	})
}

// TestT18ATrialsSecretMakesWay: the next trial's name can be foretold, too, and the server makes its Secret.
func TestT18ATrialsSecretMakesWay(t *testing.T) {
	with, payload := handed(t)
	w := newSeries(t, 2, drill.VerdictPassed, with)
	w.store("r1", payload)
	squatter := *w.read("r1")
	squatter.Name, squatter.UID = "r1-t2", "no-such"
	require.NoError(t, kube.StoreInputs(t.Context(), w.api, &squatter, []byte("{}")))
	w.settled("r1")
	_, again, err := kube.LoadInputs(t.Context(), w.api, w.read("r1-t2"))
	require.NoError(t, err)
	require.Equal(t, payload, again)
}
