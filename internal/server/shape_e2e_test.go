//go:build e2e

package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

// TestT8TheServerMakesRunnersAlone: by its policy and Pod Security, with the image that is installed.
func TestT8TheServerMakesRunnersAlone(t *testing.T) {
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	ctx := t.Context()
	d, err := c.AppsV1().Deployments(kube.Namespace).Get(ctx, "drill-server", metav1.GetOptions{})
	require.NoError(t, err, "drill must be installed: make install")
	server, err := c.As("system:serviceaccount:failoverdrill:drill-server", "system:serviceaccounts", "system:serviceaccounts:failoverdrill", "system:authenticated")
	require.NoError(t, err)
	run := &kube.DrillRun{ObjectMeta: metav1.ObjectMeta{Name: "a-run", UID: "u"}, Spec: kube.Spec{Inputs: kube.Inputs{Secret: "x"}}}
	try := func(edit func(*corev1.Pod)) error {
		pod, err := runnerPod(Options{Namespace: kube.Namespace, Image: d.Spec.Template.Spec.Containers[0].Image}, run, Request{Timeout: time.Minute})
		require.NoError(t, err)
		edit(pod)
		_, err = server.CoreV1().Pods(kube.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	require.NoError(t, try(func(*corev1.Pod) {}))
	for what, edit := range map[string]func(*corev1.Pod){
		"the server's account": func(p *corev1.Pod) { p.Spec.ServiceAccountName = "drill-server" },
		"another run's Secret": func(p *corev1.Pod) { p.Spec.Volumes[0].Secret.SecretName = kube.InputsSecret("another") },
		"another image":        func(p *corev1.Pod) { p.Spec.Containers[0].Image = "busybox" },
		"another run":          func(p *corev1.Pod) { p.Spec.Containers[0].Args[1] = "another" },
		"another subcommand":   func(p *corev1.Pod) { p.Spec.Containers[0].Args[0] = "agent" },
		"another name":         func(p *corev1.Pod) { p.Name = "x" },
		"a command":            func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"sh"} },
		"a second container": func(p *corev1.Pod) {
			c := p.Spec.Containers[0]
			c.Name = "b"
			p.Spec.Containers = append(p.Spec.Containers, c)
		},
		"a writable root": func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem = nil },
		"a ConfigMap as volume": func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}}})
		},
	} {
		require.ErrorContains(t, try(edit), "pods.failoverdrill.io", what)
	}
	require.ErrorContains(t, try(func(p *corev1.Pod) { p.Spec.HostPID = true }), "restricted")
}
