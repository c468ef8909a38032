package kube_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/kube"
)

// TestAgentsGoWithTheirRun: no owner reference crosses namespaces, so the server looks.
func TestAgentsGoWithTheirRun(t *testing.T) {
	ctx := t.Context()
	client := fake.NewClientset()
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(k8sruntime.NewScheme(), map[schema.GroupVersionResource]string{kube.Resource: "DrillRunList"})
	record := func(name, uid string, phase kube.Phase) {
		_, err := dyn.Resource(kube.Resource).Namespace(kube.Namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "failoverdrill.io/v1alpha1", "kind": kube.Kind, "metadata": map[string]any{"name": name, "namespace": kube.Namespace, "uid": uid},
			"spec": map[string]any{"drill": "d"}, "status": map[string]any{"phase": string(phase)}}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	agent := func(name, run, uid string) {
		meta := metav1.ObjectMeta{Name: name, Namespace: kube.AgentNamespace, UID: types.UID("uid-of-" + name), Labels: map[string]string{
			kube.LabelManagedBy: kube.ManagedBy, kube.LabelComponent: "agent", kube.LabelRun: run, kube.LabelRunUID: uid}}
		_, err := client.CoreV1().Pods(meta.Namespace).Create(ctx, &corev1.Pod{ObjectMeta: meta}, metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = client.CoreV1().Secrets(meta.Namespace).Create(ctx, &corev1.Secret{ObjectMeta: meta}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	record("running", "u1", kube.PhaseRunning)
	record("finished", "u2", kube.PhaseFinished)
	record("made-again", "u3", kube.PhaseRunning)
	agent("of-running", "running", "u1")
	agent("of-finished", "finished", "u2")
	agent("of-nothing", "deleted", "u9")
	agent("of-the-one-before", "made-again", "u0")
	agent("of-nobody", "", "")
	_, err := client.CoreV1().Secrets(kube.AgentNamespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "others"}}, metav1.CreateOptions{})
	require.NoError(t, err)

	// While it is not known how a run is, its agents stay.
	broken := true
	dyn.PrependReactor("get", "drillruns", func(ktesting.Action) (bool, k8sruntime.Object, error) {
		return broken, nil, errors.New("no answer")
	})
	runs := kube.NewRuns(dyn, kube.Namespace)
	removed, err := kube.SweepAgents(ctx, client, runs)
	require.ErrorContains(t, err, "no answer")
	require.Equal(t, []string{"Secret of-nobody", "pod of-nobody"}, removed)
	broken = false
	removed, err = kube.SweepAgents(ctx, client, runs)
	require.NoError(t, err)
	require.Equal(t, []string{"Secret of-finished", "Secret of-nothing", "Secret of-the-one-before", "pod of-finished", "pod of-nothing", "pod of-the-one-before"}, removed)
	pods, err := client.CoreV1().Pods(kube.AgentNamespace).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, 1)
	secrets, err := client.CoreV1().Secrets(kube.AgentNamespace).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, secrets.Items, 2)
	removed, err = kube.SweepAgents(ctx, client, runs)
	require.NoError(t, err)
	require.Empty(t, removed)
}
