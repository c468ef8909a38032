package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// revertWithin bounds the attempts to revert one fault; what is left after them is residue, for someone to act on.
const revertWithin = 2 * time.Minute

// localWithoutLocks is how long a runner outside the cluster may hold no lock: before it takes them and after it gave
// them back.
const localWithoutLocks = 15 * time.Minute

// revertAttempt bounds one of them.
const revertAttempt = 30 * time.Second

// supervise looks whether the runner of a run is alive.
func (r *reconciler) supervise(ctx context.Context, run *kube.DrillRun) (time.Duration, error) {
	why, doubtful, err := r.dead(ctx, run)
	switch {
	case err != nil:
		return 0, err
	case why != "":
		return 0, r.sweep(ctx, run.Name, why)
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

// sweep puts back what a dead runner left, and ends its run. Every step may be repeated by the next server.
func (r *reconciler) sweep(ctx context.Context, name, why string) error {
	run, journal, err := r.runs.TakeOver(ctx, name)
	if err != nil {
		return err
	}
	if run.Finished() {
		return nil // it had finished before it died
	}
	r.o.Log.Warn("the runner died", zap.String("run", name), zap.String("why", why))
	done, err := r.revert(ctx, run, journal)
	if err != nil {
		return err
	}
	if err := kube.ReleaseLocks(ctx, r.o.Client, r.o.Namespace, name); err != nil {
		return err
	}
	message := fmt.Sprintf("The runner died: %s. %s", why, done)
	if err := journal.Finish(ctx, kube.Outcome{Verdict: drill.VerdictError, Message: message}); err != nil {
		return err
	}
	r.o.Log.Warn("run swept", zap.String("run", name), zap.String("message", message))
	if run.Spec.Local {
		return nil
	}
	// One that was out of reach must not wake up later.
	return r.deletePod(ctx, run.Status.Runner.Pod, types.UID(run.Status.Runner.UID))
}

// revert reverts every fault that may still be there, the last one first, and says what became of them.
func (r *reconciler) revert(ctx context.Context, run *kube.DrillRun, journal *kube.Journal) (string, error) {
	records := run.Unreverted()
	if len(records) == 0 {
		if len(run.Status.Faults) > 0 {
			return "It had put everything back before.", nil
		}
		return "Nothing had been touched.", nil
	}
	var put, left []string
	for _, record := range records {
		err := r.revertOne(ctx, record, run.Name)
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		var residue []string
		if err != nil {
			residue = []string{err.Error()}
			left = append(left, fmt.Sprintf("%s: %v", record, err))
		} else {
			put = append(put, record.String())
		}
		if err := journal.Reverted(ctx, record.Kind, record.Name, residue); err != nil {
			return "", err
		}
	}
	var said []string
	if len(put) > 0 {
		said = append(said, "The server put back: "+strings.Join(put, ", ")+".")
	}
	if len(left) > 0 {
		said = append(said, "Someone must act, something is left of "+strings.Join(left, "; ")+".")
	}
	return strings.Join(said, " "), nil
}

func (r *reconciler) revertOne(ctx context.Context, record kube.FaultRecord, run string) error {
	ctx, cancel := context.WithTimeout(ctx, revertWithin)
	defer cancel()
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		attempt, done := context.WithTimeout(ctx, revertAttempt)
		err := r.o.Revert(attempt, record, run)
		done()
		if err == nil {
			return nil
		}
		r.o.Log.Warn("revert failed", zap.String("run", run), zap.Stringer("fault", record), zap.Error(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// settle lets go of a finished run's record, after putting back what its runner could not note as reverted.
func (r *reconciler) settle(ctx context.Context, run *kube.DrillRun) error {
	for _, record := range run.Status.Faults {
		if record.Phase != kube.FaultInjecting && record.Phase != kube.FaultPreparing {
			continue
		}
		_, journal, err := r.runs.TakeOver(ctx, run.Name)
		if err != nil {
			return err
		}
		done, err := r.revert(ctx, run, journal)
		if err != nil {
			return err
		}
		r.o.Log.Warn("a finished run had faults without a note of their end", zap.String("run", run.Name), zap.String("outcome", done))
		if run, err = r.runs.Get(ctx, run.Name); err != nil {
			return err
		}
		break
	}
	// Before the record is let go: until then every server comes back to it.
	if err := r.proceed(ctx, run); err != nil {
		return err
	}
	if err := r.letGo(ctx, run); err != nil {
		return err
	}
	r.dropInputs(ctx, run) // last: until now every server would come back to it, and look for them
	return nil
}
