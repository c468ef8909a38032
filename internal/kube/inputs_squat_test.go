package kube_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// squat makes the Secret of a run before its requester does, as the policy inputs.failoverdrill.io lets a requester.
func squat(t *testing.T, client kubernetes.Interface, run *kube.DrillRun, owner types.UID, payload []byte) {
	t.Helper()
	mark := kube.OwnerOf(run)
	mark.UID = owner
	_, err := client.CoreV1().Secrets(kube.Namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: kube.InputsSecret(run.Name), Namespace: kube.Namespace, UID: types.UID("squat-" + owner),
			OwnerReferences: []metav1.OwnerReference{mark}},
		Type: kube.InputsType, Immutable: new(true), Data: map[string][]byte{kube.InputsKey: payload}}, metav1.CreateOptions{})
	require.NoError(t, err)
}

// TestT18TheSecretOfAnotherMakesWay: the name of a run's Secret can be foretold, and whoever is first gains nothing by it.
func TestT18TheSecretOfAnotherMakesWay(t *testing.T) {
	for name, owner := range map[string]types.UID{"a made-up owner": "no-such", "the run's owner and another's values": "u"} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			run, payload := sealedRun(t, "r", "u")
			strange, err := kube.RemoveStrangeInputs(t.Context(), client, run)
			require.NoError(t, err)
			require.True(t, strange, "what went away by itself may have been one")
			squat(t, client, run, owner, []byte("{}"))
			require.NoError(t, kube.StoreInputs(t.Context(), client, run, payload), "the server, for the next trial")
			_, again, err := kube.LoadInputs(t.Context(), client, run)
			require.NoError(t, err)
			require.Equal(t, payload, again)
			strange, err = kube.RemoveStrangeInputs(t.Context(), client, run)
			require.NoError(t, err)
			require.False(t, strange)
			_, _, err = kube.LoadInputs(t.Context(), client, run)
			require.NoError(t, err, "its own stays")
		})
	}
	client := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: kube.InputsSecret("r"), Namespace: kube.Namespace}, Type: corev1.SecretTypeOpaque})
	run, payload := sealedRun(t, "r", "u")
	strange, err := kube.RemoveStrangeInputs(t.Context(), client, run)
	require.NoError(t, err)
	require.False(t, strange, "an administrator's, whatever it is for")
	require.NoError(t, kube.StoreInputs(t.Context(), client, run, payload))
	_, err = client.CoreV1().Secrets(kube.Namespace).Get(t.Context(), kube.InputsSecret("r"), metav1.GetOptions{})
	require.NoError(t, err)
}

// TestT18ARequesterTriesAgain until the server has made room, the run has gone on, or the server waits no longer.
func TestT18ARequesterTriesAgain(t *testing.T) {
	hand := func(t *testing.T, meanwhile func(client kubernetes.Interface, runs *kube.Runs, run *kube.DrillRun)) (time.Duration, error, error) {
		run, payload := sealedRun(t, "r", "u")
		client := fake.NewClientset()
		run.APIVersion, run.Kind = kube.Resource.GroupVersion().String(), kube.Kind
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(run)
		require.NoError(t, err)
		runs := kube.NewRuns(dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), &unstructured.Unstructured{Object: object}), kube.Namespace)
		squat(t, client, run, "no-such", []byte("{}"))
		go func() {
			time.Sleep(5 * time.Second)
			meanwhile(client, runs, run)
		}()
		began := time.Now()
		err = kube.HandInputs(t.Context(), client, runs, run, payload)
		took := time.Since(began)
		_, _, unread := kube.LoadInputs(context.WithoutCancel(t.Context()), client, run)
		return took, err, unread
	}
	bubble.Test(t, func(t *testing.T) {
		took, err, unread := hand(t, func(client kubernetes.Interface, _ *kube.Runs, run *kube.DrillRun) {
			_, err := kube.RemoveStrangeInputs(t.Context(), client, run)
			require.NoError(t, err)
		})
		require.NoError(t, err)
		require.NoError(t, unread, "the run has its values")
		require.InDelta(t, 5, took.Seconds(), 1)
	})
	bubble.Test(t, func(t *testing.T) {
		took, err, _ := hand(t, func(_ kubernetes.Interface, runs *kube.Runs, run *kube.DrillRun) {
			require.NoError(t, runs.Finish(t.Context(), run.Name, kube.Outcome{Verdict: "refused"}))
		})
		require.NoError(t, err, "its record says why it is over")
		require.InDelta(t, 5, took.Seconds(), 1)
	})
	bubble.Test(t, func(t *testing.T) {
		took, err, unread := hand(t, func(kubernetes.Interface, *kube.Runs, *kube.DrillRun) {})
		require.NoError(t, err, "the server refuses the run, and says why")
		require.Error(t, unread)
		require.InDelta(t, 20, took.Seconds(), 1)
	})
}
