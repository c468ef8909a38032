package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// Limits of reverting. What is left after revertWithin is residue, which the server goes on working at: after
// residueFirst, then after twice as long each time, up to residueLast.
const (
	revertWithin  = 2 * time.Minute
	revertAttempt = 30 * time.Second
	residueFirst  = 5 * time.Second
	residueLast   = time.Hour
)

// sweep puts back what a dead runner left, and ends its run. Every step may be repeated by the next server.
func (r *reconciler) sweep(ctx context.Context, name, why string) error {
	run, journal, err := r.takeOver(ctx, name)
	if err != nil {
		return err
	}
	if run.Finished() {
		return nil // it had finished before it died
	}
	r.o.Log.Warn("the runner died", zap.String("run", name), zap.String("why", why))
	late := r.late(run)
	done, err := r.revert(ctx, run, journal, late)
	if err != nil {
		return err
	}
	var report *drill.Report
	if !run.Spec.Local {
		report = r.lastWords(ctx, run)
	}
	if err := r.lookAgain(ctx, name, journal, late); err != nil {
		return err
	}
	if err := kube.ReleaseLocks(ctx, r.o.Client, r.o.Namespace, name); err != nil {
		return err
	}
	if report == nil { // it did not come to removing it
		done += r.ledgerLeft(ctx, run)
	}
	end := outcomeOf(report, why, done)
	if err := journal.Finish(ctx, end); err != nil {
		return err
	}
	r.o.Log.Warn("run swept", zap.String("run", name), zap.String("verdict", string(end.Verdict)), zap.String("message", end.Message))
	if run.Spec.Local {
		return nil
	}
	// One that was out of reach must not wake up later.
	return r.deletePod(ctx, run.Status.Runner.Pod, types.UID(run.Status.Runner.UID))
}

// takeOver fences the run's runner off, and opens the run's journal in the server's name.
func (r *reconciler) takeOver(ctx context.Context, name string) (*kube.DrillRun, *kube.Journal, error) {
	run, journal, err := r.runs.TakeOver(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return run, journal.By("the server"), nil
}

// revert reverts every fault that may still be there, the last one first, in rounds until revertWithin has passed. It
// notes what became of each, except of the late ones that seem reverted, and says so in sentences.
func (r *reconciler) revert(ctx context.Context, run *kube.DrillRun, journal *kube.Journal, late []kube.FaultRecord) (string, error) {
	if len(run.Unreverted()) == 0 {
		if len(run.Status.Faults) > 0 {
			return "It had put everything back before.", nil
		}
		return "No fault had been injected.", nil
	}
	var put, left []string
	open, giveUp := run.Unreverted(), time.Now().Add(revertWithin)
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		var still []kube.FaultRecord
		left = nil
		last := !time.Now().Before(giveUp)
		for _, record := range open {
			failure := r.revertOne(ctx, record, run.Name)
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			if failure != nil {
				still, left = append(still, record), append(left, fmt.Sprintf("%s: %v", record, failure))
				if !last {
					continue
				}
			} else {
				put = append(put, record.String())
				if slices.ContainsFunc(late, func(l kube.FaultRecord) bool { return l.String() == record.String() }) {
					continue
				}
			}
			if err := journal.Reverted(ctx, record.Kind, record.Name, texts(failure)); err != nil {
				return "", err
			}
		}
		if open = still; len(open) == 0 || last {
			return outcome(put, left), nil
		}
		select {
		case <-time.After(min(pause, max(0, time.Until(giveUp)))):
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// late are the faults of which something may still come: a request of the old runner may have been on its way when it
// was given up. They are looked at again after the last moment at which it can arrive, and noted as reverted only then.
func (r *reconciler) late(run *kube.DrillRun) []kube.FaultRecord {
	m := r.remember(run.Name)
	return slices.DeleteFunc(run.Unreverted(), func(record kube.FaultRecord) bool {
		// What prepares a fault may be on its way until the runner is fenced off, whenever its entry was written.
		open := record.Phase == kube.FaultInjecting || record.Phase == kube.FaultPreparing
		return !open || m.lasted(injecting(record), LateWithin)
	})
}

// lookAgain reverts what is late once more when nothing more can come of it.
func (r *reconciler) lookAgain(ctx context.Context, name string, journal *kube.Journal, late []kube.FaultRecord) error {
	m := r.remember(name)
	for _, record := range late {
		select {
		case <-time.After(LateWithin - time.Since(m.trouble[injecting(record)])):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		failure := r.revertOne(ctx, record, name)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := journal.Reverted(ctx, record.Kind, record.Name, texts(failure)); err != nil {
			return err
		}
	}
	return nil
}

func outcome(put, left []string) string {
	var said []string
	if len(put) > 0 {
		said = append(said, "The server put back: "+strings.Join(put, ", ")+".")
	}
	if len(left) > 0 {
		said = append(said, "Someone must act, something is left of "+strings.Join(left, "; ")+".")
	}
	return strings.Join(said, " ")
}

// texts is what a failure leaves behind; nothing without one.
func texts(failure error) []string {
	if failure == nil {
		return nil
	}
	return []string{failure.Error()}
}

// revertOne tries once to revert a fault. A kind that panics is a failure like any other.
func (r *reconciler) revertOne(ctx context.Context, record kube.FaultRecord, run string) (err error) {
	free, err := r.slot(ctx)
	if err != nil {
		return err
	}
	defer free()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("drill itself failed while it reverted: %v", p)
		}
		if err != nil && ctx.Err() == nil {
			r.o.Log.Warn("revert failed", zap.String("run", run), zap.Stringer("fault", record), zap.Error(err))
		}
	}()
	ctx, done := context.WithTimeout(ctx, revertAttempt)
	defer done()
	return r.o.Revert(ctx, record, run)
}

// settle lets go of a finished run's record once every fault is reverted. Until then it goes on trying, also with those
// that are residue: what could not be put back while a node or the API server was away can be put back later.
func (r *reconciler) settle(ctx context.Context, run *kube.DrillRun) (time.Duration, error) {
	if len(run.Unreverted()) > 0 {
		if wait := time.Until(r.remember(run.Name).next); wait > 0 {
			return wait, nil
		}
		return r.start(ctx, run.Name, func(ctx context.Context) error { return r.mend(ctx, run.Name) }), nil
	}
	// Before the record is let go: until then every server comes back to it.
	if why := refusedByTime(run); why != "" {
		if err := r.countMissed(ctx, run, why); err != nil {
			return 0, err
		}
	}
	if err := r.proceed(ctx, run); err != nil {
		return 0, err
	}
	if err := r.letGo(ctx, run); err != nil {
		return 0, err
	}
	r.dropInputs(ctx, run) // last: until now every server would come back to it, and look for them
	return 0, nil
}

// mend tries once to revert what is left of a finished run, and says in the record when it succeeded.
func (r *reconciler) mend(ctx context.Context, name string) error {
	run, journal, err := r.takeOver(ctx, name)
	if err != nil {
		return err
	}
	m := r.remember(name)
	overdue := m.lasted("left", revertWithin)
	left := 0
	for _, record := range run.Unreverted() {
		failure := r.revertOne(ctx, record, name)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failure != nil {
			left++
			if record.Phase == kube.FaultResidue || !overdue {
				continue // nothing new to say
			}
		}
		if err := journal.Reverted(ctx, record.Kind, record.Name, texts(failure)); err != nil {
			return err
		}
		if failure == nil {
			r.o.Log.Warn("the server put back what a finished run had left", zap.String("run", name), zap.Stringer("fault", record))
		}
	}
	if left == 0 {
		m.failed, m.next = 0, time.Time{}
		return nil
	}
	m.next = time.Now().Add(backoff(m.failed))
	m.failed++
	return nil
}

// backoff is how long to wait after so many failures in a row.
func backoff(failed int) time.Duration {
	return min(residueFirst<<min(failed, 20), residueLast)
}
