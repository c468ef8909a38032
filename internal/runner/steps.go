package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
)

// wait polls until done says so, or ctx ends, or the timeout (0: none) passes, which is no error but false.
func (r *run) wait(ctx context.Context, timeout time.Duration, done func(now drill.Offset) bool) (bool, error) {
	start := r.clock.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		now := r.clock.Now()
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if done(now) {
			return true, nil
		}
		if timeout > 0 && now.Sub(start) >= timeout {
			return false, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// prepare makes what the faults need, before the steady state is waited for: it may take long and disturb. How to take
// it away again is stored first.
func (r *run) prepare(ctx context.Context, faults []*activeFault) error {
	said := false
	for _, f := range faults {
		if !f.plan.Prepares {
			continue
		}
		if !said {
			r.step(drill.StepPrepare)
			said = true
		}
		if err := r.Journal.Preparing(ctx, f.Kind, f.Name, f.state); err != nil {
			return fmt.Errorf("store how to revert %s %q: %w", f.Kind, f.Name, err)
		}
		r.active = append(r.active, f)
		from := r.clock.Now()
		r.fault(f, drill.FaultPreparing, from, "", nil)
		if err := f.Fault.Prepare(ctx, f.state); err != nil {
			return fmt.Errorf("prepare %s %q: %w", f.Kind, f.Name, err)
		}
		r.fault(f, drill.FaultPrepared, from, "", nil)
	}
	return nil
}

// inject breaks one thing after the other, each only after its undo is stored.
func (r *run) inject(ctx context.Context, faults []*activeFault) error {
	r.step(drill.StepInject)
	for _, f := range faults {
		if err := f.Fault.Recheck(ctx, f.state); err != nil {
			return err
		}
		if err := r.Journal.Injecting(ctx, f.Kind, f.Name, f.state); err != nil {
			return fmt.Errorf("store how to revert %s %q: %w", f.Kind, f.Name, err)
		}
		if !slices.Contains(r.active, f) {
			r.active = append(r.active, f)
		}
		from := r.clock.Now()
		r.fault(f, drill.FaultInjecting, from, "", nil)
		r.mu.Lock()
		before := r.touched
		r.touched, r.lastInjected = true, from
		r.mu.Unlock()
		if err := r.injectOne(ctx, f, before); err != nil {
			return fmt.Errorf("inject %s %q: %w", f.Kind, f.Name, err)
		}
		f.injected = r.clock.Now()
		r.fault(f, drill.FaultInjected, from, "", nil)
		by, err := f.Fault.Confirm(ctx, f.state)
		if err != nil {
			r.fault(f, drill.FaultUnconfirmed, from, "", nil)
			return fmt.Errorf("confirm %s %q: %w", f.Kind, f.Name, err)
		}
		r.fault(f, drill.FaultConfirmed, from, by, nil)
	}
	return nil
}

// injectOne injects a fault. One that was refused has touched nothing; one that was curtailed is a finding.
func (r *run) injectOne(ctx context.Context, f *activeFault, before bool) error {
	err := f.Fault.Inject(ctx, f.state)
	if _, refused := errors.AsType[*drill.Refusal](err); refused {
		r.mu.Lock()
		r.touched = before
		r.mu.Unlock()
		return err
	}
	if less, curtailed := errors.AsType[*drill.Curtailed](err); curtailed {
		f.spared = less.Spared
		r.warn(less.Code, less.Text)
		return nil
	}
	return err
}

// observe watches until writes are back for good: no down slot for a window, and not before a late impact could have
// come. A fault that is to last a while is reverted on the way.
func (r *run) observe(ctx context.Context) error {
	r.step(drill.StepObserve)
	var broken error
	_, err := r.wait(ctx, 0, func(now drill.Offset) bool {
		for _, f := range r.active {
			if f.reverted || now.Sub(f.injected) < f.plan.Hold {
				continue
			}
			if err := f.Fault.Held(ctx, f.state); err != nil {
				r.fault(f, drill.FaultUnconfirmed, now, "", nil)
				broken = fmt.Errorf("%s %q did not last: %w", f.Kind, f.Name, err)
				return true // the clean-up reverts it
			}
			r.revert(context.WithoutCancel(ctx), f)
		}
		return r.allReverted() && now.Sub(r.lastInjected) >= r.Settings.ImpactTimeout && r.upFor(now) >= r.Settings.Window
	})
	if broken != nil {
		return broken
	}
	return err
}

func (r *run) allReverted() bool {
	for _, f := range r.active {
		if !f.reverted {
			return false
		}
	}
	return true
}

func (r *run) upFor(now drill.Offset) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live.UpFor(r.Target.Name(), now)
}

// revertAll reverts what is still active, the last one first.
func (r *run) revertAll(ctx context.Context) {
	if r.allReverted() {
		return
	}
	r.step(drill.StepRevert)
	for _, v := range slices.Backward(r.active) {
		if !v.reverted {
			r.revert(ctx, v)
		}
	}
}

// revert puts one fault back and tries again until it succeeds or its time is up; then it is residue.
func (r *run) revert(ctx context.Context, f *activeFault) {
	f.reverted = true // tried once to the end, for good or ill
	ctx, cancel := context.WithTimeout(ctx, revertTimeout)
	defer cancel()
	from := r.clock.Now()
	r.fault(f, drill.FaultReverting, from, "", nil)
	var err error
	for {
		if err = f.Fault.Revert(ctx, f.state); err == nil || ctx.Err() != nil {
			break
		}
		r.Log.Warn("revert failed, trying again", zap.String("fault", f.Name), zap.Error(err))
		select {
		case <-time.After(revertPause):
		case <-ctx.Done():
		}
	}
	var residue []string
	state := drill.FaultReverted
	if err != nil {
		residue, state = []string{err.Error()}, drill.FaultResidue
	}
	r.fault(f, state, from, "", residue)
	// A journal that cannot be written is no residue: whoever reads it reverts once more, which is harmless.
	if err := r.Journal.Reverted(context.WithoutCancel(ctx), f.Kind, f.Name, residue); err != nil {
		r.Log.Warn("note the revert", zap.String("fault", f.Name), zap.Error(err))
	}
}

// awaitRedundancy waits until the next fault would be survivable again, and once more for a window without a down slot:
// one slow slot while a member rejoins would otherwise leave the run without one. Not getting there is a result, not an
// error.
func (r *run) awaitRedundancy(ctx context.Context) {
	r.step(drill.StepRedundancy)
	limit := redundancyTimeout
	if want, ok := r.Drill.Limit(drill.ObjectiveRedundancyTime); ok {
		limit = max(limit, time.Duration(want*float64(time.Second)))
	}
	since := drill.Offset(-1)
	_, _ = r.wait(ctx, limit, func(now drill.Offset) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.live.Redundant(r.Target.Name(), now) || r.live.UpFor(r.Target.Name(), now) < r.Settings.Window {
			since = -1
			return false
		}
		if since < 0 {
			since = now
		}
		return now.Sub(since) >= redundancyHold
	})
}

// readBack asks every member what it holds of the ledger, if the target keeps one.
func (r *run) readBack(ctx context.Context) {
	ledger, ok := r.Target.(Ledger)
	if !ok {
		return
	}
	r.step(drill.StepReadBack)
	ctx, cancel := context.WithTimeout(ctx, readBackTimeout)
	defer cancel()
	back, err := ledger.ReadBack(ctx)
	if err != nil {
		r.warn("no_read_back", fmt.Sprintf("The ledger could not be read back: %v.", err))
		return
	}
	r.emit(drill.Event{Type: drill.EventReadBack, ReadBack: &back})
}
