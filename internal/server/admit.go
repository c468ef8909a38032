package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// startWithin is how long everything together may take from the runner pod's creation to its claim of the run. A large
// image on a slow line is the longest part of it.
const startWithin = 2 * time.Minute

// inputsWithin is how long the requester may take to make the run's Secret, which comes right after the run.
const inputsWithin = 20 * time.Second

// admission is a pending run on its way through the gates, with what is known of it so far.
type admission struct {
	run     *kube.DrillRun
	inputs  drill.Inputs
	request Request // once its file has been read
}

// gate asks one thing of a pending run. Only a run that passes every gate gets a pod. A gate that says no ends the run
// itself; one that cannot tell yet says when to ask again.
type gate func(ctx context.Context, a *admission) (passed bool, again time.Duration, err error)

// gates are all, in order. What costs little and trusts nothing comes before anything of the requester's is read.
func (r *reconciler) gates() []gate {
	return []gate{r.notRestored, r.notCancelled, r.notHeld, r.notLocal, r.policed, r.notTooLate, r.notTooMany, r.hasInputs, r.readable, r.inWindow, r.withinLimits, r.mayDoIt}
}

// admit leads a run through the gates, and makes its runner pod.
func (r *reconciler) admit(ctx context.Context, run *kube.DrillRun) (time.Duration, error) {
	a := &admission{run: run}
	for _, passes := range r.gates() {
		if passed, again, err := passes(ctx, a); err != nil || !passed {
			return again, err
		}
	}
	return r.handOver(ctx, run, a.request)
}

func (r *reconciler) notCancelled(ctx context.Context, a *admission) (bool, time.Duration, error) {
	if a.run.CancelRequested() {
		return false, 0, r.end(ctx, a.run, drill.VerdictInterrupted, "Before it began, "+a.run.CancelledBecause()+".")
	}
	return true, 0, nil
}

func (r *reconciler) notLocal(ctx context.Context, a *admission) (bool, time.Duration, error) {
	if !a.run.Spec.Local {
		return true, 0, nil
	}
	// As the process that made the run did, unless it is of an older version.
	if err := r.runs.SetFinalizer(ctx, a.run, true); err != nil {
		return false, 0, err
	}
	again, err := r.awaitLocal(ctx, a.run)
	return false, again, err
}

// hasInputs waits for the Secret that the requester makes right after the run, and reads it.
func (r *reconciler) hasInputs(ctx context.Context, a *admission) (bool, time.Duration, error) {
	run := a.run
	in, _, err := kube.LoadInputs(ctx, r.o.Client, run)
	refusal, refused := errors.AsType[*drill.Refusal](err)
	switch {
	case errors.Is(err, kube.ErrNoInputs) && r.remember(run.Name).lasted("no inputs", inputsWithin):
		return false, 0, r.end(ctx, run, drill.VerdictRefused, fmt.Sprintf("%s has secret values for its drill file in Secret %s, and that was not made within %v. "+
			"Whoever asks for a run must make it right after: ask for it with drill run. Nothing was touched.", run.Name, kube.InputsSecret(run.Name), inputsWithin))
	case errors.Is(err, kube.ErrNoInputs):
		return false, whileHanded, nil
	case refused:
		return r.notOthers(ctx, run, refusal)
	case err != nil:
		return false, 0, err
	}
	a.inputs = in
	return true, 0, nil
}

// notOthers deletes a Secret that somebody else put in the place of the run's inputs, whose name can be foretold. The
// requester has as long to make the right one as without it.
func (r *reconciler) notOthers(ctx context.Context, run *kube.DrillRun, why *drill.Refusal) (bool, time.Duration, error) {
	late := r.remember(run.Name).lasted("no inputs", inputsWithin)
	strange, err := kube.RemoveStrangeInputs(ctx, r.o.Client, run)
	if err != nil {
		return false, 0, err
	}
	if !strange || late {
		return false, 0, r.end(ctx, run, drill.VerdictRefused, why.Error()+". Nothing was touched.")
	}
	r.o.Log.Warn("somebody else's Secret had the name of a run's inputs, and was deleted", zap.String("run", run.Name), zap.Error(why))
	return false, whileHanded, nil
}

// mayDoIt asks the cluster whether the requester may do what the drill does.
func (r *reconciler) mayDoIt(ctx context.Context, a *admission) (bool, time.Duration, error) {
	r.remember(a.run.Name).request = &a.request // also for the summary, if it is refused
	missing, err := r.o.Client.RequesterLacks(ctx, a.run.Spec.Requester, a.request.rights())
	if refusal, refused := errors.AsType[*drill.Refusal](err); refused {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, refusal.Error()+". Nothing was touched.")
	}
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) { // and will be as often as it is asked
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, fmt.Sprintf("%v. Nothing was touched.", err))
	}
	if err != nil {
		return false, 0, err
	}
	if len(missing) > 0 {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, lacks(a.run.Spec.Requester.User, missing))
	}
	return true, 0, nil
}

// handOver makes the runner pod of a run that passed every gate.
func (r *reconciler) handOver(ctx context.Context, run *kube.DrillRun, request Request) (time.Duration, error) {
	// Before anything can be injected: from now on deleting the record does not lose the way back.
	if err := r.runs.Protect(ctx, run, request.fault(), request.Namespaces); err != nil {
		return 0, err
	}
	pod, err := runnerPod(r.o, run, request)
	if err != nil {
		return 0, r.end(ctx, run, drill.VerdictRefused, err.Error())
	}
	pods := r.o.Client.CoreV1().Pods(r.o.Namespace)
	_, err = pods.Create(ctx, pod, metav1.CreateOptions{FieldManager: kube.ManagedBy})
	switch {
	case err == nil:
	case apierrors.IsAlreadyExists(err): // made by a server that stopped before it could say so
		there, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return 0, fmt.Errorf("read pod %s: %w", pod.Name, err)
		}
		if !metav1.IsControlledBy(there, run) {
			return 0, r.end(ctx, run, drill.VerdictRefused, fmt.Sprintf("There is a pod %s already, which is not this run's. Delete it.", pod.Name))
		}
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return 0, r.end(ctx, run, drill.VerdictRefused, fmt.Sprintf(
			"The runner pod cannot be made in namespace %s, by its quota or its policies: %v. Nothing was touched.", r.o.Namespace, err))
	default:
		return 0, fmt.Errorf("create pod %s: %w", pod.Name, err)
	}
	if _, err := r.runs.Admit(ctx, run.Name, pod.Name); err != nil {
		return 0, err
	}
	r.remember(run.Name).admitted = time.Now() // and not when it was first seen to lack its Secret
	r.o.Log.Info("run admitted", zap.String("run", run.Name), zap.String("requester", run.Spec.Requester.User))
	return whileStarting, nil
}

// awaitLocal leaves a run to the process that created it, unless that is gone.
func (r *reconciler) awaitLocal(ctx context.Context, run *kube.DrillRun) (time.Duration, error) {
	if time.Since(r.remember(run.Name).admitted) < startWithin {
		return whileRunning, nil
	}
	return 0, r.end(ctx, run, drill.VerdictInterrupted, "The process that asked for the run never began it. Nothing was touched.")
}

// rights are what the requester must hold, in every namespace of the targets.
func (q Request) rights() []kube.Right {
	return kube.RunRights(q.Namespaces, q.FaultKinds, q.Secrets, q.Reads)
}

func lacks(user string, missing []kube.Right) string {
	names := make([]string, len(missing))
	for i, right := range missing {
		names[i] = right.String()
	}
	return fmt.Sprintf("%s may not %s. A run does nothing that its requester may not; nothing was touched.",
		user, strings.Join(names, ", nor "))
}

// begin waits for the runner to claim the run, and gives up on a pod that cannot start.
func (r *reconciler) begin(ctx context.Context, run *kube.DrillRun) (time.Duration, error) {
	name := kube.RunnerPod(run.Name)
	if run.CancelRequested() {
		if err := r.end(ctx, run, drill.VerdictInterrupted, "Before it began, "+run.CancelledBecause()+"."); err != nil {
			return 0, err
		}
		if run.Spec.Local {
			return 0, nil
		}
		return 0, r.deletePod(ctx, name, "")
	}
	if run.Spec.Local {
		return r.awaitLocal(ctx, run)
	}
	if r.stillMay(ctx, run) {
		return whileHanded, nil
	}
	m := r.remember(run.Name)
	pod, err := r.o.Client.CoreV1().Pods(r.o.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return 0, r.end(ctx, run, drill.VerdictError, "The runner pod was deleted before it began. Nothing was touched.")
	}
	if err != nil {
		return 0, fmt.Errorf("read pod %s: %w", name, err)
	}
	verdict, message := drill.VerdictError, ""
	switch trouble := kube.PodTrouble(pod); {
	case trouble != nil && m.lasted(trouble.Code, trouble.Patience):
		message = fmt.Sprintf("The runner did not start: %s. Nothing was touched.", trouble.Text)
		if trouble.Code == kube.TroubleUnschedulable || trouble.Code == kube.TroubleImage {
			verdict = drill.VerdictRefused // for the cluster's owner to mend
		}
	case trouble == nil && kubeTerminal(pod):
		message = "The runner ended without beginning the run. Nothing was touched."
	case time.Since(m.admitted) >= startWithin:
		message = fmt.Sprintf("The runner did not begin within %v. Nothing was touched.", startWithin)
		if trouble != nil {
			message += " Its pod: " + trouble.Text + "."
		} else if warnings := kube.Warnings(ctx, r.o.Client, r.o.Namespace, "Pod", name); len(warnings) > 0 {
			message += " Its pod: " + strings.Join(warnings, "; ") + "."
		}
	default:
		return whileStarting, nil
	}
	// First the verdict: a runner that starts after all finds the run finished and touches nothing.
	if err := r.end(ctx, run, verdict, message); err != nil {
		return 0, err
	}
	if kubeTerminal(pod) {
		return 0, nil
	}
	return 0, r.deletePod(ctx, name, pod.UID)
}

// deletePod deletes a runner pod, and with a UID only this very one.
func (r *reconciler) deletePod(ctx context.Context, name string, uid types.UID) error {
	options := metav1.DeleteOptions{}
	if uid != "" {
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err := r.o.Client.CoreV1().Pods(r.o.Namespace).Delete(ctx, name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s: %w", name, err)
	}
	return nil
}
