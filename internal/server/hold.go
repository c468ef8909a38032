package server

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

// notHeld refuses a run while drill is on hold. A hold that cannot be read lets nothing start: it is asked again.
func (r *reconciler) notHeld(ctx context.Context, a *admission) (bool, time.Duration, error) {
	hold, err := kube.NewHolds(r.o.Client, r.o.Namespace).Get(ctx)
	if err != nil {
		return false, 0, err
	}
	if hold != nil {
		return false, 0, r.end(ctx, a.run, drill.VerdictRefused, "The run did not begin: "+hold.String()+". Nothing was touched.")
	}
	return true, 0, nil
}

// unheld is what of the due runs may start: all of them, or none while drill is on hold. Those count as missed then.
func (s *scheduler) unheld(ctx context.Context, book *schedule.Book, due []schedule.Start) ([]schedule.Start, error) {
	if len(due) == 0 {
		return due, nil
	}
	hold, err := kube.NewHolds(s.o.Client, s.o.Namespace).Get(ctx)
	if err != nil || hold == nil {
		return due, err
	}
	for _, start := range due {
		book.Skipped(start, hold.String())
		s.o.Log.Info("a scheduled run does not start", zap.String("drill", start.Drill), zap.Stringer("because", hold))
	}
	return nil, nil
}
