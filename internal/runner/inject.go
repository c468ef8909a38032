package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// prepare makes what the faults need, before the steady state is waited for: it may take long and disturb. How to take
// it away again is stored first.
func (r *run) prepare(ctx context.Context) error {
	said := false
	for _, f := range r.faults {
		if !f.plan.Prepares {
			continue
		}
		if !said {
			r.step(drill.StepPrepare)
			said = true
		}
		r.active = append(r.active, f)
		if err := r.prepareOne(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) prepareOne(ctx context.Context, f *plannedFault) error {
	if err := r.Journal.Preparing(ctx, f.Kind, f.Name, f.state); err != nil {
		return fmt.Errorf("store how to revert %s: %w", f, err)
	}
	f.journaled = true
	from := r.clock.Now()
	r.fault(f, drill.FaultPreparing, from, "", nil)
	if err := f.Fault.Prepare(ctx, f.state); err != nil {
		return fmt.Errorf("prepare %s: %w", f, err)
	}
	r.fault(f, drill.FaultPrepared, from, "", nil)
	return nil
}

// inject breaks one thing after the other, each at its turn, and only after its undo is stored.
func (r *run) inject(ctx context.Context) error {
	for i, f := range r.faults {
		if i > 0 {
			if err := r.awaitTurn(ctx, f); err != nil {
				return err
			}
		}
		if i == 0 && r.Permit != nil {
			if err := r.Permit(ctx); err != nil {
				return err
			}
		}
		r.step(drill.StepInject)
		if err := r.victims(ctx, f, i > 0); err != nil {
			return err
		}
		if err := r.injectOne(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// awaitTurn waits until it is the fault's turn after the one before it. What has to be reverted meanwhile is.
func (r *run) awaitTurn(ctx context.Context, f *plannedFault) error {
	due := r.lastInjected.Add(f.After)
	if left := due.Sub(r.clock.Now()); left > 0 {
		r.emit(drill.Event{Type: drill.EventStep, Step: drill.StepAfter,
			Text: fmt.Sprintf("Waiting for %s until the next fault, %s", left.Round(100*time.Millisecond), f)})
	}
	var broken error
	_, err := r.wait(ctx, 0, func(now drill.Offset) bool {
		broken = r.revertDue(ctx, now)
		return broken != nil || now >= due
	})
	if broken != nil {
		return broken
	}
	return err
}

// victims makes sure that the victims are still those of the plan, right before they are hurt. Those of a later fault may
// have changed by the doing of the one before it; it is then planned anew.
func (r *run) victims(ctx context.Context, f *plannedFault, later bool) error {
	err := r.meanwhile(ctx, func(ctx context.Context) error { return f.Fault.Recheck(ctx, f.state) })
	if err == nil || !later {
		return err
	}
	if errors.Is(err, drill.ErrVictimChanged) {
		defer func() { // the new plan may need what the first did not
			if f.journaled && !f.reverted {
				r.keep(f)
			}
		}()
		err = r.meanwhile(ctx, func(meanwhile context.Context) error { return r.replan(ctx, meanwhile, f) })
	}
	if err != nil {
		return &notInjected{f, err}
	}
	return nil
}

// notInjected says of which fault it is that the run stops short.
type notInjected struct {
	fault *plannedFault
	err   error
}

func (n *notInjected) Error() string {
	return fmt.Sprintf("The fault %s was not injected: %v", n.fault, n.err)
}
func (n *notInjected) Unwrap() error { return n.err }

// replan finds the victims of a later fault anew (docs/design/010). The new plan is bound by what the run had announced
// and locked: it may hurt no more members than the first one, the guard is asked again, and nodes that are new to the run
// are locked first, for as long as the run lasts.
func (r *run) replan(run, ctx context.Context, f *plannedFault) error {
	state, plan, err := f.Fault.Plan(ctx)
	if err != nil {
		return fmt.Errorf("its victims changed, and it cannot be planned anew: %w", err)
	}
	plan.After = f.After
	if now, before := len(plan.Touched()), len(f.plan.Touched()); now > before || len(plan.Victims) > len(f.plan.Victims) {
		return &drill.Refusal{Code: "more_victims", Text: fmt.Sprintf("by now it would touch %d members, and %d were planned", now, before)}
	}
	if r.Guard != nil {
		plans := r.plans()
		plans[slices.Index(r.faults, f)] = plan
		if err := r.Guard.Allows(plans); err != nil {
			return err
		}
	}
	if err := r.lock(run, "node/", plan.Nodes); err != nil {
		return err
	}
	if f.journaled { // what was made for the old victims goes first
		clean := r.revert(context.WithoutCancel(ctx), f)
		if !clean {
			return errors.New("what was prepared for its former victims could not be taken away")
		}
		f.journaled, f.reverted = false, false
	}
	f.state, f.plan = state, plan
	r.emit(drill.Event{Type: drill.EventPlan, Plans: []drill.FaultPlan{plan}})
	if plan.Prepares {
		if err := r.prepareOne(ctx, f); err != nil {
			return err
		}
	}
	return f.Fault.Recheck(ctx, f.state)
}

// injectOne stores how to revert the fault, breaks what was planned, and has it proved.
func (r *run) injectOne(ctx context.Context, f *plannedFault) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entered := time.Now() // before the entry is written, so that the server, which reads it later, waits for longer
	err := r.meanwhile(ctx, func(ctx context.Context) error { return r.Journal.Injecting(ctx, f.Kind, f.Name, f.state) })
	if err != nil {
		return fmt.Errorf("store how to revert %s: %w", f, err)
	}
	f.journaled = true
	r.keep(f)
	if err := r.fenced(entered); err != nil {
		return fmt.Errorf("the fault %s was not injected: %w", f, err)
	}
	from := r.clock.Now()
	r.fault(f, drill.FaultInjecting, from, "", nil)
	r.mu.Lock()
	before := r.touched
	if !before {
		r.firstInjected = from
	}
	r.touched = true
	r.mu.Unlock()
	err = r.meanwhile(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithDeadlineCause(ctx, entered.Add(InjectionWithin), errLate)
		defer cancel()
		return f.Fault.Inject(ctx, f.state)
	})
	if _, refused := errors.AsType[*drill.Refusal](err); refused {
		r.mu.Lock()
		r.touched = before // it has touched nothing
		r.mu.Unlock()
		return &notInjected{f, err}
	}
	if less, curtailed := errors.AsType[*drill.Curtailed](err); curtailed {
		f.spared = less.Spared
		r.warn(less.Code, less.Text)
		err = nil
	}
	if err != nil {
		f.late = entered.Add(LateWithin)
		return fmt.Errorf("inject %s: %w", f, err)
	}
	f.injected, r.lastInjected = r.clock.Now(), from
	r.fault(f, drill.FaultInjected, from, "", nil)
	by := ""
	err = r.meanwhile(ctx, func(ctx context.Context) (err error) { by, err = f.Fault.Confirm(ctx, f.state); return err })
	if err != nil {
		r.fault(f, drill.FaultUnconfirmed, from, "", nil)
		return fmt.Errorf("confirm %s: %w", f, err)
	}
	f.confirmed = true
	r.fault(f, drill.FaultConfirmed, from, by, nil)
	return nil
}

// An injection begins within beginWithin of its journal entry, and its requests end within InjectionWithin of it: whoever
// takes the run over waits for longer than that before it believes that nothing more comes.
const (
	beginWithin     = 10 * time.Second
	InjectionWithin = 30 * time.Second
)

// LateWithin is how long after an injection's journal entry something may come of it, also when its answer was an error:
// its requests end within InjectionWithin, and one that the API server has taken by then may wait for an admission webhook.
const LateWithin = 45 * time.Second

// errLate is why the requests of an injection are given up.
var errLate = fmt.Errorf("the injection took longer than %v", InjectionWithin)

// fenced refuses an injection when this process may not be in charge of the run any more. The journal's generation keeps
// out a process that was superseded before its entry; only time keeps out one that stalled after it.
func (r *run) fenced(entered time.Time) error {
	if since := time.Since(entered); since >= beginWithin {
		return fmt.Errorf("its journal entry was written %v before, and %v is the limit", since.Round(time.Millisecond), beginWithin)
	}
	if lock, ok := r.Lock.(Expiring); ok && !time.Now().Before(lock.Until()) {
		return errors.New("the lock was not renewed in time; another process may be in charge by now")
	}
	return nil
}

// keep puts a fault at the end of those that have to be reverted: the one that was injected last is reverted first.
func (r *run) keep(f *plannedFault) {
	r.active = append(slices.DeleteFunc(r.active, func(have *plannedFault) bool { return have == f }), f)
}

// meanwhile goes through a step that may take long, and reverts on time what has to be reverted while it lasts. When an
// earlier fault turns out not to have lasted, the step is told to end, and waited for: nothing of it may come after the
// clean-up.
func (r *run) meanwhile(ctx context.Context, step func(context.Context) error) error {
	if r.allReverted() {
		return step(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	type outcome struct {
		err   error
		panic any
	}
	ended := make(chan outcome, 1)
	var under sync.WaitGroup
	under.Go(func() {
		var o outcome
		defer func() { o.panic = recover(); ended <- o }()
		o.err = step(ctx)
	})
	defer under.Wait() // also when the look at the earlier faults panics
	defer cancel(nil)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var broken error
	for {
		select {
		case o := <-ended:
			switch {
			case o.panic != nil:
				panic(o.panic)
			case broken != nil:
				return broken
			}
			return o.err
		case <-tick.C:
			if broken != nil {
				continue
			}
			if broken = r.revertDue(ctx, r.clock.Now()); broken != nil {
				cancel(broken)
			}
		}
	}
}
