//go:build e2e

package kube_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/kube"
)

// agentPod is what a runner makes, as nearly as the policy asks.
func agentPod() *corev1.Pod {
	return kube.Agents{Run: "a-run", RunUID: "u", Image: installedImage, Life: time.Minute}.Pod("agent-a-run-0", "n1")
}

// installedImage is what the policy for pods is given here: drill install gives it that of the server.
const installedImage = "none"

// imagesAre gives the policy for pods its images, until the test ends.
func imagesAre(t *testing.T, c *kube.Client, expression string) {
	t.Helper()
	policies := c.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	set := func(ctx context.Context, expression string) (before string, err error) {
		p, err := policies.Get(ctx, "pods.failoverdrill.io", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		for i, v := range p.Spec.Variables {
			if v.Name == "images" {
				before, p.Spec.Variables[i].Expression = v.Expression, expression
			}
		}
		_, err = policies.Update(ctx, p, metav1.UpdateOptions{})
		return before, err
	}
	before, err := set(t.Context(), expression)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = set(context.WithoutCancel(t.Context()), before) })
}

// TestT8AStolenRunnerGetsNoNode: it makes agents, and nothing that an agent is not. All three ways of the review are closed.
func TestT8AStolenRunnerGetsNoNode(t *testing.T) {
	c := connect(t)
	imagesAre(t, c, `["none"]`)
	ctx := t.Context()
	runner := runnerOf(t, c, "a-run", "u")
	try := func(ns string, p *corev1.Pod) error {
		_, err := runner.CoreV1().Pods(ns).Create(ctx, p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	for range 40 {
		if try(kube.AgentNamespace, agentPod()) == nil {
			break
		}
		time.Sleep(100 * time.Millisecond) // the API server learns of a changed policy a moment later
	}
	require.NoError(t, try(kube.AgentNamespace, agentPod()), "drill must be installed: make install")
	require.True(t, apierrors.IsForbidden(try(kube.Namespace, agentPod())), "not where the records are")
	for what, edit := range map[string]func(*corev1.Pod){
		"a path of the host": func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
		},
		"another agent's Secret": func(p *corev1.Pod) { p.Spec.Volumes[0].Secret.SecretName = "agent-another-0" },
		"a Secret that is projected": func(p *corev1.Pod) {
			p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}}}}}
		},
		"a claim": func(p *corev1.Pod) {
			p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "x"}}
		},
		"the host's network": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"the host's IPC":     func(p *corev1.Pod) { p.Spec.HostIPC = true },
		"privileged": func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext.Privileged = new(true)
			p.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
		},
		"more privileges":     func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"no security context": func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext = nil },
		"a capability more": func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext.Capabilities.Add = append(p.Spec.Containers[0].SecurityContext.Capabilities.Add, "SYS_MODULE")
		},
		"nothing dropped":    func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.Capabilities.Drop = nil },
		"another image":      func(p *corev1.Pod) { p.Spec.Containers[0].Image = "busybox" },
		"another command":    func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"sh"} },
		"another subcommand": func(p *corev1.Pod) { p.Spec.Containers[0].Args = []string{"exec", "x", "y"} },
		"a hook": func(p *corev1.Pod) {
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh"}}}}
		},
		"a second container": func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
			p.Spec.Containers[1].Name = "b"
		},
		"an init container": func(p *corev1.Pod) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, p.Spec.Containers[0])
			p.Spec.InitContainers[0].Name = "b"
		},
		"a Secret as environment": func(p *corev1.Pod) {
			p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}}}
		},
		"a Secret's key as environment": func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "x"}, Key: "k"}}})
		},
		"a token":     func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(true) },
		"no deadline": func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = nil },
		"no run":      func(p *corev1.Pod) { delete(p.Labels, kube.LabelRun) },
		"a host port": func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 7443, HostPort: 7443}}
		},
	} {
		p := agentPod()
		edit(p)
		if err := try(kube.AgentNamespace, p); what == "privileged" {
			require.Error(t, err) // an API server without --allow-privileged has said no before
		} else {
			require.ErrorContains(t, err, "pods.failoverdrill.io", what)
		}
	}

	// The server's rights do not reach further.
	server, err := c.As(serverAccount, "system:serviceaccounts", "system:serviceaccounts:failoverdrill", "system:authenticated")
	require.NoError(t, err)
	_, err = server.CoreV1().Pods(kube.AgentNamespace).Create(ctx, agentPod(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.True(t, apierrors.IsForbidden(err))
	bare := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bare"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "none"}}}}
	_, err = server.CoreV1().Pods(kube.Namespace).Create(ctx, bare, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.True(t, apierrors.IsForbidden(err))

	// No taint, no cordon, no label on a node.
	node, err := c.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "drill-test-"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.CoreV1().Nodes().Delete(context.WithoutCancel(ctx), node.Name, metav1.DeleteOptions{}) })
	for _, who := range []*kube.Client{runner, server} {
		for _, p := range []string{`{"spec":{"taints":[{"key":"x","effect":"NoExecute"}]}}`, `{"spec":{"unschedulable":true}}`, `{"metadata":{"labels":{"x":"y"}}}`} {
			_, err := who.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, []byte(p), metav1.PatchOptions{})
			require.True(t, apierrors.IsForbidden(err), p)
		}
	}
	_, err = runner.CoreV1().Secrets(kube.Namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.True(t, apierrors.IsForbidden(err))
}

// TestFailoverdrillIsRestricted: Pod Security holds without any policy of drill's, against whoever may make pods there.
func TestFailoverdrillIsRestricted(t *testing.T) {
	c := connect(t)
	_, err := c.CoreV1().Pods(kube.Namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: corev1.PodSpec{
		HostPID: true, Containers: []corev1.Container{{Name: "c", Image: "none"}}}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.ErrorContains(t, err, "restricted")
}

// TestT13APolicyThatOnlyWarnsIsNotInForce: by trying, whatever the objects say.
func TestT13APolicyThatOnlyWarnsIsNotInForce(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	holes, err := kube.Prove(ctx, c, kube.Namespace)
	require.NoError(t, err)
	require.Empty(t, holes)
	server, err := c.As(serverAccount, "system:serviceaccounts", "system:serviceaccounts:failoverdrill", "system:authenticated")
	require.NoError(t, err)
	holes, err = kube.Prove(ctx, server, kube.Namespace)
	require.NoError(t, err, "the server's own account can prove each of them")
	require.Empty(t, holes)
	bindings := c.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	for _, name := range kube.Policies() {
		binding, err := bindings.Get(ctx, name, metav1.GetOptions{})
		require.NoError(t, err)
		set := func(ctx context.Context, action admissionv1.ValidationAction) {
			binding, err := bindings.Get(ctx, name, metav1.GetOptions{})
			require.NoError(t, err)
			binding.Spec.ValidationActions = []admissionv1.ValidationAction{action}
			_, err = bindings.Update(ctx, binding, metav1.UpdateOptions{})
			require.NoError(t, err)
		}
		t.Cleanup(func() { set(context.WithoutCancel(ctx), admissionv1.Deny) })
		require.Equal(t, []admissionv1.ValidationAction{admissionv1.Deny}, binding.Spec.ValidationActions)
		set(ctx, admissionv1.Warn)
		eventually(t, 20*time.Second, name+" is a hole", func() bool {
			holes, err := kube.Prove(ctx, server, kube.Namespace)
			return err == nil && len(holes) == 1 && holes[0].Policy == name
		})
		set(ctx, admissionv1.Deny)
		eventually(t, 20*time.Second, name+" holds", func() bool {
			holes, err := kube.Prove(ctx, server, kube.Namespace)
			return err == nil && len(holes) == 0
		})
	}
}
