package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
)

// TrialID is the name of a trial in a series, which is called after its first trial. It is the same on every server, so
// that only one of them can make the trial.
func TrialID(series string, trial int) string {
	if trial <= 1 {
		return series
	}
	return fmt.Sprintf("%s-t%d", series, trial)
}

// Trial is the run's place in its series. A run on its own is the first trial of a series that has no other.
func (r *DrillRun) Trial() (series string, trial int) {
	series = r.Labels[LabelSeries]
	trial, err := strconv.Atoi(r.Labels[LabelTrial])
	if err != nil || trial < 2 || r.Name != TrialID(series, trial) {
		return r.Name, 1
	}
	return series, trial
}

// SameSeries reports whether both runs are of one drill in one name, as the trials of a series are.
func (r *DrillRun) SameSeries(other *DrillRun) bool {
	mine, _ := r.Trial()
	theirs, _ := other.Trial()
	return mine == theirs && r.Spec.Drill == other.Spec.Drill && r.Spec.Source == other.Spec.Source &&
		r.Spec.Local == other.Spec.Local && reflect.DeepEqual(r.Spec.Requester, other.Spec.Requester) && reflect.DeepEqual(r.Spec.Inputs, other.Spec.Inputs)
}

// CreateTrial stores the trial that follows a run, in the same name and with the same text, unless it is there: then it
// returns that one. A *drill.Refusal says that there will be none.
func (s *Runs) CreateTrial(ctx context.Context, after *DrillRun) (*DrillRun, error) {
	series, trial := after.Trial()
	spec := after.Spec
	spec.Cancel = false
	wanted := &DrillRun{ObjectMeta: metav1.ObjectMeta{Name: TrialID(series, trial+1),
		Labels: map[string]string{LabelSeries: series, LabelTrial: strconv.Itoa(trial + 1)}}, Spec: spec}
	if _, ok := after.ScheduledFor(); ok {
		// The schedule waits for the whole series.
		wanted.Labels[LabelSchedule] = after.Labels[LabelSchedule]
		wanted.Annotations = map[string]string{AnnotationScheduledFor: after.Annotations[AnnotationScheduledFor]}
	}
	run, err := s.create(ctx, wanted)
	if !apierrors.IsAlreadyExists(err) {
		return run, err
	}
	if run, err = s.Get(ctx, wanted.Name); err != nil {
		return nil, err
	}
	if !run.SameSeries(after) {
		return nil, &drill.Refusal{Code: "trial_taken", Text: fmt.Sprintf("there is a run %s already, which is not of this series", run.Name)}
	}
	return run, nil
}

// seriesPage is how many records of a series are read at once: each may hold a long drill file.
const seriesPage = 50

// Series calls each with every trial of a series whose record is there, in no particular order.
func (s *Runs) Series(ctx context.Context, series string, each func(*DrillRun)) error {
	first, err := s.Get(ctx, series)
	switch {
	case err == nil:
		each(first)
	case !apierrors.IsNotFound(err):
		return err
	}
	options := metav1.ListOptions{LabelSelector: LabelSeries + "=" + series, Limit: seriesPage}
	for {
		list, err := s.records.List(ctx, options)
		if err != nil {
			return s.explain("list the runs of a series", err)
		}
		for i := range list.Items {
			run, err := fromUnstructured(&list.Items[i])
			if err != nil {
				return err
			}
			if _, trial := run.Trial(); trial > 1 {
				each(run)
			}
		}
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// EndSeries notes on a run why no trial follows it.
func (s *Runs) EndSeries(ctx context.Context, run *DrillRun, why string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{AnnotationSeriesEnded: why}}})
	if err != nil {
		return fmt.Errorf("encode the end of the series of run %s: %w", run.Name, err)
	}
	u, err := s.records.Patch(ctx, run.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: ManagedBy})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("note the end of the series on run %s: %w", run.Name, err)
	}
	run.ResourceVersion = u.GetResourceVersion() // so that the caller can go on with it
	return nil
}
