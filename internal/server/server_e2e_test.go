//go:build e2e

package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/server"
)

// idle is an image that every node of the lab has, and that does nothing, whatever its arguments.
const idle = "registry.k8s.io/pause:3.10.2"

// lab is a namespace of the lab with a server of its own, which runs in this process.
type lab struct {
	*testing.T
	client *kube.Client
	runs   *kube.Runs
	me     kube.Requester
	image  string

	mu       sync.Mutex
	checked  int
	reverted []string
	failing  error // what Revert returns
}

func newLab(t *testing.T) *lab {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "these tests need a cluster: set KUBECONFIG, for instance to test/lab/kubeconfig")
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	ctx := t.Context()
	require.NoError(t, deploy.ApplyDefinitions(ctx, c))
	ns, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "drill-test-", Labels: map[string]string{"failoverdrill.io/test": "server"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		runs := kube.NewRuns(c.Dynamic, ns.Name)
		left, _ := runs.List(ctx)
		for _, run := range left { // the test's server is gone, and nobody else would let them go
			_ = runs.SetFinalizer(ctx, run, false)
		}
		_ = c.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{})
	})
	_, err = c.CoreV1().ServiceAccounts(ns.Name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "drill-runner"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	me, err := c.WhoAmI(ctx)
	require.NoError(t, err)
	return &lab{T: t, client: c, runs: kube.NewRuns(c.Dynamic, ns.Name), me: me, image: idle}
}

func (l *lab) options(identity string) server.Options {
	return server.Options{
		Client: l.client, Namespace: l.runs.Namespace(), Image: l.image, Identity: identity, Log: zaptest.NewLogger(l, zaptest.Level(zap.InfoLevel)),
		Check: func(s kube.Spec, _ drill.Inputs) (server.Request, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.checked++
			switch s.Source {
			case "broken":
				return server.Request{}, errors.New("a.hcl:1: no such block")
			case "panic":
				panic("oh")
			}
			return server.Request{Namespaces: []string{"shop"}, FaultKinds: []string{"kill_primary"}, Timeout: time.Minute,
				Secrets: []server.Secret{{Namespace: "shop", Name: "orders-app"}},
				Avoid:   []server.Pods{{Namespace: "shop", Selector: "application=patroni,cluster-name=orders"}}}, nil
		},
		Revert: func(_ context.Context, rec kube.FaultRecord, run string) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.failing != nil {
				return l.failing
			}
			l.reverted = append(l.reverted, rec.Name)
			return nil
		},
	}
}

// serve starts a server and returns how to stop it.
func (l *lab) serve(identity string) (stop func()) {
	l.Helper()
	return l.serveWith(identity, func(*server.Options) {})
}

func (l *lab) serveWith(identity string, edit func(*server.Options)) (stop func()) {
	l.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.Context()))
	done := make(chan error, 1)
	o := l.options(identity)
	edit(&o)
	go func() { done <- server.Run(ctx, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(l, <-done)
	})
	l.Cleanup(stop)
	return stop
}

// inForce waits until a user has a right: the API server learns of a new binding a moment after it has stored it.
func (l *lab) inForce(user, verb, group, resource string) {
	l.Helper()
	right := kube.Right{Permission: drill.Permission{Verb: verb, Group: group, Resource: resource, Namespace: l.runs.Namespace()}}
	require.Eventually(l, func() bool {
		missing, err := l.client.RequesterMay(context.WithoutCancel(l.Context()), kube.Requester{User: user}, []kube.Right{right})
		return err == nil && len(missing) == 0
	}, 20*time.Second, 100*time.Millisecond, right.String())
}

func (l *lab) create(source string) *kube.DrillRun {
	l.Helper()
	run, err := l.runs.Create(l.Context(), kube.Spec{Drill: "d", File: "a.hcl", Source: source, Requester: l.me})
	require.NoError(l, err)
	return run
}

// await waits until the record is as it should be.
func (l *lab) await(name string, within time.Duration, ok func(*kube.DrillRun) bool) *kube.DrillRun {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), within)
	defer cancel()
	var last *kube.DrillRun
	err := l.runs.Watch(ctx, name, func(r *kube.DrillRun) bool { last = r; return !ok(r) })
	require.NoError(l, err, "last seen: %+v", last)
	return last
}

func finished(r *kube.DrillRun) bool { return r.Finished() && len(r.Finalizers) == 0 }

func phase(p kube.Phase) func(*kube.DrillRun) bool {
	return func(r *kube.DrillRun) bool { return r.Status.Phase == p }
}

// begin plays the runner up to an injected fault: claim, lock, journal.
func (l *lab) begin(run *kube.DrillRun) (*corev1.Pod, *kube.Journal) {
	l.Helper()
	ctx := l.Context()
	run = l.await(run.Name, 20*time.Second, phase(kube.PhaseAdmitted))
	var pod *corev1.Pod
	require.Eventually(l, func() bool {
		var err error
		pod, err = l.client.CoreV1().Pods(l.runs.Namespace()).Get(ctx, run.Status.Runner.Pod, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning
	}, 60*time.Second, 200*time.Millisecond)
	run, err := l.runs.Claim(ctx, run.Name, kube.Runner{Pod: pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName})
	require.NoError(l, err)
	_, _, err = kube.NewLock(l.client, l.runs, run.Name).Acquire(ctx, []string{"namespace/shop-of-" + l.runs.Namespace()})
	require.NoError(l, err)
	journal := l.runs.Journal(run.Name, run.Status.Generation)
	for _, name := range []string{"first", "second", "third"} {
		require.NoError(l, journal.Injecting(ctx, "kill_primary", name, json.RawMessage(`{"node":"n"}`)))
	}
	require.NoError(l, journal.Reverted(ctx, "kill_primary", "first", nil))
	return pod, journal
}

func (l *lab) kill(pod *corev1.Pod) {
	l.Helper()
	require.NoError(l, l.client.CoreV1().Pods(pod.Namespace).Delete(l.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
}

func (l *lab) locks() int {
	l.Helper()
	list, err := l.client.CoordinationV1().Leases(l.runs.Namespace()).List(l.Context(), metav1.ListOptions{LabelSelector: kube.LabelRun})
	require.NoError(l, err)
	return len(list.Items)
}

func TestARunThatMayNotBeIsRefusedAndTouchesNothing(t *testing.T) {
	l := newLab(t)
	l.serve("one")
	got := l.await(l.create("broken").Name, 20*time.Second, finished)
	require.Equal(t, drill.VerdictRefused, got.Status.Verdict)
	require.Equal(t, "a.hcl:1: no such block", got.Status.Message)
	got = l.await(l.create("panic").Name, 10*time.Second, finished)
	require.Equal(t, drill.VerdictRefused, got.Status.Verdict)

	alice, err := l.client.As("alice@example.com", "system:masters-not", "system:authenticated")
	require.NoError(t, err)
	l.me, err = alice.WhoAmI(t.Context())
	require.NoError(t, err)
	asked, err := l.client.As(l.me.User, l.me.Groups...)
	require.NoError(t, err)
	_, err = kube.NewRuns(asked.Dynamic, l.runs.Namespace()).Create(t.Context(), kube.Spec{Drill: "d", File: "f", Source: "s", Requester: l.me})
	var refusal *drill.Refusal
	require.ErrorAs(t, err, &refusal, "she may not even ask")
}

func TestTheRequestersRightsBoundTheRun(t *testing.T) {
	l := newLab(t)
	l.serve("one")
	// An administrator who gives up his groups asks as one who may create runs and nothing else.
	ctx := t.Context()
	_, err := l.client.RbacV1().RoleBindings(l.runs.Namespace()).Create(ctx, requesterBinding("alice@example.com"), metav1.CreateOptions{})
	require.NoError(t, err)
	l.inForce("alice@example.com", "create", "failoverdrill.io", "drillruns")
	alice, err := l.client.As("alice@example.com", "system:authenticated")
	require.NoError(t, err)
	who, err := alice.WhoAmI(ctx)
	require.NoError(t, err)
	run, err := kube.NewRuns(alice.Dynamic, l.runs.Namespace()).Create(ctx, kube.Spec{Drill: "d", File: "f", Source: "s", Requester: who})
	require.NoError(t, err)
	got := l.await(run.Name, 20*time.Second, finished)
	require.Equal(t, drill.VerdictRefused, got.Status.Verdict)
	require.Contains(t, got.Status.Message, "alice@example.com may not inject faults.failoverdrill.io kill_primary in namespace shop, nor get secrets orders-app in namespace shop")
}

func TestADeadRunnerIsSweptUp(t *testing.T) {
	l := newLab(t)
	l.serve("one")
	pod, journal := l.begin(l.create("ok"))
	require.NotEmpty(t, pod.Spec.NodeName)
	run := l.await(pod.Labels[kube.LabelRun], time.Second, phase(kube.PhaseRunning))
	require.Contains(t, run.Finalizers, kube.Finalizer)
	require.Equal(t, 1, l.locks())
	l.kill(pod)
	began := time.Now()
	got := l.await(run.Name, server.LateWithin+30*time.Second, finished)
	t.Logf("swept %v after the pod's end: %s", time.Since(began), got.Status.Message)
	require.Equal(t, drill.VerdictError, got.Status.Verdict)
	require.Equal(t, []string{"third", "second", "third", "second"}, l.reverted, "in reverse order, not what was reverted before, and again when nothing more can come")
	require.Contains(t, got.Status.Message, `The runner died: its pod was deleted. The server put back: fault "kill_primary" "third", fault "kill_primary" "second".`)
	require.Empty(t, got.Unreverted())
	require.Zero(t, l.locks())
	require.ErrorIs(t, journal.Injecting(t.Context(), "kill_primary", "fourth", json.RawMessage(`{}`)), kube.ErrSuperseded)
}

func TestWhatCannotBeRevertedIsResidueAndTheNextServerGoesOnTrying(t *testing.T) {
	l := newLab(t)
	l.failing = errors.New("node n is gone")
	stop := l.serve("one")
	pod, _ := l.begin(l.create("ok"))
	l.kill(pod)
	time.Sleep(3 * time.Second)
	stop() // in the middle of its attempts
	run, err := l.runs.Get(t.Context(), pod.Labels[kube.LabelRun])
	require.NoError(t, err)
	require.False(t, run.Finished())
	l.mu.Lock()
	l.failing = nil
	l.mu.Unlock()
	l.serve("two")
	got := l.await(run.Name, server.LateWithin+40*time.Second, finished)
	require.Equal(t, []string{"third", "second", "third", "second"}, l.reverted)
	require.Empty(t, got.Residue())
}

func TestARunnerThatFinishesIsLeftAlone(t *testing.T) {
	l := newLab(t)
	l.serve("one")
	pod, journal := l.begin(l.create("ok"))
	ctx := t.Context()
	require.NoError(t, journal.Reverted(ctx, "kill_primary", "second", nil))
	require.NoError(t, journal.Reverted(ctx, "kill_primary", "third", nil))
	require.NoError(t, journal.Finish(ctx, kube.Outcome{Verdict: drill.VerdictPassed, Message: "ok"}))
	l.kill(pod)
	got := l.await(pod.Labels[kube.LabelRun], 20*time.Second, finished)
	time.Sleep(3 * time.Second)
	require.Equal(t, drill.VerdictPassed, got.Status.Verdict)
	require.Empty(t, l.reverted)
}

func TestARunnerThatCannotStartEndsItsRunSoon(t *testing.T) {
	t.Run("image", func(t *testing.T) {
		l := newLab(t)
		l.image = "localhost:1/drill:none"
		l.serve("one")
		began := time.Now()
		run := l.create("ok")
		got := l.await(run.Name, 45*time.Second, finished)
		t.Logf("after %v: %s", time.Since(began), got.Status.Message)
		require.Equal(t, drill.VerdictRefused, got.Status.Verdict)
		require.Contains(t, got.Status.Message, "has no image localhost:1/drill:none and cannot pull it")
		require.Eventually(t, func() bool {
			pods, err := l.client.CoreV1().Pods(l.runs.Namespace()).List(context.Background(), metav1.ListOptions{})
			return err == nil && len(pods.Items) == 0
		}, 20*time.Second, 200*time.Millisecond, "its pod is deleted")
	})
	t.Run("quota", func(t *testing.T) {
		l := newLab(t)
		_, err := l.client.CoreV1().ResourceQuotas(l.runs.Namespace()).Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "none"},
			Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		time.Sleep(time.Second) // until the quota is known
		l.serve("one")
		got := l.await(l.create("ok").Name, 20*time.Second, finished)
		require.Equal(t, drill.VerdictRefused, got.Status.Verdict)
		require.Contains(t, got.Status.Message, "exceeded quota: none")
	})
	t.Run("exits at once", func(t *testing.T) {
		l := newLab(t)
		l.image = "registry.k8s.io/coredns/coredns:v1.14.2" // is on every node, and has no command exec
		l.serve("one")
		got := l.await(l.create("ok").Name, 90*time.Second, finished)
		t.Log(got.Status.Message)
		require.Equal(t, drill.VerdictError, got.Status.Verdict)
		require.Contains(t, got.Status.Message, "Nothing was touched")
	})
}

func TestACancelledOrDeletedRunDoesNotBegin(t *testing.T) {
	l := newLab(t)
	run := l.create("ok")
	require.NoError(t, l.runs.Cancel(t.Context(), run.Name))
	l.serve("one")
	got := l.await(run.Name, 20*time.Second, finished)
	require.Equal(t, drill.VerdictInterrupted, got.Status.Verdict)

	run = l.create("ok")
	l.await(run.Name, 20*time.Second, phase(kube.PhaseAdmitted))
	require.NoError(t, l.client.Dynamic.Resource(kube.Resource).Namespace(l.runs.Namespace()).Delete(t.Context(), run.Name, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		_, err := l.runs.Get(context.Background(), run.Name)
		return err != nil
	}, 20*time.Second, 200*time.Millisecond)
}

func TestOfTwoServersOneLeadsAndTheOtherTakesOver(t *testing.T) {
	l := newLab(t)
	stopOne := l.serve("one")
	l.await(l.create("broken").Name, 20*time.Second, finished)
	l.serve("two")
	for range 3 {
		l.await(l.create("broken").Name, 10*time.Second, finished)
	}
	require.Equal(t, 4, l.checked, "each run is checked by one server")
	stopOne()
	l.await(l.create("broken").Name, 20*time.Second, finished)
}

func TestThePortIsReadOnly(t *testing.T) {
	l := newLab(t)
	o := l.options("one")
	// A port that the kernel gives to nobody's connection, at an address of this process's own.
	o.Listen = fmt.Sprintf("127.%d.%d.1:9471", 1+os.Getpid()>>8%200, os.Getpid()%256)
	o.Registry = prometheus.NewRegistry()
	o.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "drill_test"}, func() float64 { return 7 }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, o) }()
	get := func(method, path string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+o.Listen+path, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, ""
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	require.Eventually(t, func() bool { _, body := get("GET", "/readyz"); return body == "ok, leading\n" }, 20*time.Second, 100*time.Millisecond)
	code, _ := get("GET", "/healthz")
	require.Equal(t, 200, code)
	_, body := get("GET", "/metrics")
	require.Contains(t, body, "drill_test 7")
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		code, _ := get(method, "/metrics")
		require.Equal(t, http.StatusMethodNotAllowed, code, fmt.Sprint(method))
	}
	cancel()
	require.NoError(t, <-done)
}

// T6: a backup tool restores spec and metadata, without status and with a new UID. The API server's real policies are in force.
func TestT6ARecordThatABackupRestoredIsRefused(t *testing.T) {
	l := newLab(t)
	l.serve("one")
	got := l.await(l.create("broken").Name, 20*time.Second, finished)
	require.Equal(t, string(got.UID), got.Annotations[kube.AnnotationSeen])
	records := l.client.Dynamic.Resource(kube.Resource).Namespace(l.runs.Namespace())
	backup, err := records.Get(t.Context(), got.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, records.Delete(t.Context(), got.Name, metav1.DeleteOptions{}))
	delete(backup.Object, "status")
	backup.SetUID("")
	backup.SetResourceVersion("")
	_, err = records.Create(t.Context(), backup, metav1.CreateOptions{})
	require.NoError(t, err)
	again := l.await(got.Name, 20*time.Second, finished)
	require.Equal(t, drill.VerdictRefused, again.Status.Verdict)
	require.Contains(t, again.Status.Message, "restored from a backup; it never runs again")
}
