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
	"github.com/failoverdrill/drill/internal/runner"
)

// withoutLocks is how long a runner may hold no lock: before it takes them and after it gave them back.
const withoutLocks = 15 * time.Minute

// lockLife is how long a lock lives without being renewed.
const lockLife = 15 * time.Second

// silentFor is how long a runner may leave its locks unrenewed before it is given up, whatever its pod says: it renews
// them every few seconds, and injects nothing any more once it could not for 15 s. The generation fences it off.
const silentFor = time.Minute

// LateWithin is how long something may still come of a runner that was given up.
const LateWithin = runner.LateWithin

// supervise looks whether the runner of a run is alive.
func (r *reconciler) supervise(ctx context.Context, run *kube.DrillRun) (time.Duration, error) {
	m := r.remember(run.Name)
	for _, record := range run.Status.Faults {
		if record.Phase == kube.FaultInjecting {
			m.lasted(injecting(record), LateWithin)
		}
	}
	if run.Spec.Local {
		if err := r.runs.SetFinalizer(ctx, run, true); err != nil {
			return 0, err
		}
	}
	r.stillMay(ctx, run)
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

// injecting names the entry of one injection in a run's memory.
func injecting(record kube.FaultRecord) string { return "injecting " + record.String() }

// dead says why the runner cannot be alive, or must be treated so. While it is in doubt, its locks tell: a live runner
// renews them.
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
	silence, locks, err := r.silence(ctx, run.Name)
	if err != nil {
		return "", true, err
	}
	nodeSilent, err := r.nodeSilent(ctx, pod.Spec.NodeName)
	if err != nil {
		return "", false, err
	}
	// A pod that should be gone by now is one whose kubelet does not answer, too.
	overdue := pod.DeletionTimestamp != nil && r.remember(run.Name).lasted("deleting", revertGrace+30*time.Second)
	unreachable := nodeSilent || overdue
	switch {
	case unreachable && silence >= lockLife:
		return fmt.Sprintf("its node %s does not answer, and its locks are not renewed", pod.Spec.NodeName), false, nil
	case locks > 0 && silence >= silentFor:
		return fmt.Sprintf("it has not renewed its locks for %v, so it hangs or is cut off from the API server", silentFor), false, nil
	case locks == 0 && silence >= withoutLocks:
		return fmt.Sprintf("it has held no lock for %v", withoutLocks), false, nil
	}
	return "", unreachable || locks > 0 && silence >= lockLife, nil
}

// deadLocal judges a runner outside the cluster by its locks alone. Without any it has touched nothing, or put back
// everything, and so there is no hurry.
func (r *reconciler) deadLocal(ctx context.Context, run string) (why string, doubtful bool, err error) {
	silence, locks, err := r.silence(ctx, run)
	if err != nil {
		return "", true, err
	}
	if locks > 0 && silence >= silentFor || silence >= withoutLocks {
		return "it runs outside the cluster, and does not renew its locks any more", false, nil
	}
	return "", silence >= lockLife, nil
}

// silence is for how long the runner has not renewed its locks, and how many it has.
func (r *reconciler) silence(ctx context.Context, run string) (silence time.Duration, locks int, err error) {
	m := r.remember(run)
	if m.pulse == nil {
		m.pulse = kube.NewPulse(r.o.Client, r.o.Namespace, run)
	}
	silence, err = m.pulse.Silence(ctx)
	return silence, m.pulse.Locks(), err
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
