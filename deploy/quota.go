package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	quotaName   = "drill-records"
	quotaCounts = corev1.ResourceName("count/drillruns.failoverdrill.io")
	quotaWithin = 45 * time.Second // Kubernetes looks for new kinds every 30 s
	quotaNudge  = 2 * time.Second
)

// counted waits until the quota counts records. Until then the API server refuses every run. A quota that was made before
// its controller knew the new kind is looked at again only after five minutes, or when it changes: so it is changed, and
// changed back. A cluster where all that does not help is installed all the same.
func (i *installer) counted(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, quotaWithin)
	defer cancel()
	quotas := i.client.CoreV1().ResourceQuotas(namespace)
	var most, now int64
	var nudged time.Time
	set := func(ctx context.Context, n int64) error {
		patch := fmt.Appendf(nil, `{"spec":{"hard":{%q:"%d"}}}`, quotaCounts, n)
		if _, err := quotas.Patch(ctx, quotaName, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "drill-install"}); err != nil {
			return fmt.Errorf("change quota %s: %w", quotaName, err)
		}
		now = n
		return nil
	}
	err := until(within, "the count of records", func(ctx context.Context) (string, error) {
		q, err := quotas.Get(ctx, quotaName, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("read quota %s: %w", quotaName, err)
		}
		if most == 0 {
			hard := q.Spec.Hard[quotaCounts]
			most, now = hard.Value(), hard.Value()
		}
		if _, counts := q.Status.Used[quotaCounts]; counts {
			if now == most {
				return "", nil
			}
			return "", set(ctx, most)
		}
		if time.Since(nudged) >= quotaNudge {
			nudged = time.Now()
			if err := set(ctx, 2*most-1-now); err != nil {
				return "", err
			}
		}
		return "the cluster does not count the records of runs yet", nil
	})
	if err != nil && errors.Is(within.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
		i.say("quota %s/%s counts nothing yet: until it does, for up to five minutes, the API server refuses every run", namespace, quotaName)
		return nil
	}
	return err
}
