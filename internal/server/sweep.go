package server

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/kube"
)

// localWithoutLocks is how long a runner outside the cluster may hold no lock: before it takes them and after it gave
// them back.
const localWithoutLocks = 15 * time.Minute

// supervise looks whether the runner of a run is alive.
func (r *reconciler) supervise(ctx context.Context, run *kube.DrillRun) (time.Duration, error) {
	why, doubtful, err := r.dead(ctx, run)
	switch {
	case err != nil:
		return 0, err
	case why != "":
		return r.start(ctx, run.Name, func(ctx context.Context) error { return r.sweep(ctx, run.Name, why) }), nil
	case doubtful:
		return whileDoubtful, nil
	}
	return whileRunning, nil
}

// dead says why the runner cannot be alive. While it is in doubt, its locks tell: a live runner renews them.
func (r *reconciler) dead(ctx context.Context, run *kube.DrillRun) (why string, doubtful bool, err error) {
	if run.Spec.Local {
		return r.deadLocal(ctx, run.Name)
	}
	pod, err := r.o.Client.CoreV1().Pods(r.o.Namespace).Get(ctx, run.Status.Runner.Pod, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && pod.UID != types.UID(run.Status.Runner.UID):
		return "its pod was deleted", false, nil
	case err != nil:
		return "", false, fmt.Errorf("read pod %s: %w", run.Status.Runner.Pod, err)
	case kubeTerminal(pod):
		if t := kube.PodTrouble(pod); t != nil {
			return t.Text, false, nil
		}
		return "its process ended without saying how the run went", false, nil
	}
	silent, err := r.nodeSilent(ctx, pod.Spec.NodeName)
	if err != nil {
		return "", false, err
	}
	// A pod that should be gone by now is one whose kubelet does not answer, too.
	overdue := pod.DeletionTimestamp != nil && r.remember(run.Name).lasted("deleting", revertGrace+30*time.Second)
	if !silent && !overdue {
		r.remember(run.Name).pulse = nil
		return "", false, nil
	}
	dead, err := r.pulse(ctx, run.Name)
	if err != nil || !dead {
		return "", true, err
	}
	return fmt.Sprintf("its node %s does not answer, and its locks are not renewed", pod.Spec.NodeName), false, nil
}

// deadLocal judges a runner outside the cluster by its locks alone. Without any it has touched nothing, or put back
// everything, and so there is no hurry.
func (r *reconciler) deadLocal(ctx context.Context, run string) (why string, doubtful bool, err error) {
	m := r.remember(run)
	dead, err := r.pulse(ctx, run)
	switch {
	case err != nil:
		return "", true, err
	case dead && m.pulse.Locks() > 0, dead && m.lasted("no locks", localWithoutLocks):
		return "it runs outside the cluster, and does not renew its locks any more", false, nil
	case !dead:
		delete(m.trouble, "no locks")
	}
	return "", true, nil
}

// pulse looks whether the runner's locks are renewed.
func (r *reconciler) pulse(ctx context.Context, run string) (dead bool, err error) {
	m := r.remember(run)
	if m.pulse == nil {
		m.pulse = kube.NewPulse(r.o.Client, r.o.Namespace, run)
	}
	return m.pulse.Dead(ctx)
}

func (r *reconciler) nodeSilent(ctx context.Context, name string) (bool, error) {
	node, err := r.o.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read node %s: %w", name, err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status != corev1.ConditionTrue, nil
		}
	}
	return true, nil
}
