package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// TestTheLeaderKeepsDetailsWithinTheirBudget: at once, and again while it leads.
func TestTheLeaderKeepsDetailsWithinTheirBudget(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		scheme := metadatafake.NewTestScheme()
		require.NoError(t, metav1.AddMetaToScheme(scheme))
		meta := metadatafake.NewSimpleMetadataClient(scheme)
		maps := meta.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(kube.Namespace).(metadatafake.MetadataClient)
		add := func(run string) {
			_, err := maps.CreateFake(&metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
				ObjectMeta: metav1.ObjectMeta{Name: "detail-" + run, Namespace: kube.Namespace, CreationTimestamp: metav1.Now(),
					Annotations: map[string]string{"failoverdrill.io/bytes": "100"},
					Labels:      map[string]string{kube.LabelManagedBy: kube.ManagedBy, kube.LabelComponent: "detail", kube.LabelRun: run}}}, metav1.CreateOptions{})
			require.NoError(t, err)
		}
		count := func() int {
			list, err := maps.List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			return len(list.Items)
		}
		add("a")
		time.Sleep(time.Second)
		add("b")
		ctx, cancel := context.WithCancel(t.Context())
		o := Options{Client: &kube.Client{Metadata: meta}, Namespace: kube.Namespace, Log: zap.NewNop(), DetailBudget: 150}
		go pruneDetails(ctx, o)
		synctest.Wait()
		require.Equal(t, 1, count())
		time.Sleep(time.Second)
		add("c")
		time.Sleep(pruneEvery)
		synctest.Wait()
		require.Equal(t, 1, count())
		cancel()
		synctest.Wait()

		add("d")
		pruneDetails(t.Context(), Options{}) // without a budget, all are kept
		require.Equal(t, 2, count())
	})
}
