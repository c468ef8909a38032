//go:build e2e

package kube_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestT7OnlyAnAdministratorSetsLimits: neither drill's accounts nor people with drill's roles, of whom a scheduler may
// write every other ConfigMap there. On a real API server.
func TestT7OnlyAnAdministratorSetsLimits(t *testing.T) {
	c := connect(t)
	ctx := t.Context()
	require.NoError(t, deploy.ApplyDefinitions(ctx, c))
	if _, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: kube.Namespace}}, metav1.CreateOptions{}); err != nil {
		require.True(t, apierrors.IsAlreadyExists(err), err)
	}
	before, err := kube.ReadLimits(ctx, c, kube.Namespace)
	require.NoError(t, err)
	_, err = kube.SetLimits(ctx, c, kube.Namespace, map[string]string{kube.LimitHold: "7m"})
	require.NoError(t, err, "an administrator may")
	clean := context.WithoutCancel(ctx)
	t.Cleanup(func() {
		_, _ = kube.SetLimits(clean, c, kube.Namespace, map[string]string{kube.LimitHold: before.Hold.String()})
	})
	for _, user := range []string{"system:serviceaccount:failoverdrill:drill-server", "limits-scheduler"} {
		bound, err := c.RbacV1().RoleBindings(kube.Namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{GenerateName: "limits-test-"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-scheduler"}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}}, metav1.CreateOptions{})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.RbacV1().RoleBindings(kube.Namespace).Delete(clean, bound.Name, metav1.DeleteOptions{}) })
		inForce(t, c, user, "update", "", "configmaps", kube.Namespace)
		as, err := c.As(user, "system:authenticated")
		require.NoError(t, err)
		eventually(t, 20e9, "the policy", func() bool {
			_, err := kube.SetLimits(ctx, as, kube.Namespace, map[string]string{kube.LimitHold: "99h"})
			return err != nil && apierrors.IsForbidden(err)
		})
		err = as.CoreV1().ConfigMaps(kube.Namespace).Delete(ctx, kube.LimitsMap, metav1.DeleteOptions{})
		require.ErrorContains(t, err, "an administrator", user)
		err = as.CoreV1().ConfigMaps(kube.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=" + kube.LimitsMap})
		require.Error(t, err, user)
		_, err = as.CoreV1().ConfigMaps(kube.Namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "limits-other-"}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		require.NoError(t, err, "other maps are as before")
	}
	limits, err := kube.ReadLimits(ctx, c, kube.Namespace)
	require.NoError(t, err)
	require.EqualValues(t, 7*60e9, limits.Hold)
	// Without the map, nobody of them makes it anew.
	require.NoError(t, c.CoreV1().ConfigMaps(kube.Namespace).Delete(ctx, kube.LimitsMap, metav1.DeleteOptions{}))
	as, err := c.As("limits-scheduler", "system:authenticated")
	require.NoError(t, err)
	_, err = kube.SetLimits(ctx, as, kube.Namespace, map[string]string{kube.LimitHold: "99h"})
	require.ErrorContains(t, err, "an administrator")
}
