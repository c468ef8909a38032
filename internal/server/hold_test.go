package server

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

func holdMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.HoldName, Namespace: ns}, Data: data}
}

// TestNothingIsAdmittedWhileHeld: with the reason, and again once the hold has ended. A hold that cannot be read admits nothing.
func TestNothingIsAdmittedWhileHeld(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		maps := w.o.Client.CoreV1().ConfigMaps(ns)
		_, err := maps.Create(t.Context(), holdMap(map[string]string{"reason": "incident\n4711", "by": "olga"}), metav1.CreateOptions{})
		require.NoError(t, err)
		a := &admission{run: &kube.DrillRun{}}
		a.run.Name = w.create(kube.Status{})
		passed, _, err := w.notHeld(t.Context(), a)
		require.NoError(t, err)
		require.False(t, passed)
		run, err := w.runs.Get(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Equal(t, "The run did not begin: drill is on hold (incident 4711), by olga. Nothing was touched.", run.Status.Message)

		require.NoError(t, maps.Delete(t.Context(), kube.HoldName, metav1.DeleteOptions{}))
		passed, _, err = w.notHeld(t.Context(), a)
		require.NoError(t, err)
		require.True(t, passed)

		w.api.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("no answer")
		})
		passed, _, err = w.notHeld(t.Context(), a)
		require.Error(t, err)
		require.False(t, passed)
	})
}

// TestAHeldScheduleMisses: with the hold as the reason, also where a missed run would run late; the next one runs again.
func TestAHeldScheduleMisses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newAPIServer()
		s.until(t)
		s.hold = holdMap(map[string]string{"reason": "Black Friday"})
		s.lead(nil).serve(t, 30*time.Minute)
		e := s.entry(t)
		require.Empty(t, s.made)
		require.Equal(t, 1, e.Missed)
		require.Equal(t, "drill is on hold (Black Friday)", e.Newest.Reason)
		s.hold = nil
		s.lead(nil).serve(t, 25*time.Minute)
		require.Empty(t, s.made, "what was missed does not run late")
		s.lead(nil).serve(t, 10*time.Minute)
		require.Len(t, s.made, 1)
		require.Equal(t, 1, s.entry(t).Missed)
	})
}
