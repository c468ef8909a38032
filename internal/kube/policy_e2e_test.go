//go:build e2e

package kube_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
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
