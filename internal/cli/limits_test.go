package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

func limitsMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.LimitsMap, Namespace: kube.Namespace}, Data: data}
}

// TestT7PlanNamesTheLimits: drill plan refuses what the cluster's owner does not allow, and names each limit.
func TestT7PlanNamesTheLimits(t *testing.T) {
	for _, c := range []struct {
		data    map[string]string
		refused []string // what each refusal says
	}{
		{nil, nil},
		{map[string]string{kube.LimitTimeout: "2m"}, []string{"Its timeout is 3m0s, and the cluster's owner allows 2m0s (limit max-timeout of ConfigMap failoverdrill/drill-limits"}},
		{map[string]string{kube.LimitHold: "10s"}, []string{"held for 45s"}},
		{map[string]string{kube.LimitKinds: "shop=pod_kill"}, []string{"inject kill_primary in namespace shop", "inject network_partition in namespace shop"}},
		{map[string]string{kube.LimitMembers: "1"}, nil}, // both faults hurt the same member
		{map[string]string{"max-hodl": "10s"}, []string{"max-hodl: this limit is not known"}},
	} {
		w := newPlanWorld(limitsMap(c.data))
		p, text, _ := planOf(t, w, planned(t, plannedFile))
		require.Len(t, p.Refused, len(c.refused), "%v: %v", c.data, p.Refused)
		for i, said := range c.refused {
			require.Contains(t, p.Refused[i].Text, said)
			require.Equal(t, "limit", p.Refused[i].Code)
		}
		if c.refused == nil {
			require.Contains(t, text, "holds    The drill keeps to the limits of the cluster's owner.")
		}
	}
	w := newPlanWorld()
	w.api.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "", nil)
	})
	p, text, _ := planOf(t, w, planned(t, plannedFile))
	require.Empty(t, p.Refused)
	require.Contains(t, strings.Join(strings.Fields(text), " "), "you may not read ConfigMap drill-limits")
}

// TestT7TheRunnerAsksTheLimitsAgain: also with --runner=local, and it refuses when it cannot know them.
func TestT7TheRunnerAsksTheLimitsAgain(t *testing.T) {
	three := func(ctx context.Context) ([]drill.Member, error) {
		return []drill.Member{{UID: "a"}, {UID: "b"}, {UID: "c"}}, ctx.Err()
	}
	of := func(w *planWorld, inside bool) (*ownerLimits, error) {
		return execution{client: w.client, drill: planned(t, plannedFile), inside: inside}.ownerLimits(t.Context(), three)
	}
	for _, inside := range []bool{false, true} {
		_, err := of(newPlanWorld(limitsMap(map[string]string{kube.LimitTimeout: "2m"})), inside)
		require.ErrorContains(t, err, "limit max-timeout")
		_, err = of(newPlanWorld(limitsMap(map[string]string{"max-hodl": "2m"})), inside)
		require.ErrorContains(t, err, "max-hodl")
		w := newPlanWorld()
		w.api.PrependReactor("get", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "", nil)
		})
		_, err = of(w, inside)
		require.ErrorContains(t, err, "What the cluster's owner allows is not known")

		b, err := of(newPlanWorld(), inside)
		require.NoError(t, err)
		require.Equal(t, inside, b.within() != nil, "what the requester's own machine reaches is the requester's")
		plan := func(uids ...string) drill.FaultPlan {
			p := drill.FaultPlan{Kind: "pod_kill", Nodes: uids, Hold: 1}
			for _, uid := range uids {
				p.Victims = append(p.Victims, drill.Member{UID: uid})
			}
			return p
		}
		require.NoError(t, b.allows([]drill.FaultPlan{plan("a"), plan("a")}))
		require.ErrorContains(t, b.allows([]drill.FaultPlan{plan("a", "b", "c")}), "limit max-share")
		require.ErrorContains(t, b.allows([]drill.FaultPlan{plan("a"), plan("b")}), "limit max-node-share", "two of three nodes")
	}
}

// TestT14WhatAProbeMayNotReachIsRefusedBefore: where the file alone says it.
func TestT14WhatAProbeMayNotReachIsRefusedBefore(t *testing.T) {
	source := strings.Replace(plannedFile, "  steady_state {", `  probe "http" "a" {
    url = "http://169.254.169.254/latest/meta-data"
  }
  probe "tcp" "b" {
    address = "[::1]:22"
  }
  probe "promql" "c" {
    url   = "http://metadata.google.internal"
    query = "up"
  }
  guard {
    no_alert   = ["Down"]
    prometheus = "http://127.0.0.1:9090"
  }
  steady_state {`, 1)
	d := planned(t, source)
	require.ElementsMatch(t, []string{"169.254.169.254", "::1", "metadata.google.internal", "127.0.0.1"}, probedHosts(d))
	require.Len(t, kube.DefaultLimits().Exceeded(asked(d)), 4, "the server refuses it, before anything is made")
	_, err := execution{client: newPlanWorld().client, drill: d, inside: true}.ownerLimits(t.Context(), nil)
	require.ErrorContains(t, err, "limit probe-allow")
	_, err = execution{client: newPlanWorld().client, drill: d}.ownerLimits(t.Context(), nil)
	require.NoError(t, err, "with --runner=local the requester's own machine connects")
}
