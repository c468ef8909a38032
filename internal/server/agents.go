package server

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/kube"
)

// sweepAgentsEvery is how often agents whose run is over are looked for. They heal by themselves 5 s after their runner's last
// word; this only clears their pods and certificates away.
const sweepAgentsEvery = time.Minute

// sweepAgents removes agents whose run is over or gone, for as long as this server leads. The garbage collector cannot: their
// run's record is in another namespace.
func sweepAgents(ctx context.Context, o Options) {
	if o.Namespace != kube.Namespace { // the agents are those of the runs there
		return
	}
	runs := kube.NewRuns(o.Client.Dynamic, o.Namespace)
	for {
		removed, err := kube.SweepAgents(ctx, o.Client, runs)
		if len(removed) > 0 {
			o.Log.Info("removed agents whose run is over", zap.Strings("agents", removed))
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			o.Log.Warn("agents whose run is over may be left", zap.Error(err))
		}
		if !pause(ctx, sweepAgentsEvery) {
			return
		}
	}
}
