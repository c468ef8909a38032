package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// proceed makes the next trial of a series when one has finished. A run that still has its finalizer has not been
// followed yet; the trial's name is made from the series' and its number, so that it is made once however often this is
// called, and by whichever server.
func (r *reconciler) proceed(ctx context.Context, run *kube.DrillRun) error {
	if run.Spec.Local || !slices.Contains(run.Finalizers, kube.Finalizer) {
		return nil
	}
	series, trial := run.Trial()
	in, payload, err := kube.LoadInputs(ctx, r.o.Client, run)
	if _, gone := errors.AsType[*drill.Refusal](err); gone || errors.Is(err, kube.ErrNoInputs) { // they were there when it began
		return r.runs.EndSeries(ctx, run, fmt.Sprintf("no further trial can be made: %v", err))
	}
	if err != nil {
		return err
	}
	request, err := r.check(run.Spec, in)
	if err != nil {
		return nil // it was refused for that
	}
	if trial >= request.Trials {
		return nil
	}
	log := r.o.Log.With(zap.String("series", series), zap.Int("trial", trial), zap.Int("trials", request.Trials))
	if why := drill.EndsSeries(run.Status.Verdict, run.HadResidue()); why != "" {
		log.Warn("the series ended early", zap.String("why", why))
		return nil
	}
	why, err := r.stopped(ctx, run, series)
	if err != nil {
		return err
	}
	if why == "" {
		why = r.shut(run, request)
	}
	if why == "" {
		next, err := r.runs.CreateTrial(ctx, run)
		if err == nil && payload != nil { // a Secret of its own, because each goes with its run
			err = kube.StoreInputs(ctx, r.o.Client, next, payload)
		}
		if err == nil {
			log.Info("next trial", zap.String("run", next.Name))
			return nil
		}
		refusal, ok := errors.AsType[*drill.Refusal](err)
		if !ok {
			return err
		}
		why = fmt.Sprintf("trial %d cannot be made: %v", trial+1, refusal)
	}
	log.Warn("the series ended early", zap.String("why", why))
	return r.runs.EndSeries(ctx, run, why)
}

// stopped says whether somebody ended the series after the trial: by cancelling the trial or the series' first run, or by
// deleting the record of one of them.
func (r *reconciler) stopped(ctx context.Context, run *kube.DrillRun, series string) (string, error) {
	if run.CancelRequested() {
		if why := run.Annotations[kube.AnnotationCancelled]; why != "" {
			return why, nil
		}
		return "somebody cancelled it after this trial", nil
	}
	if run.Name == series {
		return "", nil
	}
	first, err := r.runs.Get(ctx, series)
	switch {
	case apierrors.IsNotFound(err):
		return "", nil // its record may be cleared away
	case err != nil:
		return "", err
	case first.CancelRequested():
		return "somebody cancelled its first run, " + series, nil
	}
	return "", nil
}
