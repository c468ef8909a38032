//go:build e2e

package kube_test

import (
	"context"
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
		inForce(t, c, user, "create", "", "configmaps", ns)
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
	_, err = kube.NewSchedules(bob, ns).SaveBook(ctx, []byte("{}"), "")
	require.True(t, apierrors.IsForbidden(err))
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
	inForce(t, c, "system:serviceaccount:failoverdrill:drill-server", "create", "failoverdrill.io", "drillruns", ns)
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

	// T18: nobody else gets hold of a name that can be foretold, and so no record is in the way.
	u, err := grantCreate.Dynamic.Resource(kube.Resource).Namespace(ns).Get(ctx, run.Name, metav1.GetOptions{})
	require.NoError(t, err)
	u.SetResourceVersion("")
	for _, name := range []string{kube.ScheduledRunID(due.Add(2*time.Minute), "d"), kube.TrialID(kube.ScheduledRunID(due, "d"), 2), kube.TrialID(run.Name, 2), "any-l0a1b"} {
		u.SetName(name)
		_, err = grantCreate.Dynamic.Resource(kube.Resource).Namespace(ns).Create(ctx, u, metav1.CreateOptions{})
		require.ErrorContains(t, err, "a name that ends in", name)
	}
	_, err = records.CreateScheduled(ctx, spec, due.Add(2*time.Minute))
	require.NoError(t, err)
}

// TestARequesterMakesInputsAlone: the right to make a Secret in drill's namespace is the right to make one with a run's inputs.
func TestARequesterMakesInputsAlone(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	const user = "mallory@inputs.example.com"
	bind := func(kind, role string) {
		b, err := c.RbacV1().RoleBindings(kube.Namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
		require.NoError(t, err, "drill must be installed: make install")
		t.Cleanup(func() {
			_ = c.RbacV1().RoleBindings(kube.Namespace).Delete(context.WithoutCancel(ctx), b.Name, metav1.DeleteOptions{})
		})
	}
	bind("ClusterRole", "drill-requester")
	bind("Role", "drill-inputs")
	inForce(t, c, user, "create", "", "secrets", kube.Namespace)
	mallory, err := c.As(user, "system:authenticated")
	require.NoError(t, err)
	owner := metav1.OwnerReference{APIVersion: kube.Resource.GroupVersion().String(), Kind: kube.Kind, Name: "r", UID: "u"}
	right := func() *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: kube.InputsSecret("r"), OwnerReferences: []metav1.OwnerReference{owner}},
			Type: kube.InputsType, Immutable: new(true), Data: map[string][]byte{kube.InputsKey: []byte("{}")}}
	}
	try := func(client *kube.Client, s *corev1.Secret) error {
		_, err := client.CoreV1().Secrets(kube.Namespace).Create(ctx, s, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	eventually(t, 10*time.Second, "the role is in force", func() bool { return try(mallory, right()) == nil })
	for name, edit := range map[string]func(*corev1.Secret){
		"a token of the runner's account": func(s *corev1.Secret) {
			s.Type, s.Data = corev1.SecretTypeServiceAccountToken, nil
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "drill-runner"}
		},
		"a token under the right name": func(s *corev1.Secret) {
			s.Type = corev1.SecretTypeServiceAccountToken
			s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "drill-server"}
		},
		"a Secret of no type": func(s *corev1.Secret) { s.Type = "" },
		"credentials for images": func(s *corev1.Secret) {
			s.Type = corev1.SecretTypeDockerConfigJson
			s.Data = map[string][]byte{corev1.DockerConfigJsonKey: []byte("{}")}
		},
		"an agent's Secret":       func(s *corev1.Secret) { s.Name = "agents-r"; s.Type = corev1.SecretTypeOpaque },
		"another name":            func(s *corev1.Secret) { s.Name = kube.InputsSecret("other") },
		"a name that is made up":  func(s *corev1.Secret) { s.Name, s.GenerateName = "", "drillrun-" },
		"nobody's":                func(s *corev1.Secret) { s.OwnerReferences = nil },
		"owned by what is no run": func(s *corev1.Secret) { s.OwnerReferences[0].Kind, s.OwnerReferences[0].APIVersion = "Pod", "v1" },
		"owned by a second one, too": func(s *corev1.Secret) {
			s.OwnerReferences = append(s.OwnerReferences, owner)
			s.OwnerReferences[1].UID = "v"
		},
		"one that can be changed": func(s *corev1.Secret) { s.Immutable = nil },
		"something else in it":    func(s *corev1.Secret) { s.Data["token"] = []byte("x") },
		"something else instead":  func(s *corev1.Secret) { s.Data = map[string][]byte{"token": []byte("x")} },
		"empty":                   func(s *corev1.Secret) { s.Data = nil },
	} {
		s := right()
		edit(s)
		require.ErrorContains(t, try(mallory, s), "inputs.failoverdrill.io", name)
	}
	secrets := mallory.CoreV1().Secrets(kube.Namespace)
	_, err = secrets.Get(ctx, kube.InputsSecret("r"), metav1.GetOptions{})
	require.True(t, apierrors.IsForbidden(err))
	_, err = secrets.List(ctx, metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err))
	_, err = mallory.CoreV1().Secrets(metav1.NamespaceDefault).Create(ctx, right(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	require.True(t, apierrors.IsForbidden(err), "nowhere else")

	// Whoever may make pods there is not held to it.
	server, err := c.As(serverAccount, "system:serviceaccounts", "system:authenticated")
	require.NoError(t, err)
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Data: map[string][]byte{"ca.crt": []byte("x")}}
	require.NoError(t, try(server, other))
	require.NoError(t, try(c, other), "nor are its owners")
	runner, err := c.As("system:serviceaccount:failoverdrill:drill-runner", "system:serviceaccounts", "system:authenticated")
	require.NoError(t, err)
	require.True(t, apierrors.IsForbidden(try(runner, other)), "agents' Secrets are in their own namespace")
	_, err = runner.CoreV1().Secrets(kube.Namespace).Get(ctx, "x", metav1.GetOptions{})
	require.True(t, apierrors.IsForbidden(err), "the runner reads none in drill's namespace")

	// Nobody changes what a run was given.
	run, err := kube.NewRuns(mallory.Dynamic, kube.Namespace).Create(ctx, func() kube.Spec {
		me, err := mallory.WhoAmI(ctx)
		require.NoError(t, err)
		return kube.Spec{Drill: "d", File: "f", Source: "x", Requester: me, Inputs: kube.Inputs{Variables: map[string]string{"zone": `"a"`}, Secret: strings.Repeat("0", 64)}}
	}())
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(ctx), run.Name, metav1.DeleteOptions{})
	})
	for _, p := range []string{`{"spec":{"inputs":{"secret":"` + strings.Repeat("1", 64) + `"}}}`, `{"spec":{"inputs":{"secret":null}}}`, `{"spec":{"inputs":null}}`,
		`{"spec":{"inputs":{"variables":{"zone":"\"b\""}}}}`, `{"spec":{"inputs":{"variables":{"more":"1"}}}}`} {
		_, err := mallory.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Patch(ctx, run.Name, types.MergePatchType, []byte(p), metav1.PatchOptions{})
		require.ErrorContains(t, err, "cannot be changed", p)
	}
}
