package deploy

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// TestAFreshInstallationCounts: on a new cluster the API server refused every run for five minutes. As its controller does,
// this looks at a quota that changes, and counts a kind only once it knows it.
func TestAFreshInstallationCounts(t *testing.T) {
	for _, c := range []struct {
		knows time.Duration
		says  string
	}{{knows: 0}, {knows: 25 * time.Second}, {knows: 2 * time.Minute, says: "counts nothing yet"}} {
		bubble.Test(t, func(t *testing.T) {
			began := time.Now()
			quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: quotaName, Namespace: namespace},
				Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{quotaCounts: apiresource.MustParse("10000")}}}
			api := fake.NewClientset(quota)
			api.PrependReactor("patch", "resourcequotas", func(a clienttesting.Action) (bool, runtime.Object, error) {
				handled, object, err := clienttesting.ObjectReaction(api.Tracker())(a)
				if q, ok := object.(*corev1.ResourceQuota); ok && err == nil && time.Since(began) >= c.knows {
					q = q.DeepCopy()
					q.Status.Used = corev1.ResourceList{quotaCounts: apiresource.MustParse("0")}
					err = api.Tracker().Update(corev1.SchemeGroupVersion.WithResource("resourcequotas"), q, namespace)
				}
				return handled, object, err
			})
			var out strings.Builder
			i := &installer{client: &kube.Client{Interface: api}, out: &out}
			require.NoError(t, i.counted(t.Context()))
			require.Contains(t, out.String(), c.says)
			require.Less(t, time.Since(began), min(c.knows, quotaWithin)+4*time.Second)
			q, err := api.CoreV1().ResourceQuotas(namespace).Get(t.Context(), quotaName, metav1.GetOptions{})
			require.NoError(t, err)
			if c.says == "" {
				hard := q.Spec.Hard[quotaCounts]
				require.EqualValues(t, 10000, hard.Value())
			}
		})
	}
}
