//go:build e2e

package kube_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const (
	runnerAccount = "system:serviceaccount:failoverdrill:drill-runner"
	serverAccount = "system:serviceaccount:failoverdrill:drill-server"
)

// runnerOf is the runner pod of a run, as the API server knows it by its token.
func runnerOf(t *testing.T, c *kube.Client, run, uid string) *kube.Client {
	t.Helper()
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: runnerAccount,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:failoverdrill", "system:authenticated"},
		Extra:  map[string][]string{"authentication.kubernetes.io/pod-name": {kube.RunnerPod(run)}, "authentication.kubernetes.io/pod-uid": {uid}}}
	client, err := kube.ForConfig(config)
	require.NoError(t, err)
	return client
}

// withRole gives a user, or a service account as its whole name, a ClusterRole in a namespace for as long as the test lasts.
func withRole(t *testing.T, c *kube.Client, ns, user string, roles ...string) *kube.Client {
	t.Helper()
	for _, role := range roles {
		b, err := c.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() {
			_ = c.RbacV1().RoleBindings(ns).Delete(context.WithoutCancel(t.Context()), b.Name, metav1.DeleteOptions{})
		})
	}
	client, err := c.As(user, "system:authenticated")
	require.NoError(t, err)
	return client
}

// TestT3NobodyErasesARecord: the garbage collector deletes what has lost its finalizer and has an owner that is not there.
func TestT3NobodyErasesARecord(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	ctx := t.Context()
	alice, mallory := requester(t, c, ns, "alice@example.com"), requester(t, c, ns, "mallory@example.com")
	her, err := alice.WhoAmI(ctx)
	require.NoError(t, err)
	spec := kube.Spec{Drill: "d", File: "f", Source: "x", Requester: her}
	runs := kube.NewRuns(c.Dynamic, ns)
	run, err := kube.NewRuns(alice.Dynamic, ns).Create(ctx, spec)
	require.NoError(t, err)
	require.NoError(t, runs.SetFinalizer(ctx, run, true), "an administrator may, as the server may")

	records := func(client *kube.Client) func(string) error {
		return func(p string) error {
			_, err := client.Dynamic.Resource(kube.Resource).Namespace(ns).Patch(ctx, run.Name, types.MergePatchType, []byte(p), metav1.PatchOptions{})
			return err
		}
	}
	for _, who := range []*kube.Client{alice, mallory} {
		patch := records(who)
		for _, p := range []string{
			`{"metadata":{"finalizers":null,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"no","uid":"00000000-0000-0000-0000-000000000000"}]}}`,
			`{"metadata":{"finalizers":null}}`, `{"metadata":{"finalizers":["failoverdrill.io/reverted","example.com/for-ever"]}}`,
			`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"no","uid":"00000000-0000-0000-0000-000000000000"}]}}`,
			`{"metadata":{"labels":null}}`, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"other"}}}`, `{"metadata":{"labels":{"a":"b"}}}`,
			`{"metadata":{"annotations":{"a":"b"}}}`, `{"metadata":{"annotations":{"failoverdrill.io/seen":"x"}}}`,
			`{"metadata":{"annotations":{"failoverdrill.io/series-ended":"x"}}}`, `{"spec":{"cancel":true},"metadata":{"finalizers":null}}`,
		} {
			require.ErrorContains(t, patch(p), "nothing of its metadata", p)
		}
	}
	time.Sleep(2 * time.Second) // without the policy it was gone after 0.2 s
	got, err := runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.Equal(t, run.UID, got.UID)
	require.Equal(t, []string{kube.Finalizer}, got.Finalizers)
	require.NoError(t, records(mallory)(`{"spec":{"cancel":true}}`), "whoever may ask for runs may cancel them")

	// Nor is one made that could be erased, or that nobody could erase.
	u := func(edit func(*unstructured.Unstructured)) error {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "failoverdrill.io/v1alpha1", "kind": kube.Kind,
			"metadata": map[string]any{"name": "by-hand"}, "spec": map[string]any{"drill": "d", "file": "f", "source": "x",
				"requester": map[string]any{"user": her.User, "groups": []any{"dba", "oncall", "system:authenticated"}}}}}
		edit(u)
		_, err := alice.Dynamic.Resource(kube.Resource).Namespace(ns).Create(ctx, u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	require.NoError(t, u(func(*unstructured.Unstructured) {}))
	require.NoError(t, u(func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"team": "orders"}) }))
	require.NoError(t, u(func(u *unstructured.Unstructured) {
		u.SetAnnotations(map[string]string{"failoverdrill.io/seen": "another"})
	}), "of a backup")
	for what, edit := range map[string]func(*unstructured.Unstructured){
		"a foreign finalizer":    func(u *unstructured.Unstructured) { u.SetFinalizers([]string{"example.com/for-ever"}) },
		"drill's own finalizer":  func(u *unstructured.Unstructured) { u.SetFinalizers([]string{kube.Finalizer}) },
		"an owner":               func(u *unstructured.Unstructured) { u.SetOwnerReferences([]metav1.OwnerReference{kube.OwnerOf(run)}) },
		"a label of drill's":     func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"failoverdrill.io/run": "x"}) },
		"a label of a subdomain": func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"a.failoverdrill.io/run": "x"}) },
		"an annotation of drill's": func(u *unstructured.Unstructured) {
			u.SetAnnotations(map[string]string{"failoverdrill.io/series-ended": "x"})
		},
		"a long annotation": func(u *unstructured.Unstructured) {
			u.SetAnnotations(map[string]string{"a": strings.Repeat("x", 1025)})
		},
		"a long name":           func(u *unstructured.Unstructured) { u.SetName(strings.Repeat("x", 60)) },
		"a name with a dot":     func(u *unstructured.Unstructured) { u.SetName("a.b") },
		"a local name":          func(u *unstructured.Unstructured) { u.SetName("a-l0000") },
		"local, another's name": func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, true, "spec", "local") },
	} {
		require.True(t, apierrors.IsForbidden(u(edit)), what)
	}
}

// TestT21ALocalRunKeepsItsRecord: the process that executes its run itself protects the record, and lets go of it when the
// run is over and nothing is left of it.
func TestT21ALocalRunKeepsItsRecord(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	ctx := t.Context()
	alice, mallory := requester(t, c, ns, "alice@example.com"), requester(t, c, ns, "mallory@example.com")
	for _, user := range []string{"alice@example.com", "mallory@example.com"} { // what --runner=local takes beside
		_, err := c.RbacV1().Roles(ns).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "status-" + user[:3]},
			Rules: []rbacv1.PolicyRule{{APIGroups: []string{"failoverdrill.io"}, Resources: []string{"drillruns/status"}, Verbs: []string{"update"}}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = c.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "status-" + user[:3]},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "status-" + user[:3]},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		inForce(t, c, user, "update", "failoverdrill.io", "drillruns/status", ns)
	}
	her, err := alice.WhoAmI(ctx)
	require.NoError(t, err)
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "failoverdrill.io/v1alpha1", "kind": kube.Kind,
		"metadata": map[string]any{"name": kube.LocalRunID(time.Now(), "d"), "finalizers": []any{kube.Finalizer}},
		"spec": map[string]any{"drill": "d", "file": "f", "source": "x", "local": true,
			"requester": map[string]any{"user": her.User, "groups": []any{"dba", "oncall", "system:authenticated"}}}}}
	u, err = alice.Dynamic.Resource(kube.Resource).Namespace(ns).Create(ctx, u, metav1.CreateOptions{})
	require.NoError(t, err)
	runs, theirs := kube.NewRuns(alice.Dynamic, ns), kube.NewRuns(mallory.Dynamic, ns)
	letGo := func(s *kube.Runs) error {
		run, err := s.Get(ctx, u.GetName())
		require.NoError(t, err)
		return s.SetFinalizer(ctx, run, false)
	}
	require.ErrorContains(t, letGo(runs), "nothing of its metadata", "it is not over")
	_, err = theirs.Admit(ctx, u.GetName(), "local-m")
	require.ErrorContains(t, err, "its own runner")
	_, err = runs.Admit(ctx, u.GetName(), "local-1")
	require.NoError(t, err)
	claimed, err := runs.Claim(ctx, u.GetName(), kube.Runner{Pod: "local-1", UID: "local-1"})
	require.NoError(t, err)
	journal := runs.Journal(u.GetName(), claimed.Status.Generation)
	require.NoError(t, journal.Injecting(ctx, "kill_primary", "k", json.RawMessage(`{"a":"b"}`)))
	require.NoError(t, journal.Finish(ctx, kube.Outcome{Verdict: drill.VerdictPassed}))
	require.ErrorContains(t, letGo(runs), "nothing of its metadata", "something is left of it")
	require.ErrorContains(t, journal.Reverted(ctx, "kill_primary", "k", nil), "its own runner", "the last word is spoken, but for the server")
	admins := kube.NewRuns(c.Dynamic, ns)
	over, err := admins.Get(ctx, u.GetName())
	require.NoError(t, err)
	require.NoError(t, admins.Journal(u.GetName(), over.Status.Generation).Reverted(ctx, "kill_primary", "k", nil))
	require.ErrorContains(t, letGo(theirs), "nothing of its metadata", "it is not theirs")
	require.NoError(t, letGo(runs))
}

// TestT8ARunnerWritesItsOwnRecord: a runner that was taken over by somebody rewrites no other run, and none that is over.
func TestT8ARunnerWritesItsOwnRecord(t *testing.T) {
	c, runs, create := store(t)
	ns := runs.Namespace()
	ctx := t.Context()
	_, err := c.RbacV1().ClusterRoles().Get(ctx, "drill-runner", metav1.GetOptions{})
	require.NoError(t, err)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "runner"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"failoverdrill.io"}, Resources: []string{"drillruns"}, Verbs: []string{"get"}},
		{APIGroups: []string{"failoverdrill.io"}, Resources: []string{"drillruns/status"}, Verbs: []string{"update"}}}}
	_, err = c.RbacV1().Roles(ns).Create(ctx, role, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = c.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "runner"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "runner"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: runnerAccount}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	inForce(t, c, runnerAccount, "update", "failoverdrill.io", "drillruns/status", ns)

	mine, other, over := admitted(t, runs, create()), admitted(t, runs, create()), claimed(t, runs, create())
	require.NoError(t, runs.Journal(over.Name, over.Status.Generation).Finish(ctx, kube.Outcome{Verdict: drill.VerdictFailed}))
	as := func(run *kube.DrillRun, uid string) *kube.Runs {
		return kube.NewRuns(runnerOf(t, c, run.Name, uid).Dynamic, ns)
	}
	_, err = as(mine, "uid-m").Claim(ctx, mine.Name, kube.Runner{Pod: kube.RunnerPod(mine.Name), UID: "made-up"})
	require.ErrorContains(t, err, "status.failoverdrill.io", "a claim in another pod's name")
	_, err = as(mine, "uid-m").Claim(ctx, other.Name, kube.Runner{Pod: kube.RunnerPod(other.Name), UID: "uid-m"})
	require.ErrorContains(t, err, "status.failoverdrill.io", "another run's claim")
	run, err := as(mine, "uid-m").Claim(ctx, mine.Name, kube.Runner{Pod: kube.RunnerPod(mine.Name), UID: "uid-m"})
	require.NoError(t, err)
	_, err = as(other, "uid-o").Claim(ctx, other.Name, kube.Runner{Pod: kube.RunnerPod(other.Name), UID: "uid-o"})
	require.NoError(t, err)

	journal := as(mine, "uid-m").Journal(mine.Name, run.Status.Generation)
	require.NoError(t, journal.Injecting(ctx, "kill_primary", "k", json.RawMessage(`{"a":"b"}`)))
	write := func(client *kube.Client, name, phase, verdict string) error {
		u, err := client.Dynamic.Resource(kube.Resource).Namespace(ns).Get(ctx, name, metav1.GetOptions{})
		require.NoError(t, err)
		require.NoError(t, unstructured.SetNestedField(u.Object, phase, "status", "phase"))
		require.NoError(t, unstructured.SetNestedField(u.Object, verdict, "status", "verdict"))
		_, err = client.Dynamic.Resource(kube.Resource).Namespace(ns).UpdateStatus(ctx, u, metav1.UpdateOptions{})
		return err
	}
	stolen := runnerOf(t, c, mine.Name, "uid-m")
	require.ErrorContains(t, write(stolen, other.Name, "Finished", "passed"), "its own runner")
	require.ErrorContains(t, write(stolen, over.Name, "Finished", "passed"), "its own runner")
	require.ErrorContains(t, write(runnerOf(t, c, over.Name, "uid-1"), over.Name, "Finished", "passed"), "its own runner", "not its own either, once it is over")
	without, err := c.As(runnerAccount, "system:authenticated") // with a token that belongs to no pod
	require.NoError(t, err)
	require.ErrorContains(t, write(without, mine.Name, "Running", "passed"), "its own runner")
	require.NoError(t, journal.Reverted(ctx, "kill_primary", "k", nil))
	require.NoError(t, journal.Finish(ctx, kube.Outcome{Verdict: drill.VerdictPassed}))
}

// TestT9NobodyReplacesTheBook: who may change every ConfigMap deletes none of drill's own, and makes none in its place.
func TestT9NobodyReplacesTheBook(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	const user = "mallory@books.example.com"
	mallory := withRole(t, c, kube.Namespace, user, "drill-scheduler")
	inForce(t, c, user, "delete", "", "configmaps", kube.Namespace)
	all := c.CoreV1().ConfigMaps(kube.Namespace)
	hers := mallory.CoreV1().ConfigMaps(kube.Namespace)
	dry := []string{metav1.DryRunAll}
	for _, name := range []string{"drill-schedule-state", kube.TotalsName, "drill-hold", "detail-a-run-0"} {
		plain := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"state.json": "{}"}}
		_, err := hers.Create(ctx, plain, metav1.CreateOptions{DryRun: dry})
		require.ErrorContains(t, err, "books.failoverdrill.io", name)
		_, err = all.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			as := c
			if name == "drill-schedule-state" || name == kube.TotalsName || name == "detail-a-run-0" {
				as, err = c.As(serverAccount, "system:serviceaccounts", "system:authenticated")
				require.NoError(t, err)
			}
			_, err = as.CoreV1().ConfigMaps(kube.Namespace).Create(ctx, plain, metav1.CreateOptions{})
			t.Cleanup(func() { _ = all.Delete(context.WithoutCancel(ctx), name, metav1.DeleteOptions{}) })
		}
		require.NoError(t, err)
		require.ErrorContains(t, hers.Delete(ctx, name, metav1.DeleteOptions{}), "books.failoverdrill.io", name)
		_, err = hers.Patch(ctx, name, types.MergePatchType, []byte(`{"data":{"state.json":"x"}}`), metav1.PatchOptions{})
		require.True(t, apierrors.IsForbidden(err), "%s: %v", name, err) // of a server's own book the policy of schedules says so, too
	}
	require.ErrorContains(t, hers.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=drill-totals"}), "forbidden")
	_, err := hers.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "hers"}}, metav1.CreateOptions{DryRun: dry})
	require.NoError(t, err, "schedules have other names")
}
