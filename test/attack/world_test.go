//go:build e2e

package attack

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// den is the one namespace in which the tenant may inject faults.
const den = "mallory"

// world is the lab with drill in it, and those who attack it.
type world struct {
	*testing.T
	admin *kube.Client
	runs  *kube.Runs

	requester *kube.Client // may ask for runs, and break nothing
	tenant    *kube.Client // may ask for runs, and break what is in its own namespace
	scheduler *kube.Client // may install scheduled drills
	runner    *kube.Client // drill's own account, stolen
	server    *kube.Client // and the other one

	restarts map[string]int32  // of drill's servers, before the attacks
	records  map[string]string // what every finished run looked like before them
}

func enter(t *testing.T) *world {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "KUBECONFIG must name the lab; run make attack")
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	w := &world{T: t, admin: c, runs: kube.NewRuns(c.Dynamic, "")}
	_, err = c.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: den}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		_ = c.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), den, metav1.DeleteOptions{})
	})
	w.requester = w.user("eve", "drill-requester")
	w.tenant = w.user("mallory", "drill-requester")
	w.bind("mallory", "ClusterRole", "drill-injector", den)
	w.scheduler = w.user("trudy", "drill-requester", "drill-scheduler")
	w.runner = w.account("drill-runner")
	w.server = w.account("drill-server")
	w.restarts, w.records = w.restarted(), w.kept()
	return w
}

// user is a person with some of drill's roles in its namespace, and no other right.
func (w *world) user(name string, roles ...string) *kube.Client {
	w.Helper()
	for _, role := range roles {
		w.bind(name, "ClusterRole", role, kube.Namespace)
	}
	c, err := w.admin.As(name, "system:authenticated")
	require.NoError(w, err)
	return c
}

func (w *world) bind(user, kind, role, namespace string) {
	w.Helper()
	name := "attack-" + user + "-" + role
	bindings := w.admin.RbacV1().RoleBindings(namespace)
	_, err := bindings.Create(w.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(w, err)
	}
	w.Cleanup(func() { _ = bindings.Delete(context.WithoutCancel(w.Context()), name, metav1.DeleteOptions{}) })
}

// account is one of drill's own service accounts, in wrong hands.
func (w *world) account(name string) *kube.Client {
	w.Helper()
	c, err := w.admin.As("system:serviceaccount:"+kube.Namespace+":"+name, "system:serviceaccounts", "system:serviceaccounts:"+kube.Namespace, "system:authenticated")
	require.NoError(w, err)
	return c
}

// ask asks for a run of a drill file as somebody.
func (w *world) ask(as *kube.Client, source string, change ...func(*kube.DrillRun)) (*kube.DrillRun, error) {
	w.Helper()
	me, err := as.WhoAmI(w.Context())
	require.NoError(w, err)
	run := &kube.DrillRun{Spec: kube.Spec{Drill: "attack", File: "attack.hcl", Source: source, Requester: me}}
	run.GenerateName = "attack-"
	for _, c := range change {
		c(run)
	}
	return createRaw(w.Context(), as, run)
}

// refused asks for a run and waits until drill has refused it, with these words.
func (w *world) refused(as *kube.Client, source string, words ...string) {
	w.Helper()
	run, err := w.ask(as, source)
	require.NoError(w, err)
	defer func() {
		_ = w.admin.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(w.Context()), run.Name, metav1.DeleteOptions{})
	}()
	run = w.ended(run.Name, 90*time.Second)
	require.Equal(w, drill.VerdictRefused, run.Status.Verdict, run.Status.Message)
	for _, word := range words {
		require.Contains(w, run.Status.Message, word)
	}
	w.Logf("%s", short(run.Status.Message))
}

func (w *world) ended(name string, limit time.Duration) *kube.DrillRun {
	w.Helper()
	var run *kube.DrillRun
	w.eventually(limit, name+" ends", func() (bool, string) {
		var err error
		if run, err = w.runs.Get(w.Context(), name); err != nil {
			return false, err.Error()
		}
		return run.Finished(), fmt.Sprint(run.Status.Phase, " ", run.Status.Message)
	})
	return run
}

// forbidden demands that the cluster refused a request, with these words.
func (w *world) forbidden(err error, words ...string) {
	w.Helper()
	require.Error(w, err)
	require.True(w, apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err), "%v", err)
	for _, word := range words {
		require.ErrorContains(w, err, word)
	}
	w.Logf("%s", short(err.Error()))
}

// in plays one attack as a subtest.
func (w *world) in(name string, attack func(w *world)) {
	w.Run(name, func(t *testing.T) {
		inner := *w
		inner.T = t
		attack(&inner)
	})
}

func (w *world) eventually(limit time.Duration, what string, ok func() (bool, string)) {
	w.Helper()
	end := time.Now().Add(limit)
	for {
		good, state := ok()
		if good {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("not within %s: %s: %s", limit, what, state)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// servers are drill's server pods.
func (w *world) servers() []corev1.Pod {
	w.Helper()
	pods, err := w.admin.CoreV1().Pods(kube.Namespace).List(w.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=server"})
	require.NoError(w, err)
	return pods.Items
}

func (w *world) restarted() map[string]int32 {
	all := map[string]int32{}
	for _, p := range w.servers() {
		for _, c := range p.Status.ContainerStatuses {
			all[p.Name] += c.RestartCount
		}
	}
	return all
}

// kept is what finished runs look like; those of the attacks are none of them.
func (w *world) kept() map[string]string {
	w.Helper()
	list, err := w.admin.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).List(w.Context(), metav1.ListOptions{})
	require.NoError(w, err)
	all := map[string]string{}
	for _, u := range list.Items {
		if !strings.HasPrefix(u.GetName(), "attack-") {
			all[u.GetName()] = fmt.Sprint(u.GetUID(), " ", u.GetResourceVersion())
		}
	}
	return all
}

// unharmed is what must be true after all attacks.
func (w *world) unharmed() {
	w.Helper()
	require.Equal(w, w.restarts, w.restarted(), "both servers ran on")
	for _, p := range w.servers() {
		require.True(w, slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }), p.Name)
	}
	after := w.kept()
	for name, was := range w.records {
		require.Equal(w, was, after[name], "record %s", name)
	}
	w.Logf("servers %v; %d records as before", slices.Collect(maps.Keys(w.restarts)), len(w.records))
}

// command runs a program of the repository, and returns its exit code and what it said.
func (w *world) command(limit time.Duration, name string, args ...string) (int, string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = root(w.T)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	err := c.Run()
	require.NoError(w, ctx.Err(), "%s %v did not end within %v: %s", name, args, limit, short(said.String()))
	if c.ProcessState == nil {
		require.NoError(w, err)
	}
	return c.ProcessState.ExitCode(), said.String()
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}
