package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// How long a run that is over is patient with an API server that does not answer. There is nothing left to measure then,
// and so there is time; the runner pod's own deadline (server.deadlineMargin) is later.
const (
	concludePatience = 30 * time.Minute
	concludeWithin   = concludePatience + 5*time.Minute
	againEvery       = 2 * time.Second
	againWithin      = 2 * time.Minute
	againAttempt     = 30 * time.Second
	detailWithin     = time.Minute
)

// Causes of a run's end that come from its record.
var (
	errStopped   = &stoppedError{"the run was cancelled"}
	errGone      = errors.New("its record was deleted")
	errTakenOver = errors.New("another process ended it in its place")
)

// stoppedError says why a run was cancelled.
type stoppedError struct{ why string }

func (e *stoppedError) Error() string { return e.why }

// obey ends the run when its record says so, until ctx ends. A record that is gone is the end of its run as well: nothing
// could be noted any more.
func obey(ctx context.Context, runs *kube.Runs, id string, log *zap.Logger, cancel context.CancelCauseFunc) {
	for ctx.Err() == nil {
		err := runs.Watch(ctx, id, func(r *kube.DrillRun) bool {
			switch {
			case r.CancelRequested():
				cancel(&stoppedError{r.CancelledBecause()})
			case r.Finished():
				cancel(errTakenOver)
			default:
				return true
			}
			return false
		})
		switch {
		case err == nil:
			return
		case apierrors.IsNotFound(err):
			cancel(errGone)
			return
		case ctx.Err() == nil:
			log.Warn("the run's record cannot be watched, trying again", zap.Error(err))
		}
		select {
		case <-time.After(againEvery):
		case <-ctx.Done():
		}
	}
}

// conclude reverts what could not be reverted before, stores the run's detail and finishes its record. A run without its
// detail is worth its report nonetheless.
func (x execution) conclude(ctx context.Context, run *kube.DrillRun, journal *kube.Journal, rep drill.Report, recorded []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), concludeWithin)
	defer cancel()
	if err := x.mend(ctx, journal, &rep); err != nil {
		return fmt.Errorf("record the end of run %s: %w", run.Name, err)
	}
	saving, saved := context.WithTimeout(ctx, detailWithin)
	stored, err := kube.NewDetails(x.client, x.runs.Namespace()).Save(saving, run, recorded)
	saved()
	if err != nil {
		x.log.Warn("the run's detail is not in the cluster: its report cannot be computed again from there", zap.Error(err))
	}
	outcome := kube.Outcome{Verdict: rep.Run.Verdict, Report: &rep, Detail: &stored, Patience: concludePatience}
	if err := journal.Finish(ctx, outcome); err != nil {
		return fmt.Errorf("record the end of run %s: %w", run.Name, err)
	}
	return nil
}

// mend waits until the record can be read, and reverts what its journal does not call reverted: what the runner could not
// revert, or could not note, while the API server was away. What stays is residue, also in the report.
func (x execution) mend(ctx context.Context, journal *kube.Journal, rep *drill.Report) error {
	run, err := x.reread(ctx)
	if err != nil {
		return err
	}
	if run.Finished() {
		return kube.ErrFinished
	}
	if run.Status.Generation != journal.Generation() {
		return kube.ErrSuperseded
	}
	for _, record := range run.Unreverted() {
		if record.Phase == kube.FaultResidue {
			continue // the server goes on with it
		}
		failure := x.again(ctx, record)
		var left []string
		if failure != nil {
			left = []string{failure.Error()}
			i := slices.IndexFunc(rep.Faults, func(f drill.FaultReport) bool { return f.Kind == record.Kind && f.Name == record.Name })
			if i >= 0 {
				rep.Faults[i].Reverted, rep.Faults[i].Residue = false, left
			}
		}
		if err := journal.Reverted(ctx, record.Kind, record.Name, left); err != nil {
			x.log.Warn("note the revert", zap.Stringer("fault", record), zap.Error(err))
		}
	}
	return nil
}

// reread reads the record once the API server answers.
func (x execution) reread(ctx context.Context) (*kube.DrillRun, error) {
	giveUp := time.Now().Add(concludePatience)
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		run, err := x.runs.Get(attempt, x.id)
		cancel()
		if err == nil || !kube.Retriable(err) || time.Now().After(giveUp) {
			return run, err
		}
		select {
		case <-time.After(againEvery):
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// again tries to revert a recorded fault until it succeeds or its time is up.
func (x execution) again(ctx context.Context, record kube.FaultRecord) error {
	giveUp := time.Now().Add(againWithin)
	for {
		attempt, cancel := context.WithTimeout(ctx, againAttempt)
		err := x.revert(attempt, record, x.id)
		cancel()
		if err == nil || ctx.Err() != nil || time.Now().After(giveUp) {
			return err
		}
		select {
		case <-time.After(againEvery):
		case <-ctx.Done():
		}
	}
}
