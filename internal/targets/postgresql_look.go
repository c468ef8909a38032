package targets

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// Look finds the members and whom the cluster calls primary, without logging in anywhere: roles are by label alone.
func (t *postgreSQL) Look(ctx context.Context) ([]drill.Member, *drill.Views, error) {
	if err := t.findPods(ctx); err != nil {
		return nil, nil, err
	}
	if err := t.findService(ctx); err != nil {
		return nil, nil, err
	}
	var all []drill.Member
	views := t.cluster.views(nil)
	for _, pod := range t.cluster.members() {
		m := known{pod: pod, recovering: !slices.Contains(views.Label, pod.Name)}.member()
		if node, err := t.Kube.CoreV1().Nodes().Get(ctx, m.Node, metav1.GetOptions{}); err == nil {
			m.Zone = node.Labels[corev1.LabelTopologyZone]
		}
		all = append(all, m)
	}
	return all, &views, nil
}

// Pods are the namespace and the label selector of the members.
func (s postgresqlSpec) Pods() (namespace, selector string) { return s.Namespace, s.Selector.String() }
