//go:build e2e

package kube_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/kube"
)

// TestNobodyMakesATrialInAnothersName: the server goes on with a series in its requester's name, and nobody else does.
func TestNobodyMakesATrialInAnothersName(t *testing.T) {
	c := connect(t)
	ns := space(t, c)
	ctx := t.Context()
	alice, bob := requester(t, c, ns, "alice@example.com"), requester(t, c, ns, "bob@example.com")
	her, err := alice.WhoAmI(ctx)
	require.NoError(t, err)
	his, err := bob.WhoAmI(ctx)
	require.NoError(t, err)
	first, err := kube.NewRuns(alice.Dynamic, ns).Create(ctx, kube.Spec{Drill: "d", File: "f", Source: "x", Requester: her})
	require.NoError(t, err)

	// In her name nobody but the server, and in his own name nobody within a series.
	_, err = kube.NewRuns(bob.Dynamic, ns).CreateTrial(ctx, first)
	require.Equal(t, "forbidden", refusal(t, err).Code)
	forged := *first
	forged.Spec.Requester = his
	_, err = kube.NewRuns(bob.Dynamic, ns).CreateTrial(ctx, &forged)
	require.ErrorContains(t, err, "failoverdrill.io/series")
	_, err = kube.NewRuns(alice.Dynamic, ns).CreateTrial(ctx, first)
	require.ErrorContains(t, err, "failoverdrill.io/series")
	for _, p := range []string{`{"metadata":{"labels":{"failoverdrill.io/series":"d"}}}`, `{"metadata":{"labels":{"failoverdrill.io/trial":"2"}}}`} {
		_, err = bob.Dynamic.Resource(kube.Resource).Namespace(ns).Patch(ctx, first.Name, types.MergePatchType, []byte(p), metav1.PatchOptions{})
		require.ErrorContains(t, err, "failoverdrill.io/series", p)
	}

	// Whoever executes his runs himself makes his trials himself, in his own name.
	local, err := kube.NewRuns(bob.Dynamic, ns).Create(ctx, kube.Spec{Drill: "d", File: "f", Source: "x", Requester: his, Local: true})
	require.NoError(t, err)
	second, err := kube.NewRuns(bob.Dynamic, ns).CreateTrial(ctx, local)
	require.NoError(t, err)
	series, trial := second.Trial()
	require.Equal(t, local.Name, series)
	require.Equal(t, 2, trial)
	forged = *local
	forged.Spec.Requester = her
	forged.Name = "x-l0000"
	_, err = kube.NewRuns(bob.Dynamic, ns).CreateTrial(ctx, &forged)
	require.ErrorContains(t, err, "spec.requester")

	_, err = c.RbacV1().RoleBindings(ns).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "server"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-requester"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "drill-server", Namespace: "failoverdrill"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	inForce(t, c, "system:serviceaccount:failoverdrill:drill-server", "create", "failoverdrill.io", "drillruns", ns)
	server, err := c.As("system:serviceaccount:failoverdrill:drill-server", "system:serviceaccounts", "system:authenticated")
	require.NoError(t, err)
	records := kube.NewRuns(server.Dynamic, ns)
	made, err := records.CreateTrial(ctx, first)
	require.NoError(t, err)
	require.Equal(t, first.Spec, made.Spec)
	again, err := records.CreateTrial(ctx, first)
	require.NoError(t, err)
	require.Equal(t, made.UID, again.UID, "made once")
	require.NoError(t, records.EndSeries(ctx, again, "a test"))

	var found []string
	require.NoError(t, records.Series(ctx, first.Name, func(r *kube.DrillRun) { found = append(found, r.Name) }))
	require.ElementsMatch(t, []string{first.Name, made.Name}, found)
}
