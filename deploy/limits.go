package deploy

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// limits writes the limits of the cluster's owner that were given, and keeps all others. Those that are there and cannot
// be read stop the installation: the server would admit nothing.
func (i *installer) limits(ctx context.Context, given map[string]string) error {
	limits, err := kube.SetLimits(ctx, i.client, namespace, given)
	if bad, ok := kube.AsLimitError(err); ok {
		return &drill.Refusal{Code: "limits", Err: bad, Text: fmt.Sprintf(
			"correct it with: kubectl -n %s edit configmap %s, or set the limit anew with its flag", namespace, kube.LimitsMap)}
	}
	if apierrors.IsForbidden(err) {
		return &drill.Refusal{Code: "forbidden", Err: err, Text: "you may not set the limits. It takes a cluster administrator"}
	}
	if err != nil {
		return err
	}
	i.say("limits: timeout %s, hold %s, %d members, %g of a target, %g of the nodes", limits.Timeout, limits.Hold, limits.Members, limits.Share, limits.NodeShare)
	return nil
}
