package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// withinLimits refuses what the cluster's owner does not allow, as far as the file tells. The runner asks again, and about
// what only its plan knows. T7: a requester's file does not bound itself.
func (r *reconciler) withinLimits(ctx context.Context, a *admission) (bool, time.Duration, error) {
	limits, err := kube.ReadLimits(ctx, r.o.Client, r.o.Namespace)
	if bad, ok := errors.AsType[*kube.LimitError](err); ok {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, bad.Error()+". Nothing was touched.")
	}
	if err != nil {
		return false, 0, err
	}
	if exceeded := limits.Exceeded(a.request.Asked); len(exceeded) > 0 {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, fmt.Sprintf("The drill exceeds a limit of this cluster: %s. Nothing was touched.", strings.Join(exceeded, "; ")))
	}
	return true, 0, nil
}
