package server

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

const ns = "failoverdrill"

// world is a reconciler over a cluster that exists in memory only. It does not enforce resource versions: that is for
// the end-to-end tests.
type world struct {
	*testing.T
	*reconciler
	api      *fake.Clientset
	reverted []string
	failing  error
}

func newWorld(t *testing.T) *world {
	api := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}})
	api.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		review.Status.Allowed = true
		return true, review, nil
	})
	dyn := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		kube.Resource: "DrillRunList", {Version: "v1", Resource: "pods"}: "PodList"})
	w := &world{T: t, api: api}
	o := Options{Client: &kube.Client{Interface: api, Dynamic: dyn, Metadata: metaOf{dyn}}, Namespace: ns, Image: "drill:test", Log: zap.NewNop(),
		Check: func(kube.Spec, drill.Inputs) (Request, error) {
			return Request{Namespaces: []string{"shop"}, FaultKinds: []string{"kill_primary"}, Avoid: []Pods{{"shop", "app=db,tier in (a,b)"}}, Timeout: time.Minute}, nil
		},
		Revert: func(_ context.Context, rec kube.FaultRecord, _ string) error {
			w.reverted = append(w.reverted, rec.Name)
			return w.failing
		}}
	w.reconciler = newReconciler(o, newIndex(o))
	t.Cleanup(w.queue.ShutDown)
	return w
}

func (w *world) create(status kube.Status, edit ...func(*kube.DrillRun)) string {
	w.Helper()
	run := &kube.DrillRun{TypeMeta: metav1.TypeMeta{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: "r1", Namespace: ns, UID: "run-uid"}, Spec: kube.Spec{Drill: "d", Requester: kube.Requester{User: "alice"}}, Status: status}
	for _, e := range edit {
		e(run)
	}
	raw, err := json.Marshal(run)
	require.NoError(w, err)
	u := new(unstructured.Unstructured)
	require.NoError(w, u.UnmarshalJSON(raw))
	_, err = w.o.Client.Dynamic.Resource(kube.Resource).Namespace(ns).Create(w.Context(), u, metav1.CreateOptions{})
	require.NoError(w, err)
	return run.Name
}

// step reconciles until the run is finished, or for as long as it may take. Time is the test's own.
func (w *world) step(limit time.Duration) (*kube.DrillRun, time.Duration) {
	w.Helper()
	began := time.Now()
	for {
		again, err := w.reconcile(w.Context(), "r1")
		require.NoError(w, err)
		run, err := w.runs.Get(w.Context(), "r1")
		require.NoError(w, err)
		if run.Finished() || time.Since(began) >= limit || again == 0 {
			return run, time.Since(began)
		}
		time.Sleep(again)
	}
}

// letGo reconciles until the run's record is let go, or for as long as that may take.
func (w *world) letGo(limit time.Duration) (*kube.DrillRun, time.Duration) {
	w.Helper()
	began := time.Now()
	for {
		again, err := w.reconcile(w.Context(), "r1")
		require.NoError(w, err)
		run, err := w.runs.Get(w.Context(), "r1")
		require.NoError(w, err)
		if !slices.Contains(run.Finalizers, kube.Finalizer) || time.Since(began) >= limit {
			return run, time.Since(began)
		}
		require.NotZero(w, again, "nothing would look at the run again")
		time.Sleep(min(again, limit-time.Since(began)))
	}
}

func (w *world) setPod(edit func(*corev1.Pod)) {
	w.Helper()
	pod, err := w.api.CoreV1().Pods(ns).Get(w.Context(), "run-r1", metav1.GetOptions{})
	if err != nil {
		pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "run-r1", Namespace: ns, UID: "pod-uid"}, Spec: corev1.PodSpec{NodeName: "n1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		pod, err = w.api.CoreV1().Pods(ns).Create(w.Context(), pod, metav1.CreateOptions{})
		require.NoError(w, err)
	}
	edit(pod)
	_, err = w.api.CoreV1().Pods(ns).Update(w.Context(), pod, metav1.UpdateOptions{})
	require.NoError(w, err)
}

func running() kube.Status {
	return kube.Status{Phase: kube.PhaseRunning, Generation: 3, Runner: kube.Runner{Pod: "run-r1", UID: "pod-uid"}, Faults: []kube.FaultRecord{
		{Kind: "kill_primary", Name: "a", State: json.RawMessage(`{}`), Phase: kube.FaultInjecting}}}
}

func TestAnAdmittedRunHasOnePodThatHarmsNobody(t *testing.T) {
	w := newWorld(t)
	w.create(kube.Status{})
	_, err := w.reconcile(t.Context(), "r1")
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)
	require.Contains(t, run.Finalizers, kube.Finalizer)
	pod, err := w.api.CoreV1().Pods(ns).Get(t.Context(), "run-r1", metav1.GetOptions{})
	require.NoError(t, err)
	require.True(t, metav1.IsControlledBy(pod, run))
	require.Equal(t, corev1.RestartPolicyNever, pod.Spec.RestartPolicy)
	require.EqualValues(t, 60+45*60, *pod.Spec.ActiveDeadlineSeconds)
	c := pod.Spec.Containers[0]
	require.Equal(t, []string{"exec", "r1"}, c.Args)
	require.True(t, *pod.Spec.SecurityContext.RunAsNonRoot)
	require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
	require.NotContains(t, c.Resources.Limits, corev1.ResourceCPU, "being throttled would look like an outage")
	term := pod.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm
	require.Equal(t, []string{"shop"}, term.Namespaces)
	require.Equal(t, map[string]string{"app": "db"}, withoutOperators(term.LabelSelector))

	// A server that stopped between the two writes finds its pod, and makes no second.
	run.Status.Phase = kube.PhasePending
	again, err := w.admit(t.Context(), run)
	require.NoError(t, err)
	require.NotZero(t, again)
}

func withoutOperators(s *metav1.LabelSelector) map[string]string {
	all := map[string]string{}
	for _, e := range s.MatchExpressions {
		if len(e.Values) == 1 {
			all[e.Key] = e.Values[0]
		}
	}
	maps.Copy(all, s.MatchLabels)
	return all
}

func TestAPodThatNoNodeTakesEndsTheRunWithin30s(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(kube.Status{Phase: kube.PhaseAdmitted, Runner: kube.Runner{Pod: "run-r1"}})
		w.setPod(func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: "Unschedulable", Message: "0/4 nodes are available: 4 node(s) had untolerated taint(s)."}}}
		})
		run, took := w.step(time.Hour)
		require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "untolerated taint")
		require.Less(t, took, 30*time.Second)
		require.Greater(t, took, 15*time.Second)
		pods, err := w.api.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		require.Empty(t, pods.Items)
	})
}

func TestAPodThatHangsBeforeItBeginsEndsTheRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(kube.Status{Phase: kube.PhaseAdmitted, Runner: kube.Runner{Pod: "run-r1"}})
		w.setPod(func(*corev1.Pod) {})
		run, took := w.step(time.Hour)
		require.Equal(t, drill.VerdictError, run.Status.Verdict)
		require.InDelta(t, startWithin.Seconds(), took.Seconds(), 5)
	})
}

func TestARunnerOnASilentNodeIsDeadOnceItsLocksAreStale(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(running())
		w.setPod(func(*corev1.Pod) {})
		holder, seconds := "r1", int32(15)
		lease, err := w.api.CoordinationV1().Leases(ns).Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lock-x", Namespace: ns, UID: "l", ResourceVersion: "1",
			Labels: map[string]string{kube.LabelComponent: "lock", kube.LabelRun: "r1"}}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds}}, metav1.CreateOptions{})
		require.NoError(t, err)
		run, _ := w.step(40 * time.Second)
		require.Equal(t, kube.PhaseRunning, run.Status.Phase, "a live pod on a live node")

		node, err := w.api.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
		require.NoError(t, err)
		node.Status.Conditions[0].Status = corev1.ConditionUnknown
		_, err = w.api.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{})
		require.NoError(t, err)
		stop := time.Now().Add(time.Minute)
		for v := 2; time.Now().Before(stop); v++ { // the kubelet is dead, the runner is not
			lease.ResourceVersion = string(rune('a' + v))
			lease, err = w.api.CoordinationV1().Leases(ns).Update(t.Context(), lease, metav1.UpdateOptions{})
			require.NoError(t, err)
			run, _ = w.step(0)
			require.Equal(t, kube.PhaseRunning, run.Status.Phase)
			time.Sleep(5 * time.Second)
		}
		run, took := w.step(time.Hour)
		require.Equal(t, drill.VerdictError, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "node n1 does not answer")
		require.Less(t, took, 30*time.Second)
		require.Equal(t, []string{"a"}, w.reverted)
		left, err := w.api.CoordinationV1().Leases(ns).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		require.Empty(t, left.Items)
		pods, err := w.api.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		require.Empty(t, pods.Items, "it must not wake up later")
	})
}

func TestWhatStaysAfterEveryAttemptIsResidue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.failing = errors.New("node n7 is gone")
		w.create(running())
		w.setPod(func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodFailed
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "panic: oh"}}}}
		})
		run, took := w.step(time.Hour)
		require.Equal(t, drill.VerdictError, run.Status.Verdict)
		require.Equal(t, []string{"node n7 is gone"}, run.Residue())
		require.Equal(t, `The runner died: its container ended with exit code 2 (Error): panic: oh. Someone must act, something is left of fault "kill_primary" "a": node n7 is gone.`, run.Status.Message)
		require.InDelta(t, revertWithin.Seconds(), took.Seconds(), 20)
		require.Greater(t, len(w.reverted), 5)
	})
}

func TestAPodThatIsAnotherThanTheOneThatClaimedIsNoRunner(t *testing.T) {
	w := newWorld(t)
	status := running()
	status.Runner.UID = "an older pod"
	w.create(status)
	w.setPod(func(*corev1.Pod) {})
	run, _ := w.step(time.Minute)
	require.Contains(t, run.Status.Message, "its pod was deleted")
}

func TestALocalRunIsLeftAloneUntilItsLocksAreStale(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		local := func(r *kube.DrillRun) { r.Spec.Local = true }
		status := running()
		status.Runner = kube.Runner{Pod: "local", UID: "local"}
		w.create(status, local)
		run, _ := w.step(10 * time.Minute)
		require.Equal(t, kube.PhaseRunning, run.Status.Phase, "it may be before its locks, or after them")
		holder, seconds := "r1", int32(15)
		_, err := w.api.CoordinationV1().Leases(ns).Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lock-x", Namespace: ns, UID: "l", ResourceVersion: "1",
			Labels: map[string]string{kube.LabelComponent: "lock", kube.LabelRun: "r1"}}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds}}, metav1.CreateOptions{})
		require.NoError(t, err)
		run, took := w.step(time.Hour)
		require.Equal(t, drill.VerdictError, run.Status.Verdict)
		require.Less(t, took, 2*time.Minute)
		require.Equal(t, []string{"a"}, w.reverted)
	})
}

func TestALocalRunThatNeverBeginsEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(kube.Status{}, func(r *kube.DrillRun) { r.Spec.Local = true })
		run, _ := w.step(time.Hour)
		require.Equal(t, drill.VerdictInterrupted, run.Status.Verdict)
		pods, err := w.api.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		require.Empty(t, pods.Items)
	})
}

func TestAFinishedRunWhoseRevertWasNotNotedIsPutBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		status := running()
		status.Phase, status.Verdict = kube.PhaseFinished, drill.VerdictPassed
		w.create(status, func(r *kube.DrillRun) { r.Finalizers = []string{kube.Finalizer} })
		run, _ := w.letGo(time.Minute)
		require.Equal(t, []string{"a"}, w.reverted)
		require.Empty(t, run.Unreverted())
		require.Empty(t, run.Finalizers)
		require.Equal(t, drill.VerdictPassed, run.Status.Verdict)
		require.False(t, run.HadResidue())
	})
}

// TestTheRequesterMustHoldEveryRight: what the runner may do, its requester must be allowed to.
func TestTheRequesterMustHoldEveryRight(t *testing.T) {
	var all []string
	for _, r := range (Request{Namespaces: []string{"shop"}, FaultKinds: []string{"kill_primary"}, Secrets: []Secret{{Namespace: "shop", Name: "orders-app"}},
		Reads: []drill.Permission{{Verb: "list", Group: "discovery.k8s.io", Resource: "endpointslices", Namespace: "bank"}}}).rights() {
		all = append(all, r.String())
	}
	require.Equal(t, []string{"inject faults.failoverdrill.io kill_primary in namespace shop", "get secrets orders-app in namespace shop",
		"list endpointslices.discovery.k8s.io in namespace bank"}, all)
}
