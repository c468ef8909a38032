package cli

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/internal/report"
	"github.com/failoverdrill/drill/internal/runner"
)

// trials are the runs of one drill run command: one, or as many as the drill repeats.
type trials struct {
	env    *Env
	client *kube.Client
	runs   *kube.Runs
	drill  *loaded
	secret []byte // for the runs' Secrets; nil for none
	view   view
	outbox *runner.Outbox // before the view, of runs in this process: nothing that is stopped may stop them
	stuck  bool           // whoever reads the output has stopped to
	files  []reportFile
	text   bool // people read the output

	// one executes or follows one trial, until it is over. That is asked to end early when interrupted ends.
	one  func(ctx, interrupted context.Context, run *kube.DrillRun) (rep drill.Report, recorded []byte, err error)
	name atomic.Pointer[string] // of the trial that goes on
	done []drill.Report
}

// output sets how the trials are shown. The whole report of every trial would bury the statistics.
func (t *trials) output(form string) {
	t.text = form != outputJSON
	if v, ok := t.view.(*textView); ok {
		v.brief = t.drill.Repeat > 1
	}
}

// run executes the trials, one after the other, and returns how they ended.
func (t *trials) run(ctx context.Context, spec kube.Spec) error {
	run, err := t.runs.Create(ctx, spec)
	if err != nil {
		return err
	}
	t.name.Store(&run.Name)
	if err := t.hand(ctx, run); err != nil {
		return err
	}
	interrupted, stop := t.interruptible(ctx, spec.Local)
	defer stop()
	ended := ""
	for run != nil {
		t.announce(run)
		rep, recorded, err := t.one(ctx, interrupted, run)
		if err != nil {
			return err
		}
		if err := t.keep(run, rep, recorded); err != nil {
			return err
		}
		if run, ended, err = t.next(ctx, interrupted, run); err != nil {
			return err
		}
	}
	t.summary(ended)
	code := trialsCode(t.done)
	if code == exitOK && len(t.done) < t.drill.Repeat {
		code = exitInterrupted // between two trials
	}
	if code == exitOK && t.stuck {
		code = exitError // half a result must not count as a whole one
	}
	if code != exitOK {
		return silent{code}
	}
	return nil
}

// hand gives a new run the values that its record must not show. A process that executes its runs itself has them.
func (t *trials) hand(ctx context.Context, run *kube.DrillRun) error {
	if t.secret == nil || run.Spec.Local {
		return nil
	}
	err := kube.HandInputs(ctx, t.client, t.runs, run, t.secret)
	if err != nil { // it cannot begin, and so it need not wait
		_ = t.runs.Cancel(ctx, run.Name)
	}
	return err
}

// interruptible is the context that the first Ctrl-C ends, for all trials.
func (t *trials) interruptible(ctx context.Context, local bool) (context.Context, func()) {
	if local {
		return t.env.interruptible(ctx,
			func() {
				t.env.status("\nEnding the run and reverting. A second Ctrl-C leaves at once, and leaves the fault where it is.")
			},
			func() {
				t.env.status("\nLeft with the fault possibly in place. Put it back: drill recover %s", *t.name.Load())
			})
	}
	return t.env.interruptible(ctx,
		func() {
			t.env.status("\nEnding the run and reverting. A second Ctrl-C leaves at once; the runner reverts by itself.")
		},
		func() {
			name := *t.name.Load()
			t.env.status("\nLeft. The run goes on reverting in the cluster: kubectl -n %s get drillrun %s\nIf it does not end: drill recover %s",
				t.runs.Namespace(), name, name)
		})
}

// announce says which trial begins.
func (t *trials) announce(run *kube.DrillRun) {
	t.name.Store(&run.Name)
	if t.drill.Repeat == 1 {
		t.status("Run %s on %s", run.Name, t.client.Context)
		return
	}
	_, number := run.Trial()
	t.status("Trial %d of %d: run %s on %s", number, t.drill.Repeat, run.Name, t.client.Context)
}

// execute goes through one trial where it takes place.
func (t *trials) execute(ctx, interrupted context.Context, run *kube.DrillRun) (rep drill.Report, recorded []byte, err error) {
	if run.Spec.Local {
		rep, recorded, err = runLocal(interrupted, t.env, t.client, t.runs, run, t.drill, t.outbox)
		if t.outbox.Flush(showTimeout) > 0 {
			t.isStuck(run.Name)
		}
		return rep, recorded, err
	}
	f := &following{env: t.env, client: t.client, runs: t.runs, name: run.Name, view: t.view}
	if rep, err = f.follow(ctx, interrupted); err != nil {
		return rep, nil, err
	}
	return rep, f.detail(ctx), nil
}

// keep stores and shows a trial that has ended.
func (t *trials) keep(run *kube.DrillRun, rep drill.Report, recorded []byte) error {
	_, rep.Run.Trial = run.Trial()
	rep.Run.Trials = t.drill.Repeat
	if rep.Statistics == nil { // it ended without a report of its own
		var all []drill.Trial
		for _, r := range t.done {
			all = append(all, r.Trial())
		}
		rep.Statistics = measure.Statistics(append(all, rep.Trial()))
	}
	t.done = append(t.done, rep)
	remember(t.env, rep, recorded)
	if t.drill.Repeat > 1 && t.text {
		err := t.print(func() error { return report.Trial(t.env.Stdout, rep, report.Style{Color: t.env.color(t.env.Stdout)}) })
		if err != nil {
			return err
		}
	}
	return writeReports(t.files, t.done)
}

// next is the trial that follows; nil when there is none, with the reason when it is not that all are done.
func (t *trials) next(ctx, interrupted context.Context, run *kube.DrillRun) (next *kube.DrillRun, ended string, err error) {
	last := t.done[len(t.done)-1]
	if len(t.done) >= t.drill.Repeat {
		return nil, "", nil
	}
	if why := drill.EndsSeries(last.Run.Verdict, last.HasResidue()); why != "" {
		return nil, why, nil
	}
	if !run.Spec.Local {
		return t.await(ctx, interrupted, run)
	}
	if interrupted.Err() != nil {
		return nil, drill.EndsSeries(drill.VerdictInterrupted, false), nil
	}
	next, err = t.runs.CreateTrial(ctx, run)
	return next, "", err
}

// How the next trial is waited for, which the server makes.
const (
	nextEvery   = 500 * time.Millisecond
	nextTimeout = 90 * time.Second
)

// await waits for the server to make the next trial, or to say why it does not. A Ctrl-C meanwhile is told to the server:
// whichever of the two comes first, the trial that was made is followed, and then cancelled.
func (t *trials) await(ctx, interrupted context.Context, run *kube.DrillRun) (next *kube.DrillRun, ended string, err error) {
	series, number := run.Trial()
	name := kube.TrialID(series, number+1)
	told := interrupted.Done()
	poll := time.NewTicker(nextEvery)
	defer poll.Stop()
	for giveUp := time.After(nextTimeout); ; {
		next, err := t.runs.Get(ctx, name)
		if err == nil {
			return next, "", nil
		}
		if !apierrors.IsNotFound(err) && !kube.Retriable(err) {
			return nil, "", err
		}
		now, err := t.runs.Get(ctx, run.Name)
		switch {
		case apierrors.IsNotFound(err):
			return nil, "the record of its last trial was deleted", nil
		case err != nil && !kube.Retriable(err):
			return nil, "", err
		case err == nil && now.Annotations[kube.AnnotationSeriesEnded] != "":
			return nil, now.Annotations[kube.AnnotationSeriesEnded], nil
		}
		select {
		case <-told:
			told = nil
			if err := t.runs.Cancel(ctx, run.Name); err != nil {
				t.env.status("The series could not be cancelled: %v", err)
			}
		case <-poll.C:
		case <-giveUp:
			_ = t.runs.Cancel(ctx, run.Name)
			return nil, "", fmt.Errorf("drill's server did not make trial %d within %s, and the series was cancelled. Does the server run? See: kubectl -n %s get pods",
				number+1, nextTimeout, t.runs.Namespace())
		case <-ctx.Done():
			return nil, "", context.Cause(ctx)
		}
	}
}

// summary says what all trials together say.
func (t *trials) summary(ended string) {
	if t.drill.Repeat == 1 {
		return
	}
	if ended != "" {
		t.status("The series ended after trial %d of %d: %s.", len(t.done), t.drill.Repeat, ended)
	}
	if t.text {
		_ = t.print(func() error {
			return report.Series(t.env.Stdout, t.done, report.Style{Color: t.env.color(t.env.Stdout)})
		})
	}
}

// print shows something between and after the trials. Of those of this process the next one does not wait for a reader
// that has stopped.
func (t *trials) print(show func() error) (err error) {
	switch {
	case t.outbox == nil:
		return show()
	case t.stuck:
		return nil
	}
	shown := make(chan error, 1)
	if !within(showTimeout, func() { shown <- show() }) {
		t.isStuck(*t.name.Load())
		return nil
	}
	return <-shown
}

func (t *trials) status(format string, args ...any) {
	_ = t.print(func() error { t.env.status(format, args...); return nil })
}

// isStuck notes that the output is stopped, and says so where somebody may read it.
func (t *trials) isStuck(run string) {
	t.stuck = true
	within(sayTimeout, func() {
		t.env.status("\nThe output was stopped, and not everything was shown. The run is over and recorded: drill report %s", run)
	})
}
