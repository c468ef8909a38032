package server

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/kube"
)

// pruneEvery is how often it is looked whether the details of runs take too much room.
const pruneEvery = time.Minute

// pruneDetails keeps the details of runs within their budget until ctx ends.
func pruneDetails(ctx context.Context, o Options) {
	if o.DetailBudget <= 0 {
		return
	}
	details := kube.NewDetails(o.Client, o.Namespace)
	for {
		removed, err := details.Prune(ctx, o.DetailBudget)
		if err != nil && ctx.Err() == nil {
			o.Log.Warn("the details of old runs cannot be removed", zap.Error(err))
		}
		if len(removed) > 0 {
			o.Log.Info("the details of old runs made room for newer ones", zap.Strings("runs", removed))
		}
		if !pause(ctx, pruneEvery) {
			return
		}
	}
}
