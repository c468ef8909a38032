// Package runner is the life of one run, from plan to report. It knows targets, faults and probes by interface only.
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
)

// BoundFault is a fault with its name in the drill.
type BoundFault struct {
	Kind, Name string
	After      time.Duration // from the injection of the fault before it, or from the steady state
	Fault      Fault
}

// Config is everything that a run needs.
type Config struct {
	Info     drill.RunReport // who and where; the verdict is the run's to find
	Drill    *drill.Drill
	Settings drill.Settings
	Earlier  []drill.Trial // of the same series
	// Preflight checks rights and guards before anything else; it may return *drill.Refusal.
	Preflight  func(context.Context) error
	Namespaces []string // the target's, to lock before anything is looked at
	Target     Target
	Probes     []drill.Probe // sampled beside the target's own
	Faults     []BoundFault  // in the order of injection
	Guard      Guard         // nil bounds nothing
	Sampler    Sampler
	Journal    Journal
	Lock       Lock
	Observers  []Observer
	Recorder   Recorder // nil keeps every event in memory as it is
	Source     string   // SHA-256 of the drill file's text, for the recording
	// Leaving is closed when the process is about to be killed, so that reverting must be short; nil when nobody says so.
	Leaving <-chan struct{}
	// Permit is asked right before the first injection, and may return *drill.Refusal; nil permits all.
	Permit func(context.Context) error
	Log    *zap.Logger
}

// Limits of the clean-up, which nothing can cancel.
const (
	revertTimeout = 2 * time.Minute
	revertPause   = time.Second
	// revertLast is how long the last attempt may take, and revertHurried all of them when the process is about to be killed.
	revertLast      = 20 * time.Second
	revertHurried   = 30 * time.Second
	answerTimeout   = 10 * time.Second
	readBackTimeout = 3 * time.Minute // ten million rows take about one
	closeTimeout    = 15 * time.Second
	// redundancyTimeout is how long a recovered target may take to get every member back.
	redundancyTimeout = 5 * time.Minute
	// redundancyHold is how long redundancy must hold before it is believed: the two seconds that count (MEASURING.md), and as
	// long again as the record may lag behind the look at it.
	redundancyHold = 2500 * time.Millisecond
	pollEvery      = 50 * time.Millisecond
	batchEvery     = time.Second
)

// run is one run in progress.
type run struct {
	Config
	clock drill.Clock
	abort context.CancelCauseFunc // ends the run early; the first cause wins
	over  <-chan struct{}         // closed when something has ended it early

	mu    sync.Mutex // guards all below; every event passes through it, which makes the order
	seq   int64
	spare plain // what was touched
	// outboxes are of the observers: nothing that shows a run is called under the lock.
	outboxes []*Outbox
	live     *measure.Live
	rules    []*ruleState
	batch    []drill.Sample
	stalls   []drill.Stall

	faults        []*plannedFault // in the order of injection
	active        []*plannedFault // those of which something is in the journal, the one that was injected last at the end
	held          map[string]bool // scopes that are locked
	releases      []func(context.Context) error
	touched       bool         // an injection has begun: the run can no longer be called refused
	firstInjected drill.Offset // when the first injection began
	lastInjected  drill.Offset // when the newest injection began
	harmless      atomic.Bool  // every fault was injected and reverted: only measuring is left
	unanswered    bool         // the last time that reverting failed, the journal did not answer either
}

// plannedFault is a fault with its newest plan, and how far it has come.
type plannedFault struct {
	BoundFault
	plan      drill.FaultPlan
	state     json.RawMessage
	journaled bool         // how to take away what there is of it is stored
	injected  drill.Offset // when its injection was over
	confirmed bool
	reverted  bool
	late      time.Time      // until when something may still come of an injection that failed
	spared    []drill.Member // victims by plan that the injection did not hurt
}

func (f *plannedFault) String() string { return fmt.Sprintf("%s %q", f.Kind, f.Name) }

// ended is the cause with which a run's context is cancelled from inside.
type ended struct{ drill.End }

func (e ended) Error() string { return e.Text }

// Run executes one run and returns its report. Cancelling ctx interrupts the run: it reverts, and then returns. An observer
// that is no Outbox gets one for the run, which is flushed within bounds before Run returns; who passes an Outbox flushes it.
func Run(ctx context.Context, c Config) drill.Report {
	r := &run{Config: c, clock: drill.StartClock(), live: measure.NewLive(c.Settings), held: map[string]bool{}}
	if r.Recorder == nil {
		r.Recorder = &plain{}
	}
	r.Info.Started = r.clock.Started().UTC()
	for _, rule := range c.Drill.Aborts {
		r.rules = append(r.rules, &ruleState{rule: rule})
	}
	var mine []*Outbox
	for _, o := range c.Observers {
		box, given := o.(*Outbox)
		if !given {
			box = NewOutbox(o)
			mine = append(mine, box)
		}
		r.outboxes = append(r.outboxes, box)
	}
	end := r.life(ctx)
	r.emit(drill.Event{Type: drill.EventEnd, Text: end.Text, End: &end})
	// The report is computed from what was recorded, and from nothing else.
	r.Info.Finished = time.Now().UTC()
	report := measure.Report(r.Recording())
	r.emit(drill.Event{Type: drill.EventReport, Report: &report})
	for _, box := range mine {
		if left := box.Flush(flushTimeout); left > 0 {
			r.Log.Warn("an observer did not take everything", zap.Int("events", left))
		}
	}
	return report
}

// life goes through the steps and always cleans up. A panic in a step ends the run like any other error.
func (r *run) life(ctx context.Context) (end drill.End) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.Drill.Timeout, errTimeout)
	defer cancel()
	ctx, r.abort = context.WithCancelCause(ctx)
	defer r.abort(nil)
	r.over = ctx.Done()
	probing := r.newProbing(ctx)

	end = protect(func() drill.End { return r.endOf(ctx, r.steps(ctx, probing)) })
	if end.Cause != drill.EndFinished || ctx.Err() != nil {
		r.disarm()
	}
	// From here on nothing can be cancelled: whatever happened above, the faults are reverted.
	clean := context.WithoutCancel(ctx)
	if broken := protect(func() drill.End { return r.revertAll(clean) }); broken.Cause == drill.EndError {
		end = broken
	}
	after := protect(func() drill.End {
		if end.Cause == drill.EndFinished {
			r.awaitRedundancy(ctx)
			r.disarm() // slots that are under way still come home
			end = r.orEnded(ctx, end)
		}
		probing.stop()
		if r.touched && end.Cause != drill.EndInterrupted {
			r.readBack(clean)
		}
		if r.touched && end.Cause == drill.EndFinished {
			r.judge()
		}
		return end
	})
	probing.stop()
	r.release(clean)
	return after
}

// protect turns a panic into the end of the run, so that clean-up still happens.
func protect(step func() drill.End) (end drill.End) {
	defer func() {
		if p := recover(); p != nil {
			end = drill.End{Cause: drill.EndError, Code: "panic", Text: fmt.Sprintf("drill itself failed: %v", p)}
		}
	}()
	return step()
}

// steps is the run up to the observed recovery. It leaves clean-up to its caller.
func (r *run) steps(ctx context.Context, probing *probing) error {
	if err := r.plan(ctx); err != nil {
		return err
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.step(drill.StepProbes)
	probing.start()
	if err := r.preconditions(ctx); err != nil {
		return err
	}
	// When the steady state begins, so does the measuring: it has all of Hold to learn what is usual.
	steady := &steadiness{r: r, begun: probing.measuring}
	if err := steady.hold(ctx); err != nil {
		return err
	}
	if err := steady.stagger(ctx); err != nil {
		return err
	}
	if err := steady.turn(ctx); err != nil {
		return err
	}
	if err := r.lastLook(ctx, steady); err != nil {
		return err
	}
	if err := r.inject(ctx); err != nil {
		return err
	}
	return r.observe(ctx)
}

// plan locks the target's namespaces, finds members and victims, asks the guard, and locks the victims' nodes.
func (r *run) plan(ctx context.Context) error {
	r.step(drill.StepPlan)
	if err := r.Preflight(ctx); err != nil {
		return err
	}
	if err := r.lock(ctx, "namespace/", r.Namespaces); err != nil {
		return err
	}
	members, err := r.Target.Open(ctx)
	if err != nil {
		return fmt.Errorf("open target %q: %w", r.Target.Name(), err)
	}
	var nodes []string
	for _, f := range r.Faults {
		p := &plannedFault{BoundFault: f}
		if p.state, p.plan, err = f.Fault.Plan(ctx); err != nil {
			return fmt.Errorf("plan fault %s: %w", p, err)
		}
		p.plan.After = f.After
		r.faults = append(r.faults, p)
		nodes = append(nodes, p.plan.Nodes...)
	}
	if r.Guard != nil {
		if err := r.Guard.Allows(r.plans()); err != nil {
			return err
		}
		if err := r.Guard.Quiet(ctx); err != nil {
			return err
		}
	}
	if err := r.lock(ctx, "node/", nodes); err != nil {
		return err
	}
	r.emit(drill.Event{Type: drill.EventPlan, Plans: r.plans(), Members: members})
	return nil
}

// plans are the newest plans of all faults.
func (r *run) plans() []drill.FaultPlan {
	plans := make([]drill.FaultPlan, 0, len(r.faults))
	for _, f := range r.faults {
		plans = append(plans, f.plan)
	}
	return plans
}

// lock takes the scopes that the run does not hold yet; a lock that is lost later interrupts the run.
func (r *run) lock(ctx context.Context, prefix string, names []string) error {
	scopes := make([]string, 0, len(names))
	for _, n := range names {
		if scope := prefix + n; n != "" && !r.held[scope] && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	if len(scopes) == 0 {
		return nil
	}
	release, lost, err := r.Lock.Acquire(ctx, scopes)
	if err != nil {
		return err
	}
	r.releases = append(r.releases, release)
	for _, scope := range scopes {
		r.held[scope] = true
	}
	go func() {
		select {
		case <-lost:
			if r.harmless.Load() { // no other run begins before this one has ended, so its numbers stand
				r.warn("lock_lost", fmt.Sprintf("The lock on %v could not be renewed for a while. Nothing was injected any more; the measurement went on.", scopes))
				return
			}
			r.abort(ended{drill.End{Cause: drill.EndInterrupted, Code: "lock_lost",
				Text: fmt.Sprintf("The lock on %v could not be kept; another run might start.", scopes)}})
		case <-ctx.Done():
		}
	}()
	return nil
}

// release gives back whatever the run holds in the cluster and in the target.
func (r *run) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if err := r.closeTarget(ctx); err != nil {
		r.warn("ledger_left", fmt.Sprintf("The ledger could not be removed from the target: %v.", err))
	}
	for _, release := range r.releases {
		if err := release(ctx); err != nil {
			r.Log.Warn("release the lock", zap.Error(err))
		}
	}
}

// closeTarget survives a panic: the locks must be given back, and there is a report to write.
func (r *run) closeTarget(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("drill itself failed: %v", p)
		}
	}()
	return r.Target.Close(ctx)
}

var errTimeout = errors.New("the drill's timeout")

// endOf says why the steps ended.
func (r *run) endOf(ctx context.Context, err error) drill.End {
	var inside ended
	var refusal *drill.Refusal
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		return drill.End{Cause: drill.EndFinished, Code: "finished"}
	case errors.As(cause, &inside):
		return inside.End
	case errors.Is(cause, errTimeout) && r.touched && r.waiting() != nil:
		return drill.End{Cause: drill.EndUnconfirmed, Code: "timeout",
			Text: fmt.Sprintf("The drill's timeout of %s passed before the fault %s was injected.", r.Drill.Timeout, r.waiting())}
	case errors.Is(cause, errTimeout) && r.touched:
		return drill.End{Cause: drill.EndFinished, Code: "timeout",
			Text: fmt.Sprintf("The drill's timeout of %s passed before the target was back for good.", r.Drill.Timeout)}
	case errors.Is(cause, errTimeout):
		return r.untouched(drill.End{Cause: drill.EndRefused, Code: "timeout",
			Text: fmt.Sprintf("The drill's timeout of %s passed before the fault: %v.", r.Drill.Timeout, err)})
	case ctx.Err() != nil:
		return drill.End{Cause: drill.EndInterrupted, Code: "interrupted", Text: "The run was interrupted: " + cause.Error() + "."}
	case errors.As(err, &refusal) && r.touched:
		return r.untouched(drill.End{Code: refusal.Code, Text: err.Error()})
	case errors.As(err, &refusal):
		return r.untouched(drill.End{Cause: drill.EndRefused, Code: refusal.Code, Text: refusal.Error()})
	case errors.Is(err, drill.ErrVictimChanged):
		return r.untouched(drill.End{Cause: drill.EndRefused, Code: "victim_changed", Text: err.Error()})
	case errors.Is(err, drill.ErrNotConfirmed):
		return drill.End{Cause: drill.EndUnconfirmed, Code: "fault_unconfirmed", Text: err.Error()}
	default:
		return drill.End{Cause: drill.EndError, Code: "error", Text: err.Error()}
	}
}

// orEnded is why the run ended early, if it did meanwhile: an abort condition may fire until the end, and people may
// interrupt until then. The drill's timeout is none: what it cut short is judged by its numbers.
func (r *run) orEnded(ctx context.Context, end drill.End) drill.End {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errTimeout) {
		return r.endOf(ctx, cause)
	}
	return end
}

// untouched lets a run be called refused only if nothing had been injected. When it was a later fault that could not be
// injected, what was to be tested was not, and the run is invalid.
func (r *run) untouched(end drill.End) drill.End {
	if r.touched {
		end.Cause = drill.EndUnconfirmed
	}
	return end
}

// waiting is the first fault that has not been injected; nil when all have been.
func (r *run) waiting() *plannedFault {
	for _, f := range r.faults {
		if f.injected == 0 {
			return f
		}
	}
	return nil
}
