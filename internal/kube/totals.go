package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TotalsName is the ConfigMap that keeps the counters of all runs, also of those whose records are gone.
const TotalsName = "drill-totals"

const totalsKey = "totals.json"

// Totals is where the counters are kept. Writing is a compare-and-swap.
type Totals struct {
	client    kubernetes.Interface
	namespace string
}

// NewTotals opens the store; an empty namespace is drill's own.
func NewTotals(client kubernetes.Interface, namespace string) *Totals {
	if namespace == "" {
		namespace = Namespace
	}
	return &Totals{client: client, namespace: namespace}
}

// Load returns what is stored and its version; nothing, and "", when nothing is.
func (s *Totals) Load(ctx context.Context) ([]byte, string, error) {
	m, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(ctx, TotalsName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read ConfigMap %s: %w", TotalsName, err)
	}
	return []byte(m.Data[totalsKey]), m.ResourceVersion, nil
}

// Save replaces the version that was loaded, and returns the new one; it does nothing, and is not ok, when there is
// another by now.
func (s *Totals) Save(ctx context.Context, data []byte, version string) (newVersion string, ok bool, err error) {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: TotalsName, Namespace: s.namespace, ResourceVersion: version,
		Labels: map[string]string{"app.kubernetes.io/name": "drill", LabelManagedBy: ManagedBy}}, Data: map[string]string{totalsKey: string(data)}}
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	if version == "" {
		m, err = maps.Create(ctx, m, metav1.CreateOptions{FieldManager: ManagedBy})
	} else {
		m, err = maps.Update(ctx, m, metav1.UpdateOptions{FieldManager: ManagedBy})
	}
	switch {
	case err == nil:
		return m.ResourceVersion, true, nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return "", false, nil
	case apierrors.IsNotFound(err) && version != "": // deleted since it was loaded
		return "", false, nil
	}
	return "", false, fmt.Errorf("write ConfigMap %s: %w", TotalsName, err)
}
