package server

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/kube"
)

// locksEvery is how often it is looked whether a lock is left of a run that is over.
const locksEvery = 15 * time.Second

// keepLocks deletes locks of runs that are over until ctx ends.
func keepLocks(ctx context.Context, o Options) {
	locks := kube.NewStaleLocks(o.Client, kube.NewRuns(o.Client.Dynamic, o.Namespace))
	for {
		looking, cancel := context.WithTimeout(ctx, locksEvery)
		scopes, err := locks.Sweep(looking)
		cancel()
		if err != nil && ctx.Err() == nil {
			o.Log.Warn("which locks are left of runs that are over cannot be looked at", zap.Error(err))
		}
		if len(scopes) > 0 {
			o.Log.Warn("locks were left of runs that are over, and are deleted", zap.Strings("scopes", scopes))
		}
		if !pause(ctx, locksEvery) {
			return
		}
	}
}
