//go:build e2e

package kube_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestWhoMayHold: an operator, by that one name, with nothing but the ClusterRole; a runner may read it; a requester may not end it, nor may
// a scheduler, who may change other ConfigMaps there.
func TestWhoMayHold(t *testing.T) {
	admin, err := kube.Connect("", "")
	require.NoError(t, err)
	ctx := t.Context()
	objects, err := deploy.Manifests("none")
	require.NoError(t, err)
	require.NotEmpty(t, objects)
	require.NoError(t, deploy.ApplyDefinitions(ctx, admin))
	for user, role := range map[string]string{"olga-operator": "drill-operator", "rita-requester": "drill-requester", "sam-scheduler": "drill-scheduler"} {
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user, Namespace: kube.Namespace},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: user}}}
		_, err := admin.RbacV1().RoleBindings(kube.Namespace).Create(ctx, binding, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			require.NoError(t, err)
		}
	}
	as := func(user string) *kube.Holds {
		c, err := admin.As(user, "system:authenticated")
		require.NoError(t, err)
		return kube.NewHolds(c, "")
	}
	_, err = kube.NewHolds(admin, "").End(ctx)
	require.NoError(t, err)
	olga := as("olga-operator")
	now, err := olga.Now(ctx)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), now, 5*time.Second)
	set := kube.Hold{Reason: "incident", By: "olga", Since: now, Until: now.Add(time.Hour)}
	require.Eventually(t, func() bool { return olga.Set(ctx, set) == nil }, 10*time.Second, 200*time.Millisecond, "RBAC is read with a delay")
	_, err = olga.End(ctx)
	require.NoError(t, err)

	held, stop := as("system:serviceaccount:failoverdrill:drill-runner").Watch(ctx, func(err error) { t.Error(err) })
	defer stop()
	time.Sleep(1500 * time.Millisecond)
	require.NoError(t, held.Err())
	require.NoError(t, olga.Set(ctx, set))
	began := time.Now()
	<-held.Done()
	require.Less(t, time.Since(began), 2*time.Second)
	t.Logf("the runner's context ended %v after the hold", time.Since(began))

	for _, reader := range []string{"olga-operator", "rita-requester", "system:serviceaccount:failoverdrill:drill-runner", "system:serviceaccount:failoverdrill:drill-server"} {
		hold, err := as(reader).Get(ctx)
		require.NoError(t, err, reader)
		require.Equal(t, "incident", hold.Reason)
		require.WithinDuration(t, now, hold.Since, time.Second)
	}
	for _, other := range []string{"rita-requester", "sam-scheduler", "system:serviceaccount:failoverdrill:drill-runner"} {
		_, err := as(other).End(ctx)
		var refusal *drill.Refusal
		require.ErrorAs(t, err, &refusal, other)
		require.Contains(t, refusal.Text, "drill-operator")
		require.ErrorAs(t, as(other).Set(ctx, set), &refusal, other)
	}
	set.Reason, set.Until = "again", time.Time{}
	require.NoError(t, olga.Set(ctx, set))
	hold, err := olga.Get(ctx)
	require.NoError(t, err)
	require.Equal(t, "again", hold.Reason)
	require.True(t, hold.Until.IsZero(), "the older one's end is gone")
	was, err := olga.End(ctx)
	require.NoError(t, err)
	require.True(t, was)
	c, err := admin.As("olga-operator", "system:authenticated")
	require.NoError(t, err)
	require.Error(t, c.CoreV1().ConfigMaps(kube.Namespace).Delete(ctx, "drill-schedule-state", metav1.DeleteOptions{}))
	_, err = c.CoreV1().Secrets(kube.Namespace).List(ctx, metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err))
}
