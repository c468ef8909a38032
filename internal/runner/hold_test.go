package runner

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// TestAHoldRevertsAtOnce: in the middle of a fault that would last 35 s more, with no server anywhere.
func TestAHoldRevertsAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		api := fake.NewClientset()
		w := newWorld()
		var reverted time.Duration
		var held time.Time
		w.hooks["confirm"] = func(context.Context) error {
			time.AfterFunc(10*time.Second, func() {
				held = time.Now()
				_, _ = api.CoreV1().ConfigMaps(kube.Namespace).Create(context.Background(), &corev1.ConfigMap{
					ObjectMeta: metav1.ObjectMeta{Name: kube.HoldName}, Data: map[string]string{"reason": "incident 4711"}}, metav1.CreateOptions{})
			})
			return nil
		}
		w.hooks["revert"] = func(context.Context) error { reverted = time.Since(held); return nil }
		ctx, stop := kube.NewHolds(api, "").Watch(t.Context(), nil)
		defer stop()
		rep := Run(ctx, w.config())
		require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict)
		require.Equal(t, "The run was interrupted: drill is on hold (incident 4711).", rep.Run.Reasons[0].Text)
		require.LessOrEqual(t, reverted, 1100*time.Millisecond)
		w.checkClean(t)
	})
}
