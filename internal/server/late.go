package server

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
)

// StartDeadline is how old a request may be when its run is admitted, and when its runner begins it, unless the server is
// told otherwise.
const StartDeadline = 5 * time.Minute

// EnvStartDeadline tells the runner of it.
const EnvStartDeadline = "DRILL_START_DEADLINE"

// OutsideWindow is the code of a refusal by the windows and blackouts of a schedule.
const OutsideWindow = "outside_window"

// tooLate is the code of a refusal of a request that is too old.
const tooLate = "too_late"

// TooLate refuses a request that is too old.
func TooLate(age, within time.Duration) *drill.Refusal {
	return &drill.Refusal{Code: tooLate, Text: fmt.Sprintf("The run was asked for %v ago, and a run begins within %v of its request or not at all. Ask for a new one",
		age.Round(time.Second), within)}
}

// notTooLate refuses a request that waited for longer than anybody expects: a server that was down, or a cluster that
// could not make its pod, must not break something hours later, when nobody looks. The age is by the API server's time.
func (r *reconciler) notTooLate(ctx context.Context, a *admission) (bool, time.Duration, error) {
	within := r.o.StartDeadline
	if age := r.o.Client.Clock.Age(a.run.CreationTimestamp.Time); within > 0 && age > within {
		return false, 0, r.tooLate(ctx, a.run, TooLate(age, within).Text+".")
	}
	return true, 0, nil
}

// inWindow refuses a scheduled run that its schedule does not let begin now.
func (r *reconciler) inWindow(ctx context.Context, a *admission) (bool, time.Duration, error) {
	if why := r.shut(a.run, a.request); why != "" {
		return false, 0, r.tooLate(ctx, a.run, why)
	}
	return true, 0, nil
}

// tooLate ends a run by time, and counts it as missed first when a schedule made it.
func (r *reconciler) tooLate(ctx context.Context, run *kube.DrillRun, why string) error {
	if err := r.countMissed(ctx, run, why); err != nil {
		return err
	}
	return r.end(ctx, run, drill.VerdictRefused, why+" Nothing was touched.")
}

// shut says why a scheduled run, or the next trial after it, may not begin now; empty when it may.
func (r *reconciler) shut(run *kube.DrillRun, request Request) string {
	if _, ok := run.ScheduledFor(); !ok || request.Schedule == nil {
		return ""
	}
	table, problems := schedule.Parse(*request.Schedule)
	if len(problems) > 0 {
		return fmt.Sprintf("The drill's schedule cannot be read: %s.", problems[0].Summary)
	}
	if now := r.o.Client.Clock.Now(); !table.Open(now) {
		return fmt.Sprintf("It is %s, outside the windows of the drill's schedule, or in a blackout.",
			now.In(table.Location()).Format("Mon 2006-01-02 15:04 MST"))
	}
	return ""
}

// countMissed enters a scheduled run that was refused by time in the book, before the run is let go. The book is written
// by compare-and-swap, as the scheduler does it, which then looks again.
func (r *reconciler) countMissed(ctx context.Context, run *kube.DrillRun, reason string) error {
	due, ok := run.ScheduledFor()
	if _, trial := run.Trial(); !ok || trial > 1 {
		return nil
	}
	books := &scheduler{o: r.o, schedules: kube.NewSchedules(r.o.Client, r.o.Namespace)}
	for {
		kept, err := books.open(ctx)
		if err != nil {
			return err
		}
		if !kept.book.Refused(run.Spec.Drill, due, reason) {
			return nil
		}
		if err := books.save(ctx, kept); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// refusedByTime is why a finished run was refused for being too late or outside its window; empty when it was not.
func refusedByTime(run *kube.DrillRun) string {
	report, err := run.Report()
	if err != nil || report == nil || run.Status.Verdict != drill.VerdictRefused || len(report.Run.Reasons) == 0 {
		return ""
	}
	if why := report.Run.Reasons[0]; why.Code == OutsideWindow || why.Code == tooLate {
		return why.Text
	}
	return ""
}
