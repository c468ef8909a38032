//go:build e2e

package kube_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

func TestNobodyAsksInAnothersName(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	alice := requester(t, c, ns, "alice@example.com")
	ctx := t.Context()
	me, err := alice.WhoAmI(ctx)
	require.NoError(t, err)
	require.Equal(t, "alice@example.com", me.User)
	runs := kube.NewRuns(alice.Dynamic, ns)
	ask := func(who kube.Requester) (*kube.DrillRun, error) {
		return runs.Create(ctx, kube.Spec{Drill: "d", File: "f.hcl", Source: "x", Requester: who})
	}
	with := func(groups ...string) kube.Requester { return kube.Requester{User: me.User, Groups: groups} }

	run, err := ask(me)
	require.NoError(t, err)
	reversed := slices.Clone(me.Groups)
	slices.Reverse(reversed)
	_, err = ask(with(reversed...))
	require.NoError(t, err, "groups are a set")
	_, err = ask(with(append(slices.Clone(me.Groups), me.Groups...)...))
	require.NoError(t, err, "said twice is said once")

	for name, who := range map[string]kube.Requester{
		"another's name":       {User: "bob@example.com", Groups: me.Groups},
		"a group of another's": with(append(slices.Clone(me.Groups), "system:masters")...),
		"a group too few":      with(me.Groups[1:]...),
		"no groups":            with(),
	} {
		_, err := ask(who)
		require.Equal(t, "forbidden", refusal(t, err).Code, name)
		require.ErrorContains(t, err, "spec.requester", name)
	}

	patch := func(p string, sub ...string) error {
		_, err := alice.Dynamic.Resource(kube.Resource).Namespace(ns).Patch(ctx, run.Name, types.MergePatchType, []byte(p), metav1.PatchOptions{}, sub...)
		return err
	}
	for _, p := range []string{`{"spec":{"source":"y"}}`, `{"spec":{"drill":"e"}}`, `{"spec":{"file":"g"}}`, `{"spec":{"local":true}}`,
		`{"spec":{"requester":{"user":"bob@example.com"}}}`, `{"spec":{"requester":{"groups":["dba"]}}}`, `{"spec":{"cancel":true,"source":"y"}}`} {
		require.ErrorContains(t, patch(p), "cannot be changed", p)
	}
	require.NoError(t, runs.Cancel(ctx, run.Name))
	require.ErrorContains(t, patch(`{"spec":{"cancel":false}}`), "stays cancelled")
	require.ErrorContains(t, patch(`{"spec":{"cancel":null}}`), "stays cancelled")
	require.True(t, apierrors.IsForbidden(patch(`{"status":{"phase":"Admitted"}}`, "status")), "the status is drill's")
	require.NoError(t, patch(`{"status":{"phase":"Finished"}}`), "and is ignored in a patch of the run itself")
	got, err := runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.Empty(t, got.Status.Phase)
}

func TestRightsAreAsked(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	alice := requester(t, c, ns, "alice@example.com")
	ctx := t.Context()
	me, err := alice.WhoAmI(ctx)
	require.NoError(t, err)

	missing, err := c.RequesterMay(ctx, me, []kube.Right{kube.MayInject("kill_primary", ns), kube.MayReadSecret(ns, "s"),
		{Permission: drill.Permission{Verb: "create", Group: "failoverdrill.io", Resource: "drillruns", Namespace: ns}}})
	require.NoError(t, err)
	require.Len(t, missing, 2)
	require.Equal(t, "inject faults.failoverdrill.io kill_primary in namespace "+ns, missing[0].String())
	require.Equal(t, "get secrets s in namespace "+ns, missing[1].String())

	grant(t, c, ns, "alice@example.com", "kill_primary")
	missing, err = c.RequesterMay(ctx, me, []kube.Right{kube.MayInject("kill_primary", ns), kube.MayInject("freeze", ns)})
	require.NoError(t, err)
	require.Len(t, missing, 1)
	require.Equal(t, "freeze", missing[0].Name)

	needed := []drill.Permission{{Verb: "get", Resource: "pods/log", Namespace: ns}, {Verb: "delete", Resource: "pods", Namespace: ns}, {Verb: "patch", Resource: "nodes"}}
	lacking, err := alice.Missing(ctx, needed)
	require.NoError(t, err)
	require.Equal(t, needed[1:], lacking)
	lacking, err = c.Missing(ctx, needed)
	require.NoError(t, err)
	require.Empty(t, lacking)
}

// TestNobodySchedulesInAnothersName: a scheduled drill runs in the name that its ConfigMap says.
func TestNobodySchedulesInAnothersName(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	ctx := t.Context()
	as := func(user string) (*kube.Client, kube.Requester) {
		_, err := c.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "schedule-" + user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-scheduler"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		client, err := c.As(user, "dba", "of-"+user, "system:authenticated")
		require.NoError(t, err)
		who, err := client.WhoAmI(ctx)
		require.NoError(t, err)
		return client, who
	}
	alice, her := as("alice")
	bob, his := as("bob")
	files := map[string]string{"a.hcl": "one"}

	replaced, err := kube.NewSchedules(alice, ns).Install(ctx, "hers", files, her)
	require.NoError(t, err)
	require.False(t, replaced)
	for name, who := range map[string]kube.Requester{
		"another's name":  {User: "alice", Groups: his.Groups},
		"another's group": {User: "bob", Groups: append(slices.Clone(his.Groups), "system:masters")},
		"a group too few": {User: "bob", Groups: his.Groups[1:]},
		"no groups":       {User: "bob"},
		"nobody":          {},
		"two in one":      {User: "bob", Groups: append(slices.Clone(his.Groups), "dba\nsystem:masters")},
	} {
		_, err := kube.NewSchedules(bob, ns).Install(ctx, "his", files, who)
		require.Equal(t, "forbidden", refusal(t, err).Code, name)
		require.ErrorContains(t, err, "requester-", name)
	}

	maps := bob.CoreV1().ConfigMaps(ns)
	patch := func(name, p string) error {
		_, err := maps.Patch(ctx, name, types.MergePatchType, []byte(p), metav1.PatchOptions{})
		return err
	}
	for _, p := range []string{
		`{"data":{"a.hcl":"two"}}`, `{"data":{"b.hcl":"two"}}`, `{"data":null}`, `{"binaryData":{"b.hcl":"dHdv"}}`,
		`{"metadata":{"annotations":{"failoverdrill.io/requester-groups":"system:masters"}}}`,
		`{"metadata":{"annotations":{"failoverdrill.io/requester-user":"carol"}}}`,
		`{"data":{"a.hcl":"two"},"metadata":{"labels":{"failoverdrill.io/drills":null}}}`,
		`{"metadata":{"labels":{"failoverdrill.io/drills":"state"}}}`,
	} {
		require.True(t, apierrors.IsForbidden(patch("hers", p)), p)
	}
	require.NoError(t, patch("hers", `{"metadata":{"annotations":{"failoverdrill.io/paused":"true"}}}`), "stopping it is no forgery")

	// By way of a ConfigMap that is no scheduled drill yet.
	unmarked := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "sly", Annotations: map[string]string{
		kube.AnnotationUser: her.User, kube.AnnotationGroups: strings.Join(her.Groups, "\n")}}, Data: files}
	_, err = maps.Create(ctx, unmarked, metav1.CreateOptions{})
	require.NoError(t, err)
	require.True(t, apierrors.IsForbidden(patch("sly", `{"metadata":{"labels":{"failoverdrill.io/drills":"true"}}}`)))

	// Whoever takes it over does so in his own name.
	replaced, err = kube.NewSchedules(bob, ns).Install(ctx, "hers", map[string]string{"a.hcl": "two"}, his)
	require.NoError(t, err)
	require.True(t, replaced)
	cm, err := maps.Get(ctx, "hers", metav1.GetOptions{})
	require.NoError(t, err)
	who, ok := kube.RequesterOf(cm)
	require.True(t, ok)
	require.Equal(t, his, who)
	require.NotContains(t, cm.Annotations, kube.AnnotationPaused)

	// The book, and the marks of a scheduled run, are the server's.
	require.True(t, apierrors.IsForbidden(kube.NewSchedules(bob, ns).SaveBook(ctx, []byte("{}"), "")))
	grantCreate := requester(t, c, ns, "carol")
	carol, err := grantCreate.WhoAmI(ctx)
	require.NoError(t, err)
	_, err = kube.NewRuns(grantCreate.Dynamic, ns).CreateScheduled(ctx, kube.Spec{Drill: "d", File: "f", Source: "x", Requester: carol}, time.Now())
	require.ErrorContains(t, err, "failoverdrill.io/schedule")
	run, err := kube.NewRuns(grantCreate.Dynamic, ns).Create(ctx, kube.Spec{Drill: "d", File: "f", Source: "x", Requester: carol})
	require.NoError(t, err)
	_, err = grantCreate.Dynamic.Resource(kube.Resource).Namespace(ns).Patch(ctx, run.Name, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"failoverdrill.io/schedule":"d"}}}`), metav1.PatchOptions{})
	require.ErrorContains(t, err, "failoverdrill.io/schedule")

	// The server may name another for the run of a schedule, and for no other run.
	_, err = c.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "server"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-requester"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "drill-server", Namespace: "failoverdrill"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	server, err := c.As("system:serviceaccount:failoverdrill:drill-server", "system:serviceaccounts", "system:authenticated")
	require.NoError(t, err)
	records := kube.NewRuns(server.Dynamic, ns)
	spec := kube.Spec{Drill: "d", File: "f", Source: "x", Requester: her}
	due := time.Now().Truncate(time.Minute)
	first, err := records.CreateScheduled(ctx, spec, due)
	require.NoError(t, err)
	second, err := records.CreateScheduled(ctx, spec, due)
	require.NoError(t, err)
	require.Equal(t, first.UID, second.UID)
	_, err = records.Create(ctx, spec)
	require.ErrorContains(t, err, "spec.requester")
	local := spec
	local.Local = true
	_, err = records.CreateScheduled(ctx, local, due.Add(time.Minute))
	require.ErrorContains(t, err, "spec.requester")

	// A record in the way is not taken for the schedule's.
	inTheWay := due.Add(2 * time.Minute)
	u, err := grantCreate.Dynamic.Resource(kube.Resource).Namespace(ns).Get(ctx, run.Name, metav1.GetOptions{})
	require.NoError(t, err)
	u.SetName(kube.ScheduledRunID(inTheWay, "d"))
	u.SetResourceVersion("")
	_, err = grantCreate.Dynamic.Resource(kube.Resource).Namespace(ns).Create(ctx, u, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = records.CreateScheduled(ctx, spec, inTheWay)
	require.ErrorContains(t, err, "is not this schedule's")
}
