//go:build e2e

package kube_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/kube"
)

// TestT18WhoSquatsOnASecretGainsNothing: with drill's own roles. And what the server says of a run that it cancels is its own
// to say.
func TestT18WhoSquatsOnASecretGainsNothing(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	person := func(user string) *kube.Client {
		client := withRole(t, c, kube.Namespace, user, "drill-requester")
		b, err := c.RbacV1().RoleBindings(kube.Namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "drill-inputs"},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() {
			_ = c.RbacV1().RoleBindings(kube.Namespace).Delete(context.WithoutCancel(ctx), b.Name, metav1.DeleteOptions{})
		})
		return client
	}
	alice, mallory := person("alice@squat.example.com"), person("mallory@squat.example.com")
	server, err := c.As(serverAccount, "system:serviceaccounts", "system:serviceaccounts:failoverdrill", "system:authenticated")
	require.NoError(t, err)
	her, err := alice.WhoAmI(ctx)
	require.NoError(t, err)
	in, payload, err := kube.SealInputs(taken())
	require.NoError(t, err)
	runs := kube.NewRuns(alice.Dynamic, kube.Namespace)
	var run *kube.DrillRun
	eventually(t, 10*time.Second, "the roles are in force", func() bool {
		// Local, because where a server runs it would read the others and end them.
		run, err = runs.Create(ctx, kube.Spec{Drill: "squat", File: "f", Source: "x", Requester: her, Inputs: in, Local: true})
		return err == nil && alice.MayStoreInputs(ctx) == nil && mallory.MayStoreInputs(ctx) == nil
	})
	t.Cleanup(func() {
		_ = c.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(ctx), run.Name, metav1.DeleteOptions{})
	})
	squat(t, mallory, run, run.UID, []byte("{}"))
	_, _, err = kube.LoadInputs(ctx, server, run)
	require.Equal(t, "inputs_unreadable", refused(t, err).Code)
	handed := make(chan error, 1)
	go func() { handed <- kube.HandInputs(ctx, alice, runs, run, payload) }()
	time.Sleep(time.Second)
	strange, err := kube.RemoveStrangeInputs(ctx, server, run)
	require.NoError(t, err)
	require.True(t, strange)
	require.NoError(t, <-handed)
	_, again, err := kube.LoadInputs(ctx, server, run)
	require.NoError(t, err)
	require.Equal(t, payload, again)

	_, err = mallory.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Patch(ctx, run.Name, types.MergePatchType,
		[]byte(`{"spec":{"cancel":true},"metadata":{"annotations":{"failoverdrill.io/cancelled-because":"I say so"}}}`), metav1.PatchOptions{})
	require.ErrorContains(t, err, "nothing of its metadata")
	require.NoError(t, kube.NewRuns(server.Dynamic, kube.Namespace).CancelBecause(ctx, run.Name, "a right is gone"))
	got, err := runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.True(t, got.CancelRequested())
	require.Equal(t, "the server cancelled the run: a right is gone", got.CancelledBecause())
}
