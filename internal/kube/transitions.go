package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// Why a write to a record is refused. Whoever gets one of these is not in charge of the run.
var (
	ErrClaimed    = errors.New("the run has a runner already")
	ErrSuperseded = errors.New("another process has taken over the run")
	ErrFinished   = errors.New("the run is finished")
	ErrNotRunning = errors.New("the run is not running")
)

// claimWait is how long a runner waits to be admitted: its pod exists a moment before its record says so, and longer when
// the leader dies in between and the next one has to be elected first.
const claimWait = 2 * time.Minute

// Admit records that the requester may, and which pod will execute the run.
func (s *Runs) Admit(ctx context.Context, name, pod string) (*DrillRun, error) {
	return s.change(ctx, name, brief, func(run *DrillRun, _ bool) (bool, error) {
		switch run.Status.Phase {
		case "", PhasePending:
			run.Status.Phase, run.Status.Runner.Pod = PhaseAdmitted, pod
			return true, nil
		case PhaseFinished:
			return false, fmt.Errorf("admit run %s: %w", name, ErrFinished)
		default:
			return false, nil
		}
	})
}

// Claim makes the caller the one runner of an admitted run, or fails with ErrClaimed: a run starts once, however many
// pods try. The record that it returns carries the generation for Journal.
func (s *Runs) Claim(ctx context.Context, name string, runner Runner) (*DrillRun, error) {
	if runner.UID == "" {
		return nil, fmt.Errorf("claim run %s: the runner has no UID", name)
	}
	waiting, cancel := context.WithTimeoutCause(ctx, claimWait,
		fmt.Errorf("run %s was not admitted within %v. Is the server running?", name, claimWait))
	defer cancel()
	for {
		pending := false
		run, err := s.change(waiting, name, brief, func(run *DrillRun, unsure bool) (bool, error) {
			switch {
			case unsure && run.Status.Runner.UID == runner.UID && run.Status.Phase == PhaseRunning:
				return false, nil
			case run.Finished():
				return false, fmt.Errorf("claim run %s: %w", name, ErrFinished)
			case run.Status.Runner.UID != "":
				return false, fmt.Errorf("claim run %s: %w: pod %s", name, ErrClaimed, run.Status.Runner.Pod)
			case run.Status.Phase != PhaseAdmitted:
				pending = true
				return false, nil
			}
			now := metav1.Now()
			if runner.Started == nil {
				runner.Started = &now
			}
			run.Status.Phase, run.Status.Runner, run.Status.Started = PhaseRunning, runner, &now
			run.Status.Generation++
			return true, nil
		})
		if err != nil || !pending {
			return run, err
		}
		if !sleep(waiting, 500*time.Millisecond) {
			return nil, context.Cause(waiting)
		}
	}
}

// TakeOver puts the caller in charge of a claimed run in place of its runner, whose writes fail from now on.
func (s *Runs) TakeOver(ctx context.Context, name string) (*DrillRun, *Journal, error) {
	run, err := s.change(ctx, name, brief, func(run *DrillRun, _ bool) (bool, error) {
		if run.Status.Runner.UID == "" {
			return false, fmt.Errorf("take over run %s: %w", name, ErrNotRunning)
		}
		run.Status.Generation++ // raised twice is as good as once
		return true, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return run, s.Journal(name, run.Status.Generation), nil
}

// Outcome is how a run ended.
type Outcome struct {
	Verdict drill.Verdict
	Message string        // why, in a sentence; empty takes the report's reasons
	Report  *drill.Report // nil when there is none
	Detail  *DetailRecord // nil when there is none
	// Patience is how long the write is tried while the API server does not answer; 0 is two minutes.
	Patience time.Duration
}

// Finish ends a run that no runner has claimed. Against a runner that claims it at the same moment exactly one wins.
func (s *Runs) Finish(ctx context.Context, name string, o Outcome) error {
	return s.finish(ctx, name, o, func(run *DrillRun) error {
		if run.Status.Runner.UID != "" {
			return fmt.Errorf("finish run %s: %w", name, ErrClaimed)
		}
		return nil
	})
}

func (s *Runs) finish(ctx context.Context, name string, o Outcome, inCharge func(*DrillRun) error) error {
	report, err := Fit(o.Report)
	if err != nil {
		return fmt.Errorf("encode the report of run %s: %w", name, err)
	}
	if o.Message == "" && o.Report != nil && len(o.Report.Run.Reasons) > 0 {
		o.Message = o.Report.Run.Reasons[0].Text
	}
	o.Message = CutText(drill.Clean(o.Message), MaxText)
	if o.Detail != nil {
		detail := *o.Detail
		detail.Problem = CutText(detail.Problem, MaxText)
		o.Detail = &detail
	}
	finish := func(run *DrillRun, unsure bool) (bool, error) {
		switch {
		case run.Finished() && unsure && run.Status.Verdict == o.Verdict && run.Status.Message == o.Message:
			return false, nil
		case run.Finished():
			return false, fmt.Errorf("finish run %s: %w", name, ErrFinished)
		}
		if err := inCharge(run); err != nil {
			return false, err
		}
		now := metav1.Now()
		run.Status.Phase, run.Status.Verdict, run.Status.Message = PhaseFinished, o.Verdict, o.Message
		run.Status.Finished, run.Status.Report, run.Status.Detail = &now, report, o.Detail
		run.bound()
		return true, nil
	}
	_, err = s.change(ctx, name, cmp.Or(o.Patience, patient), finish)
	if !TooLarge(err) {
		return err
	}
	// What is there already leaves no room: the verdict counts more than how it came about.
	if o.Report != nil {
		report = least(o.Report)
	}
	o.Message, o.Detail = CutText(o.Message, 256), nil
	_, err = s.change(ctx, name, cmp.Or(o.Patience, patient), func(run *DrillRun, unsure bool) (bool, error) {
		write, err := finish(run, unsure)
		for i := range run.Status.Faults {
			if f := &run.Status.Faults[i]; f.Phase == FaultReverted {
				f.State = json.RawMessage("{}") // nobody needs to revert it again
			}
		}
		return write, err
	})
	return err
}
