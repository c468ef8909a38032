package runner

import (
	"context"
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

// observe watches until writes are back for good: no down slot for a window, and not before a late impact could have
// come. A fault that is to last a while is reverted on the way.
func (r *run) observe(ctx context.Context) error {
	r.step(drill.StepObserve)
	var broken error
	_, err := r.wait(ctx, 0, func(now drill.Offset) bool {
		if broken = r.revertDue(ctx, now); broken != nil {
			return true // the clean-up reverts it
		}
		if r.allReverted() {
			r.harmless.Store(true)
		}
		return r.allReverted() && now.Sub(r.lastInjected) >= r.Settings.ImpactTimeout && r.upFor(now) >= r.Settings.Window
	})
	if broken != nil {
		return broken
	}
	return err
}

// revertDue reverts what has been there for as long as it was to last, and shows first that it did so without a break.
func (r *run) revertDue(ctx context.Context, now drill.Offset) error {
	for _, f := range r.active {
		if !f.confirmed || f.reverted {
			continue
		}
		err := f.Fault.Broken()
		if err == nil && now.Sub(f.injected) < f.plan.Hold {
			continue
		}
		if err == nil {
			err = f.Fault.Held(ctx, f.state)
		}
		if ctx.Err() != nil { // then its answer says nothing, and the clean-up reverts it
			return context.Cause(ctx)
		}
		if err != nil {
			r.fault(f, drill.FaultUnconfirmed, now, "", nil)
			return fmt.Errorf("%s did not last: %w", f, err)
		}
		r.revert(context.WithoutCancel(ctx), f)
	}
	return nil
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

// revertAll reverts what is still active, the last one first. A panic keeps no other fault from being reverted; it is
// returned as the end of the run.
func (r *run) revertAll(ctx context.Context) (broken drill.End) {
	if r.allReverted() {
		return broken
	}
	r.step(drill.StepRevert)
	for _, v := range slices.Backward(r.active) {
		if v.reverted {
			continue
		}
		if one := protect(func() drill.End { r.revert(ctx, v); return drill.End{} }); one.Cause == drill.EndError {
			broken = one
		}
	}
	return broken
}

// revert puts one fault back and tries again until it succeeds or its time is up; then it is residue, and clean is false.
// While nobody can be asked it is no residue, and its journal entry stays open: this process, or another one that reads
// the entry, reverts it when the journal answers again.
func (r *run) revert(ctx context.Context, f *plannedFault) (clean bool) {
	f.reverted = true // tried once to the end, for good or ill
	from := r.clock.Now()
	r.fault(f, drill.FaultReverting, from, "", nil)
	err := r.tryReverting(ctx, f)
	if wait := time.Until(f.late); err == nil && wait > 0 { // what was not answered may have been on its way
		time.Sleep(wait)
		err = r.tryReverting(ctx, f)
	}
	if err != nil {
		if r.unanswered = !r.answered(ctx); r.unanswered {
			r.warn("not_reverted", fmt.Sprintf("The fault %s could not be reverted while the API server did not answer (%v). It is reverted when that answers again, by its runner or by drill's server.", f, err))
			return false
		}
		// It answers, perhaps only since a moment ago.
		last, cancel := context.WithTimeout(ctx, revertLast)
		err = f.tryRevert(last)
		cancel()
	}
	var residue []string
	state := drill.FaultReverted
	if err != nil {
		residue, state = []string{err.Error()}, drill.FaultResidue
	}
	r.fault(f, state, from, "", residue)
	// A journal that cannot be written is no residue: whoever reads it reverts once more, which is harmless.
	ctx = context.WithoutCancel(ctx)
	if r.unanswered {
		brief, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		ctx = brief
	}
	if err := r.Journal.Reverted(ctx, f.Kind, f.Name, residue); err != nil {
		r.Log.Warn("note the revert", zap.String("fault", f.Name), zap.Error(err))
	}
	return residue == nil
}

// tryReverting tries until it succeeds or the time is up.
func (r *run) tryReverting(ctx context.Context, f *plannedFault) error {
	within := revertTimeout
	if r.unanswered { // two minutes went by in vain for another fault
		within = revertHurried
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	go func() {
		select {
		case <-r.Leaving:
			select {
			case <-time.After(revertHurried):
				cancel()
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
	}()
	for { // what was never tried was not reverted
		err := f.tryRevert(ctx)
		if err == nil {
			return nil
		}
		r.Log.Warn("revert failed, trying again", zap.String("fault", f.Name), zap.Error(err))
		select {
		case <-time.After(revertPause):
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // one try more would only say that the time is up, and not what was wrong all the time
			return err
		}
	}
}

// answered reports whether the journal can be asked.
func (r *run) answered(ctx context.Context) bool {
	journal, ok := r.Journal.(Answering)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return journal.Answers(ctx) == nil
}

// tryRevert tries once. A panic is a failure like any other: what could not be put back is residue then, and told.
func (f *plannedFault) tryRevert(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("drill itself failed while it reverted: %v", p)
		}
	}()
	return f.Fault.Revert(ctx, f.state)
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
