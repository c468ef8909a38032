package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/history"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/schedule"
	"github.com/failoverdrill/drill/internal/server"
)

// permit asks right before a scheduled run's injection whether its schedule lets it begin now: the run may have waited
// for its turn, and a later trial begins long after the due time.
func permit(client *kube.Client, run *kube.DrillRun, d *drill.Drill) func(context.Context) error {
	return func(context.Context) error {
		if _, ok := run.ScheduledFor(); !ok || d.Schedule == nil {
			return nil
		}
		return open(*d.Schedule, client.Clock.Now())
	}
}

// open refuses a moment outside a schedule's windows, or in one of its blackouts.
func open(s drill.Schedule, now time.Time) error {
	table, problems := schedule.Parse(s)
	if len(problems) > 0 {
		return &drill.Refusal{Code: "bad_schedule", Text: "The drill's schedule cannot be read: " + problems[0].Summary}
	}
	if !table.Open(now) {
		return &drill.Refusal{Code: server.OutsideWindow, Text: fmt.Sprintf("It is %s, outside the windows of the drill's schedule, or in a blackout",
			now.In(table.Location()).Format("Mon 2006-01-02 15:04 MST"))}
	}
	return nil
}

// tooLate refuses a run whose request is older than it may be when its runner begins it.
func tooLate(client *kube.Client, run *kube.DrillRun, within time.Duration) *drill.Refusal {
	if age := client.Clock.Age(run.CreationTimestamp.Time); within > 0 && age > within {
		return server.TooLate(age, within)
	}
	return nil
}

// refusedReport is the report of a run that its runner refused before it began.
func refusedReport(run *kube.DrillRun, why *drill.Refusal) drill.Report {
	run.Status.Verdict, run.Status.Message = drill.VerdictRefused, why.Text
	rep, _ := history.Report(run) // it has none yet, so there is nothing to fail
	rep.Run.Reasons = []drill.Reason{{Code: why.Code, Text: why.Text + "."}}
	rep.Run.Finished = time.Now().UTC()
	return rep
}
