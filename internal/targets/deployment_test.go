package targets

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/drill"
)

// shop is a fake cluster with a service of three pods. What the API server and its controllers do by themselves is
// tested against the lab; here is what the target makes of it.
type shop struct {
	t    *testing.T
	kube *fake.Clientset
}

var (
	podResource   = corev1.SchemeGroupVersion.WithResource("pods")
	sliceResource = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
)

func controlledBy(kind, name string) []metav1.OwnerReference {
	return []metav1.OwnerReference{{Kind: kind, Name: name, Controller: new(true)}}
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, kube: fake.NewClientset()}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	rs := &appsv1.ReplicaSet{ObjectMeta: meta("checkout-1"), Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(7))}} // a deployment's own number counts
	rs.OwnerReferences = controlledBy("Deployment", "checkout")
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: meta("checkout"), Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "checkout"}}},
		Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1}}
	other := &policyv1.PodDisruptionBudget{ObjectMeta: meta("orders"), Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "orders"}}}}
	none := &policyv1.PodDisruptionBudget{ObjectMeta: meta("none")} // without a selector
	for _, o := range []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&appsv1.Deployment{ObjectMeta: meta("checkout"), Spec: appsv1.DeploymentSpec{Replicas: new(int32(3))}}, rs,
		&corev1.Service{ObjectMeta: meta("checkout"), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "checkout"}}},
		&corev1.Service{ObjectMeta: meta("orders"), Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "orders"}}},
		&corev1.Service{ObjectMeta: meta("external")}, budget, other, none,
	} {
		require.NoError(t, s.kube.Tracker().Add(o))
	}
	for _, n := range []string{"a", "b", "c"} {
		s.add(n, true)
	}
	s.lead("a", "b", "c")
	return s
}

func (s *shop) pod(name string, ready bool) *corev1.Pod {
	state := corev1.ConditionFalse
	if ready {
		state = corev1.ConditionTrue
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name),
		Labels: map[string]string{"app": "checkout"}, OwnerReferences: controlledBy("ReplicaSet", "checkout-1")},
		Spec:   corev1.PodSpec{NodeName: "n-" + name},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: state}}}}
}

func (s *shop) add(name string, ready bool) {
	s.t.Helper()
	require.NoError(s.t, s.kube.Tracker().Add(s.pod(name, ready)))
}

func (s *shop) edit(name string, f func(*corev1.Pod)) {
	s.t.Helper()
	p, err := s.kube.CoreV1().Pods("shop").Get(s.t.Context(), name, metav1.GetOptions{})
	require.NoError(s.t, err)
	f(p)
	require.NoError(s.t, s.kube.Tracker().Update(podResource, p, "shop"))
}

// lead makes the Service lead to these pods; one that is written -x is there and not ready.
func (s *shop) lead(names ...string) {
	s.t.Helper()
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout-abc",
		Labels: map[string]string{discoveryv1.LabelServiceName: "checkout"}}, Ports: []discoveryv1.EndpointPort{{Port: new(int32(8080))}}}
	for i, n := range names {
		ready := n[0] != '-'
		if !ready {
			n = n[1:]
		}
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", i+1)},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: n, UID: types.UID("uid-" + n)}})
	}
	if _, err := s.kube.DiscoveryV1().EndpointSlices("shop").Get(s.t.Context(), "checkout-abc", metav1.GetOptions{}); err == nil {
		require.NoError(s.t, s.kube.Tracker().Update(sliceResource, slice, "shop"))
		return
	}
	require.NoError(s.t, s.kube.Tracker().Add(slice))
}

func (s *shop) target(body string) Stateless {
	s.t.Helper()
	f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
	require.False(s.t, diags.HasErrors(), diags)
	kind, _ := Find("deployment")
	spec, decoded := kind.Decode(f.Body, nil)
	diags = decoded.Diagnostics
	require.False(s.t, diags.HasErrors(), diags)
	target, ok := kind.Bind(Deps{Run: "run-1", Kube: s.kube}, "checkout", spec).(Stateless)
	require.True(s.t, ok)
	return target
}

const checkoutBlock = "namespace = \"shop\"\nselector = \"app=checkout\"\n"

func memberNames(ms []drill.Member) (all []string) {
	for _, m := range ms {
		all = append(all, m.Name)
	}
	return all
}

func TestDeploymentOpens(t *testing.T) {
	s := newShop(t)
	target := s.target(checkoutBlock)
	ms, err := target.Open(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, memberNames(ms))
	require.Equal(t, drill.Member{Namespace: "shop", Name: "a", UID: "uid-a", Node: "n-a", IP: "10.0.0.1", Role: drill.RoleUnknown}, ms[0])
	require.Empty(t, target.Probes())
	_, replicated := target.(Replicated)
	require.False(t, replicated, "it has no ledger to read back and no primary to name")
}

func TestDeploymentRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*shop)
		body   string
		code   string
	}{
		"one is not Ready": {change: func(s *shop) {
			s.edit("b", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse })
		}, code: "not_steady"},
		"one is on its way out": {change: func(s *shop) {
			s.edit("b", func(p *corev1.Pod) {
				p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
				p.Finalizers = []string{"x"}
			})
		}, code: "not_steady"},
		"one is not led to":        {change: func(s *shop) { s.lead("a", "b", "-c") }, code: "not_steady"},
		"one is missing":           {change: func(s *shop) { require.NoError(s.t, s.kube.Tracker().Delete(podResource, "shop", "b")) }, code: "not_steady"},
		"nothing is selected":      {body: "namespace = \"shop\"\nselector = \"app=chekout\"", code: "no_members"},
		"no such namespace":        {body: "namespace = \"shopp\"\nselector = \"app=checkout\"", code: "no_namespace"},
		"no such service":          {body: checkoutBlock + "service = \"chekout\"", code: "no_service"},
		"a service of other pods":  {body: checkoutBlock + "service = \"orders\"", code: "wrong_service"},
		"no service selects them":  {change: func(s *shop) { s.drop("checkout") }, code: "no_service"},
		"two services select them": {change: func(s *shop) { s.also("checkout-internal") }, code: "ambiguous_service"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			if tc.change != nil {
				tc.change(s)
			}
			if tc.body == "" {
				tc.body = checkoutBlock
			}
			_, err := s.target(tc.body).Open(t.Context())
			var refusal *drill.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, tc.code, refusal.Code, refusal.Text)
		})
	}
	s := newShop(t)
	s.also("checkout-internal")
	_, err := s.target(checkoutBlock + "service = \"checkout\"").Open(t.Context())
	require.NoError(t, err, "naming one settles it")
}

func (s *shop) drop(service string) {
	require.NoError(s.t, s.kube.CoreV1().Services("shop").Delete(s.t.Context(), service, metav1.DeleteOptions{}))
}

func (s *shop) also(service string) {
	_, err := s.kube.CoreV1().Services("shop").Create(s.t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: service},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "checkout"}}}, metav1.CreateOptions{})
	require.NoError(s.t, err)
}

// TestDeploymentDesired: by the controller; of pods without one, as many as there are.
func TestDeploymentDesired(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*shop)
		want   int
	}{
		"a Deployment": {func(*shop) {}, 3},
		"two ReplicaSets in a rollout": {func(s *shop) {
			s.own("checkout-2", "Deployment")
			s.edit("a", func(p *corev1.Pod) { p.OwnerReferences[0].Name = "checkout-2" })
		}, 3},
		"a ReplicaSet of its own":       {func(s *shop) { s.own("checkout-1", ""); s.edit("a", func(*corev1.Pod) {}) }, 2},
		"no controller":                 {func(s *shop) { s.all(func(p *corev1.Pod) { p.OwnerReferences = nil }) }, 3},
		"a controller of another kind":  {func(s *shop) { s.all(func(p *corev1.Pod) { p.OwnerReferences = controlledBy("Rollout", "x") }) }, 3},
		"a StatefulSet":                 {func(s *shop) { s.all(func(p *corev1.Pod) { p.OwnerReferences = controlledBy("StatefulSet", "set") }) }, 1},
		"a Deployment and one bare pod": {func(s *shop) { s.edit("a", func(p *corev1.Pod) { p.OwnerReferences = nil }) }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			require.NoError(t, s.kube.Tracker().Add(&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "set"}})) // 1 by default
			tc.change(s)
			target := s.target(checkoutBlock)
			_, _, _ = target.Look(t.Context()) // which may find too few of them
			require.Equal(t, tc.want, target.(*stateless).readiness().Desired)
		})
	}
}

func (s *shop) all(f func(*corev1.Pod)) {
	for _, n := range []string{"a", "b", "c"} {
		s.edit(n, f)
	}
}

// own makes a ReplicaSet of two, of the Deployment or of nobody.
func (s *shop) own(name, by string) {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(2))}}
	if by != "" {
		rs.OwnerReferences = controlledBy(by, "checkout")
	}
	_ = s.kube.Tracker().Delete(appsv1.SchemeGroupVersion.WithResource("replicasets"), "shop", name)
	require.NoError(s.t, s.kube.Tracker().Add(rs))
}

func TestDeploymentWatches(t *testing.T) {
	s := newShop(t)
	target := s.target(checkoutBlock)
	_, err := target.Open(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var seen []drill.Readiness
	done := make(chan error, 1)
	go func() {
		done <- target.WatchMembers(ctx, func(r drill.Readiness) { mu.Lock(); defer mu.Unlock(); seen = append(seen, r) })
	}()
	last := func() drill.Readiness { mu.Lock(); defer mu.Unlock(); return seen[len(seen)-1] }
	until := func(what string, ok func(drill.Readiness) bool) {
		t.Helper()
		require.Eventually(t, func() bool { mu.Lock(); n := len(seen); mu.Unlock(); return n > 0 && ok(last()) }, 5*time.Second, 10*time.Millisecond, what)
	}
	until("at once", func(r drill.Readiness) bool { return len(r.Endpoints) == 3 })
	require.Equal(t, []drill.Budget{{Name: "checkout", Rule: "maxUnavailable 1", Allowed: 1, Covers: 3}}, last().Budgets, "no other covers these pods")
	require.Equal(t, "checkout", last().Target)
	require.Eventually(t, func() bool { // the fake's watches begin after its lists, and miss what happens in between
		watched := map[string]bool{}
		for _, a := range s.kube.Actions() {
			if a.GetVerb() == "watch" {
				watched[a.GetResource().Resource] = true
			}
		}
		return watched["pods"] && watched["endpointslices"] && watched["poddisruptionbudgets"]
	}, 5*time.Second, 10*time.Millisecond)

	s.lead("a", "-b", "c")
	until("an endpoint is gone", func(r drill.Readiness) bool { return slices.Equal(memberNames(r.Endpoints), []string{"a", "c"}) })
	require.Len(t, last().Ready, 3)
	require.NoError(t, s.kube.Tracker().Delete(podResource, "shop", "b"))
	until("the pod is gone", func(r drill.Readiness) bool { return slices.Equal(memberNames(r.Ready), []string{"a", "c"}) })
	s.edit("c", func(p *corev1.Pod) {
		p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		p.Finalizers = []string{"x"}
	})
	there, err := target.Members(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, memberNames(there), "who is on the way out is no victim any more")
	s.edit("c", func(p *corev1.Pod) { p.DeletionTimestamp = nil })
	s.add("d", false)
	s.edit("d", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionTrue })
	until("a new pod is Ready", func(r drill.Readiness) bool { return slices.Equal(memberNames(r.Ready), []string{"a", "c", "d"}) })
	d, err := s.kube.AppsV1().Deployments("shop").Get(t.Context(), "checkout", metav1.GetOptions{})
	require.NoError(t, err)
	d.Spec.Replicas = new(int32(5))
	_, err = s.kube.AppsV1().Deployments("shop").Update(t.Context(), d, metav1.UpdateOptions{})
	require.NoError(t, err)
	until("somebody scaled", func(r drill.Readiness) bool { return r.Desired == 5 })
	mu.Lock()
	for i := 1; i < len(seen); i++ {
		require.NotEqual(t, seen[i-1], seen[i], "only changes are told")
	}
	mu.Unlock()
	cancel()
	require.NoError(t, <-done)
}

// TestDeploymentAnswers: an address counts as the member's for as long as no other pod has it.
func TestDeploymentAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	s := newShop(t)
	slice, err := s.kube.DiscoveryV1().EndpointSlices("shop").Get(t.Context(), "checkout-abc", metav1.GetOptions{})
	require.NoError(t, err)
	slice.Ports[0].Port = new(int32(n)) //nolint:gosec // a port
	require.NoError(t, s.kube.Tracker().Update(sliceResource, slice, "shop"))
	target := s.target(checkoutBlock)
	_, err = target.Open(t.Context())
	require.NoError(t, err)

	m := drill.Member{Namespace: "shop", Name: "a", UID: "uid-a", IP: "127.0.0.1"}
	require.True(t, target.Answers(t.Context(), m))
	require.False(t, target.Answers(t.Context(), drill.Member{Namespace: "shop", Name: "a", UID: "uid-a"}))
	s.edit("b", func(p *corev1.Pod) { p.Status.PodIP = "127.0.0.1" })
	require.False(t, target.Answers(t.Context(), m), "the address is another pod's now")
	s.edit("b", func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" })
	slice.Endpoints, slice.Ports = nil, nil // as the API server's controller leaves it when the last endpoint is gone
	target.(*stateless).setSlices(map[string]*discoveryv1.EndpointSlice{slice.Name: slice})
	require.True(t, target.Answers(t.Context(), m), "a process may outlive its pod's object and the Service's endpoints")
	l.Close()
	require.False(t, target.Answers(t.Context(), m))
}

func TestDeploymentArguments(t *testing.T) {
	kind, _ := Find("deployment")
	for body, want := range map[string]string{
		"namespace = \"\"\nselector = \"app=x\"":                     "Empty namespace",
		"namespace = \"s\"\nselector = \"\"":                         "Empty selector",
		"namespace = \"s\"\nselector = \"app in\"":                   "Invalid selector",
		"namespace = \"s\"\nselector = \"app=x\"\nservice = \"\"":    "Empty service",
		"namespace = \"s\"":                                          "Missing required argument",
		"namespace = \"s\"\nselector = \"app=x\"\ndeployment = \"\"": "Unsupported argument",
	} {
		f, diags := hclparse.NewParser().ParseHCL([]byte(body), "x.hcl")
		require.False(t, diags.HasErrors())
		_, decoded := kind.Decode(f.Body, nil)
		diags = decoded.Diagnostics
		require.Len(t, diags, 1, body)
		require.Equal(t, want, diags[0].Summary, body)
	}
}
