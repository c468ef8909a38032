//go:build e2e

package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/failoverdrill/drill/deploy"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// installed puts all of drill but its server into the cluster, and a node where there is none: a scheduler takes any that
// says it is ready.
func installed(t *testing.T, c *kube.Client) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, deploy.ApplyDefinitions(ctx, c))
	objects, err := deploy.Manifests("none")
	require.NoError(t, err)
	for _, o := range objects {
		r, wanted := map[string]schema.GroupVersionResource{
			"Namespace": {Version: "v1", Resource: "namespaces"}, "ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
			"ConfigMap": {Version: "v1", Resource: "configmaps"}, "Role": {Group: rbacv1.GroupName, Version: "v1", Resource: "roles"},
			"RoleBinding": {Group: rbacv1.GroupName, Version: "v1", Resource: "rolebindings"}, "ClusterRoleBinding": {Group: rbacv1.GroupName, Version: "v1", Resource: "clusterrolebindings"},
		}[o.GetKind()]
		if !wanted {
			continue
		}
		_, err := c.Dynamic.Resource(r).Namespace(o.GetNamespace()).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: kube.ManagedBy, Force: true})
		require.NoError(t, err, o.GetName())
	}
	nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	if len(nodes.Items) > 0 {
		return
	}
	node, err := c.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "made-up"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	room := corev1.ResourceList{"cpu": resource.MustParse("8"), "memory": resource.MustParse("8Gi"), "pods": resource.MustParse("100")}
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the node controller writes it, too
		if node, err = c.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{}); err != nil {
			return err
		}
		node.Status = corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}
		_, err = c.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		return err
	}))
}

// pods are a StatefulSet and two Deployments, one called as the other begins.
func pods(t *testing.T, c *kube.Client, ns string) {
	t.Helper()
	labels := func(app string) map[string]string { return map[string]string{"app": app} }
	template := func(app string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels(app)}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64),
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, Containers: []corev1.Container{{Name: "a", Image: "registry.k8s.io/pause:3.10.2"}}}}
	}
	selector := func(app string) *metav1.LabelSelector { return &metav1.LabelSelector{MatchLabels: labels(app)} }
	_, err := c.AppsV1().StatefulSets(ns).Create(t.Context(), &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "orders"},
		Spec: appsv1.StatefulSetSpec{Replicas: new(int32(2)), PodManagementPolicy: appsv1.ParallelPodManagement, Selector: selector("orders"), Template: template("orders")}}, metav1.CreateOptions{})
	require.NoError(t, err)
	for _, name := range []string{"web", "web-b"} {
		_, err := c.AppsV1().Deployments(ns).Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: appsv1.DeploymentSpec{Replicas: new(int32(2)), Selector: selector(name), Template: template(name)}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	haveNodes(t, c, ns, "", 2+4)
}

// haveNodes waits until so many pods have a node.
func haveNodes(t *testing.T, c *kube.Client, ns, selector string, n int) {
	t.Helper()
	eventually(t, 30*time.Second, "pods of "+ns+" with "+selector+" have nodes", func() bool { return len(withNode(t, c, ns, selector)) == n })
}

func withNode(t *testing.T, c *kube.Client, ns, selector string) (names []string) {
	t.Helper()
	list, err := c.CoreV1().Pods(ns).List(context.WithoutCancel(t.Context()), metav1.ListOptions{LabelSelector: selector})
	require.NoError(t, err)
	for _, p := range list.Items {
		if p.Spec.NodeName != "" && p.DeletionTimestamp == nil {
			names = append(names, p.Name)
		}
	}
	return names
}

func kill(t *testing.T, c *kube.Client, ns string) {
	t.Helper()
	require.NoError(t, c.CoreV1().Pods(ns).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}))
}

// runnerIn is drill's runner, which may act in the namespace.
func runnerIn(t *testing.T, c *kube.Client, ns string) *kube.Client {
	t.Helper()
	account := kube.RunnerAccount()
	_, err := c.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "drill-runner-target"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-runner-target"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: kube.Namespace, Name: "drill-runner"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	inForce(t, c, account.User, "delete", "", "pods", ns)
	as, err := c.As(account.User, account.Groups...)
	require.NoError(t, err)
	return as
}

// hold holds down, and lets go at the end of the test at the latest.
func hold(t *testing.T, c *kube.Client, run, key string) error {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		held, version, err := kube.ReadHeld(ctx, c)
		if _, there := held[key]; err == nil && there {
			_ = kube.DropHeld(ctx, c, []string{key}, version)
		}
	})
	return kube.HoldDown(t.Context(), c, key, kube.HeldMember{Run: run, UID: "u", Until: time.Now().Add(time.Minute), Hold: 60})
}

// openRun is a run that is not over: a server that is there would let go of what others hold.
func openRun(t *testing.T, c *kube.Client) string {
	t.Helper()
	me, err := c.WhoAmI(t.Context())
	require.NoError(t, err)
	run, err := kube.NewRuns(c.Dynamic, kube.Namespace).Create(t.Context(), kube.Spec{Drill: "held", File: "f", Source: "x", Requester: me, Local: true})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.Dynamic.Resource(kube.Resource).Namespace(kube.Namespace).Delete(context.WithoutCancel(t.Context()), run.Name, metav1.DeleteOptions{})
	})
	return run.Name
}

// TestT7AMemberIsHeldAndNothingElse: the real scheduler is denied the one pod's binding, and binds every other.
func TestT7AMemberIsHeldAndNothingElse(t *testing.T) {
	c := connect(t)
	installed(t, c)
	ns, other := space(t, c), space(t, c)
	runner := runnerIn(t, c, ns)
	pods(t, c, ns)
	pods(t, c, other)

	run := openRun(t, c)
	require.NoError(t, hold(t, runner, run, ns+".orders-0"))
	kill(t, c, ns)
	kill(t, c, other)
	haveNodes(t, c, other, "", 6)
	haveNodes(t, c, ns, "", 5)
	time.Sleep(5 * time.Second)
	require.Equal(t, []string{"orders-1"}, withNode(t, c, ns, "app=orders"))
	require.NoError(t, kube.LetGo(t.Context(), runner, "another run", ns+".orders-0"))
	require.NoError(t, kube.LetGo(t.Context(), runner, run, ns+".orders-0"))
	from := time.Now()
	haveNodes(t, c, ns, "app=orders", 2)
	t.Logf("after about 5 s of hold, the pod was bound %.1f s after it was let go", time.Since(from).Seconds())

	web, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	require.NoError(t, err)
	key, prefixed, err := kube.HeldKey(&web.Items[0])
	require.NoError(t, err)
	require.True(t, prefixed)
	require.NoError(t, hold(t, runner, run, key))
	require.NoError(t, c.CoreV1().Pods(ns).Delete(t.Context(), web.Items[0].Name, metav1.DeleteOptions{}))
	require.NoError(t, c.CoreV1().Pods(ns).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=web-b"}))
	haveNodes(t, c, ns, "app=web-b", 2)
	time.Sleep(3 * time.Second)
	require.Equal(t, []string{web.Items[1].Name}, withNode(t, c, ns, "app=web"))

	// The last way back, when nothing of drill's is left: the map goes, and the hold with it, however many it names.
	many := map[string]string{}
	for i := range 90 {
		many[fmt.Sprintf("%s.many-%d", ns, i)] = "{}"
	}
	raw, err := json.Marshal(map[string]any{"data": many})
	require.NoError(t, err)
	_, err = c.CoreV1().ConfigMaps(kube.Namespace).Patch(t.Context(), kube.HeldMembers, types.MergePatchType, raw, metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, c.CoreV1().ConfigMaps(kube.Namespace).Delete(t.Context(), kube.HeldMembers, metav1.DeleteOptions{}))
	haveNodes(t, c, ns, "app=web", 2)
	var refusal *drill.Refusal
	require.ErrorAs(t, hold(t, runner, run, key), &refusal, "and nothing is held without it")
	require.Equal(t, "cannot_hold", refusal.Code)
	installed(t, c)
}

// TestT7NobodyHoldsDownWhatTheyMayNotDelete: who could write the map freely could keep any pod from starting.
func TestT7NobodyHoldsDownWhatTheyMayNotDelete(t *testing.T) {
	c := connect(t)
	installed(t, c)
	run := openRun(t, c)
	ns, other := space(t, c), space(t, c)
	runner := runnerIn(t, c, ns)
	set := func(c *kube.Client, data string) error {
		_, err := c.CoreV1().ConfigMaps(kube.Namespace).Patch(t.Context(), kube.HeldMembers, types.MergePatchType, []byte(`{"data":`+data+`}`), metav1.PatchOptions{})
		return err
	}
	for name, data := range map[string]string{
		"another namespace":         `{"` + other + `.orders-0":"{}"}`,
		"one of two is another's":   `{"` + ns + `.orders-0":"{}","` + other + `.orders-0":"{}"}`,
		"the cluster's own":         `{"kube-system.coredns-0":"{}"}`,
		"drill's own":               `{"failoverdrill.drill-server-0":"{}"}`,
		"no namespace":              `{"orders-0":"{}"}`,
		"a namespace like ours":     `{"` + ns + `x.orders-0":"{}"}`,
		"another namespace, kinned": `{"` + other + `.orders-_":"{}"}`,
	} {
		require.True(t, apierrors.IsForbidden(set(runner, data)), name)
	}
	require.True(t, apierrors.IsForbidden(set(c, `{"kube-system.coredns-0":"{}"}`)), "not even an administrator")

	// A scheduler may change every other ConfigMap there.
	_, err := c.RbacV1().RoleBindings(kube.Namespace).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: ns},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "drill-scheduler"}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: ns}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.RbacV1().RoleBindings(kube.Namespace).Delete(context.WithoutCancel(t.Context()), ns, metav1.DeleteOptions{})
	})
	inForce(t, c, ns, "patch", "", "configmaps", kube.Namespace)
	scheduler, err := c.As(ns, "system:authenticated")
	require.NoError(t, err)
	require.NoError(t, hold(t, runner, run, ns+".orders-0"))
	require.True(t, apierrors.IsForbidden(set(scheduler, `{"`+ns+`.orders-1":"{}"}`)), "a scheduler holds nothing down")
	require.True(t, apierrors.IsForbidden(set(scheduler, `{"`+ns+`.orders-0":"{}"}`)), "and changes nothing")
	require.True(t, apierrors.IsForbidden(set(scheduler, `{"`+ns+`.orders-0":null}`)), "and lets go of nothing")
	require.True(t, apierrors.IsForbidden(scheduler.CoreV1().ConfigMaps(kube.Namespace).Delete(t.Context(), kube.HeldMembers, metav1.DeleteOptions{})), "not all at once either")

	server, err := c.As("system:serviceaccount:"+kube.Namespace+":drill-server", "system:serviceaccounts", "system:authenticated")
	require.NoError(t, err)
	require.True(t, apierrors.IsForbidden(set(server, `{"`+ns+`.orders-1":"{}"}`)), "the server only lets go")
	held, version, err := kube.ReadHeld(t.Context(), server)
	require.NoError(t, err)
	require.Equal(t, run, held[ns+".orders-0"].Run)
	require.NoError(t, kube.DropHeld(t.Context(), server, []string{ns + ".orders-0"}, version))

	// The right by which the runner proves the policy is good for nothing else.
	pod, err := c.CoreV1().Pods(kube.Namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: ns},
		Spec: corev1.PodSpec{SchedulerName: "none", SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(1)), SeccompProfile: &corev1.SeccompProfile{Type: "RuntimeDefault"}},
			Containers: []corev1.Container{{Name: "a", Image: "a", SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.CoreV1().Pods(kube.Namespace).Delete(context.WithoutCancel(t.Context()), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	})
	err = runner.CoreV1().Pods(kube.Namespace).Bind(t.Context(), &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "made-up"}}, metav1.CreateOptions{})
	require.True(t, apierrors.IsForbidden(err) && strings.Contains(err.Error(), "bind no pod"), "%v", err)
}
