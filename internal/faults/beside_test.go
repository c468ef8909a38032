package faults

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestWhatAKillDoesBeside: the plan says which Services lose their last ready endpoint, and whose budget is used up.
func TestWhatAKillDoesBeside(t *testing.T) {
	l := newLab()
	_, _, plan := l.plan(t, "")
	require.Empty(t, plan.Beside)

	endpoint := func(uid, ip string, ready bool) discoveryv1.Endpoint {
		e := discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
		if uid != "" {
			e.TargetRef = &corev1.ObjectReference{UID: k8sUID(uid)}
		}
		return e
	}
	for service, endpoints := range map[string][]discoveryv1.Endpoint{
		"orders":     {endpoint("u0", "10.0.0.1", true)},
		"by-address": {endpoint("", "10.0.0.1", true), endpoint("u1", "10.0.0.2", false)},
		"orders-all": {endpoint("u0", "10.0.0.1", true), endpoint("u1", "10.0.0.2", true)},
		"others":     {endpoint("u1", "10.0.0.2", true)},
		"reused":     {endpoint("u9", "10.0.0.1", true)}, // the address is another pod's by now
	} {
		_, err := l.kube.DiscoveryV1().EndpointSlices("shop").Create(t.Context(), &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: service,
			Labels: map[string]string{discoveryv1.LabelServiceName: service}}, Endpoints: endpoints}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	for name, allowed := range map[string]int32{"tight": 0, "wide": 1} {
		_, err := l.kube.PolicyV1().PodDisruptionBudgets("shop").Create(t.Context(), &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}}, Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	_, _, plan = l.plan(t, "")
	require.Len(t, plan.Beside, 2)
	require.Contains(t, plan.Beside[0], "of Service by-address, orders in namespace shop.")
	require.Contains(t, plan.Beside[1], "PodDisruptionBudget tight (0 allowed now, 1 killed);")
}

// TestWhatACutDoesBeside: both ends are touched, and a Service may be on one side alone.
func TestWhatACutDoesBeside(t *testing.T) {
	n := newNetwork(t)
	_, _, plan := n.planned(t, isolate)
	require.Len(t, plan.Beside, 1)
	require.Equal(t, []string{"u1"}, []string{plan.Others[0].UID})
	require.Len(t, plan.Touched(), 2, "T21: max_targets counts the other side, too")
	_, err := n.kube.CoreV1().Services("shop").Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "replicas"},
		Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.7", Ports: []corev1.ServicePort{{Port: 5432}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = n.kube.DiscoveryV1().EndpointSlices("shop").Create(t.Context(), &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "replicas",
		Labels: map[string]string{discoveryv1.LabelServiceName: "replicas"}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{podIP(1)}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, _, plan = n.planned(t, isolate)
	require.Len(t, plan.Beside, 2)
	require.Contains(t, plan.Beside[1], "Service replicas has all of its ready endpoints on one side")
}

// TestT15ACutTooLargeIsRefused: its agents could not hold that many connections open, nor its report name them.
func TestT15ACutTooLargeIsRefused(t *testing.T) {
	of := func(n int) []partitionedPod { return make([]partitionedPod, n) }
	for _, tc := range []struct {
		from, to int
		fine     bool
	}{{22, 22, true}, {10, 50, true}, {1, 51, false}, {51, 1, false}, {23, 22, false}, {60, 60, false}} {
		err := checkSize(networkPartitionState{From: of(tc.from), To: of(tc.to)})
		if tc.fine {
			require.NoError(t, err, tc)
			continue
		}
		var refusal *drill.Refusal
		require.ErrorAs(t, err, &refusal, tc)
		require.Equal(t, "cut_too_large", refusal.Code)
	}
	var wrong []string
	for i := range 7200 {
		wrong = append(wrong, fmt.Sprintf("%d %s", i, strings.Repeat("x", 150)))
	}
	require.Less(t, len(some(wrong)), 2<<10)
	require.Contains(t, some(wrong), "and 7190 more")
}
