//go:build cnpg

package cnpg

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// bystanders is a namespace into which drill was never let.
const bystanders = "cnpg-other"

var clusters = schema.GroupVersionResource{Group: "postgresql.cnpg.io", Version: "v1", Resource: "clusters"}

// standing is what a cluster says of itself.
type standing struct {
	phase, primary, target string
	ready, timeline        int64
}

func stands(ctx context.Context, c *kube.Client, ns, name string) (standing, error) {
	o, err := c.Dynamic.Resource(clusters).Namespace(ns).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return standing{}, err
	}
	text := func(field string) string { s, _, _ := unstructured.NestedString(o.Object, "status", field); return s }
	number := func(field string) int64 { n, _, _ := unstructured.NestedInt64(o.Object, "status", field); return n }
	return standing{text("phase"), text("currentPrimary"), text("targetPrimary"), number("readyInstances"), number("timelineID")}, nil
}

// bystander is another team's cluster, whose primary is on the node.
func bystander(t *testing.T, c *kube.Client, node string) standing {
	t.Helper()
	ctx := t.Context()
	_, err := c.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: bystanders}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		_ = c.Dynamic.Resource(clusters).Namespace(bystanders).Delete(ctx, "theirs", metav1.DeleteOptions{})
		_ = c.CoreV1().Namespaces().Delete(ctx, bystanders, metav1.DeleteOptions{})
	})
	theirs := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": map[string]any{"name": "theirs"},
		"spec": map[string]any{
			"instances": int64(2), "imageName": "failoverdrill/postgresql:15", "imagePullPolicy": "IfNotPresent", "postgresUID": int64(999), "postgresGID": int64(999),
			"storage": map[string]any{"size": "1Gi"}, "postgresql": map[string]any{"parameters": map[string]any{"shared_buffers": "32MB"}},
			// The first instance, which is the primary, goes to the node; the second may not.
			"affinity": map[string]any{"podAntiAffinityType": "required", "topologyKey": "kubernetes.io/hostname",
				"nodeAffinity": map[string]any{"preferredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{"weight": int64(100), "preference": map[string]any{
					"matchExpressions": []any{map[string]any{"key": "kubernetes.io/hostname", "operator": "In", "values": []any{node}}}}}}}},
		},
	}}
	_, err = c.Dynamic.Resource(clusters).Namespace(bystanders).Create(ctx, theirs, metav1.CreateOptions{})
	require.NoError(t, err)
	var s standing
	require.Eventually(t, func() bool {
		s, err = stands(ctx, c, bystanders, "theirs")
		return err == nil && s.phase == "Cluster in healthy state" && s.ready == 2
	}, 4*time.Minute, time.Second, "the bystander's cluster")
	pod, err := c.CoreV1().Pods(bystanders).Get(ctx, s.primary, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, node, pod.Spec.NodeName, "their primary is beside the victim")
	return s
}

// TestT7NobodyElsesDatabaseMoves: a member is held down for 45 s, and another team's primary on the same node stays
// primary, in the same timeline. When hold_down cordoned the node, the operator switched it over within seconds.
func TestT7NobodyElsesDatabaseMoves(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "KUBECONFIG must name the lab; run make cnpg")
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	whole(t, c)
	ours, err := stands(t.Context(), c, namespace, cluster)
	require.NoError(t, err)
	victim, err := c.CoreV1().Pods(namespace).Get(t.Context(), ours.primary, metav1.GetOptions{})
	require.NoError(t, err)
	before := bystander(t, c, victim.Spec.NodeName)

	watching, stop := context.WithCancel(t.Context())
	done := make(chan []string)
	go func() { done <- changes(watching, c, before) }()
	m := measure(t, c)
	time.Sleep(15 * time.Second) // what the operator would still do
	stop()
	for _, change := range <-done {
		t.Error(change)
	}
	// The verdict may be another for want of processors; this is about the fault.
	require.True(t, m.report.Faults[0].Confirmed, "%+v", m.report.Run.Reasons)
	require.True(t, m.report.Faults[0].Reverted)
	require.NotNil(t, m.report.Recovery, "%+v", m.report.Run.Reasons)
	require.Equal(t, drill.OutcomeFailedOver, m.report.Recovery.Outcome)
	whole(t, c)
	after, err := stands(t.Context(), c, namespace, cluster)
	require.NoError(t, err)
	require.NotEqual(t, ours.primary, after.primary, "ours did fail over")
	t.Logf("redundancy of ours after %s s", known(m.report.Recovery.Redundancy, "%.1f"))
}

// changes lists what became of the bystander, and of the nodes, until ctx ends.
func changes(ctx context.Context, c *kube.Client, before standing) (seen []string) {
	said := map[string]bool{}
	say := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !said[s] {
			said[s] = true
			seen = append(seen, time.Now().Format(time.TimeOnly)+" "+s)
		}
	}
	for ctx.Err() == nil {
		if now, err := stands(ctx, c, bystanders, "theirs"); err == nil && now != before {
			say("their cluster was %+v, and is %+v", before, now)
		}
		if nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil {
			for _, n := range nodes.Items {
				if n.Spec.Unschedulable {
					say("node %s is cordoned", n.Name)
				}
			}
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return seen
}
