package history

import (
	"context"
	"fmt"
	"strings"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// SeriesOf is the name of a run's series: its first trial's.
func SeriesOf(run drill.RunReport) string {
	if run.Trial < 2 {
		return run.ID
	}
	return strings.TrimSuffix(run.ID, kube.TrialID("", run.Trial))
}

// Earlier are the trials of a run's series before it, the first one first. One whose record is gone, cannot be read, or is
// of another's run has a name and no verdict: the statistics leave it out, and say so.
func Earlier(ctx context.Context, runs *kube.Runs, run *kube.DrillRun) ([]drill.Trial, error) {
	series, trial := run.Trial()
	if trial == 1 {
		return nil, nil
	}
	all := make([]drill.Trial, trial-1)
	for i := range all {
		all[i].Run = kube.TrialID(series, i+1)
	}
	err := runs.Series(ctx, series, func(r *kube.DrillRun) {
		_, number := r.Trial()
		if number >= trial || !r.Finished() || !r.SameSeries(run) {
			return
		}
		if rep, err := Report(r); err == nil {
			t := rep.Trial()
			t.Run, t.Verdict = r.Name, r.Status.Verdict
			all[number-1] = t
		}
	})
	if err != nil {
		return all, fmt.Errorf("read the earlier trials of run %s: %w", run.Name, err)
	}
	return all, nil
}
