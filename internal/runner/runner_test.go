package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// world is a target, its fault and everything around it, in virtual time. Killing the primary makes writes fail for
// outage; then another member leads. At each hook of the run's life a test may make something go wrong.
type world struct {
	outage time.Duration
	hooks  map[string]func(context.Context) error

	mu        sync.Mutex
	killedAt  time.Time
	seen      map[string]map[int64]bool
	acked     []int64
	active    bool          // the fault is there
	breaks    time.Duration // how long after the injection the fault ends by itself; 0: it does not
	prepared  bool          // what the fault needs is there
	stored    bool          // how to take that away is journaled
	journaled bool
	noted     []string // residue noted in the journal
	locks     int
	lost      chan struct{} // closing it takes the lock away
	closed    bool
	stayAway  bool // once killed, orders-0 never answers again
	calls     []string
}

func (w *world) hook(ctx context.Context, name string) error {
	w.mu.Lock()
	w.calls = append(w.calls, name)
	h := w.hooks[name]
	w.mu.Unlock()
	if h == nil {
		return nil
	}
	return h(ctx)
}

var members = []string{"orders-0", "orders-1", "orders-2"}

// primary is the member that leads now, or none during the outage.
func (w *world) primary() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.killedAt.IsZero():
		return "orders-0"
	case time.Since(w.killedAt) < w.outage:
		return ""
	default:
		return "orders-1"
	}
}

// Target.

func (w *world) Name() string { return "orders" }
func (w *world) Open(ctx context.Context) ([]drill.Member, error) {
	var out []drill.Member
	for i, m := range members {
		role := drill.RoleReplica
		if i == 0 {
			role = drill.RolePrimary
		}
		out = append(out, drill.Member{Namespace: "shop", Name: m, UID: "uid-" + m, Role: role})
	}
	return out, w.hook(ctx, "open")
}

func (w *world) Probes() []drill.Probe {
	probes := []drill.Probe{worldProbe{w, drill.ProbeInfo{Name: "orders", Kind: "postgresql", Target: "orders",
		Class: drill.ClassPooled, Interval: 20 * time.Millisecond, Deadline: time.Second, Sessions: 50}}}
	for _, m := range members {
		probes = append(probes, worldProbe{w, drill.ProbeInfo{Name: "orders/" + m, Kind: "postgresql", Target: "orders",
			Class: drill.ClassPinned, Member: m, Interval: 100 * time.Millisecond, Deadline: time.Second, Sessions: 1}})
	}
	return probes
}

func (w *world) Watch(ctx context.Context, changed func(drill.Views)) error {
	one := func(m string) drill.Views {
		s := []string{m}
		return drill.Views{Target: "orders", Label: s, Service: s, Member: s}
	}
	changed(one("orders-0"))
	if err := w.hook(ctx, "watch"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (w *world) ReadBack(ctx context.Context) (drill.ReadBack, error) {
	if err := w.hook(ctx, "readback"); err != nil {
		return drill.ReadBack{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	back := drill.ReadBack{Target: "orders", Primary: "orders-1", Complete: true, Streams: map[string]map[string]drill.Numbers{}}
	for _, m := range members {
		back.Streams[m] = map[string]drill.Numbers{"orders": drill.NumbersOf(w.acked...)}
	}
	return back, nil
}

func (w *world) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return w.hook(ctx, "close")
}

// Fault.

type worldFault struct{ w *world }

func (f worldFault) Plan(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
	victim := drill.Member{Namespace: "shop", Name: "orders-0", UID: "uid-orders-0", Role: drill.RolePrimary}
	return json.RawMessage(`{}`), drill.FaultPlan{Kind: "kill", Name: "orders", Hold: 45 * time.Second, Prepares: true,
		Victims: []drill.Member{victim}, Nodes: []string{"n1"}}, f.w.hook(ctx, "plan")
}
func (f worldFault) Prepare(ctx context.Context, _ json.RawMessage) error {
	f.w.mu.Lock()
	stored := f.w.stored
	f.w.prepared = true
	f.w.mu.Unlock()
	if !stored {
		return errors.New("TEST: prepared before its undo was stored")
	}
	return f.w.hook(ctx, "prepare")
}
func (f worldFault) Held(ctx context.Context, _ json.RawMessage) error { return f.w.hook(ctx, "held") }
func (f worldFault) Broken() error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.w.breaks > 0 && f.w.active && time.Since(f.w.killedAt) >= f.w.breaks {
		return drill.ErrNotConfirmed
	}
	return nil
}
func (f worldFault) Recheck(ctx context.Context, _ json.RawMessage) error {
	return f.w.hook(ctx, "recheck")
}
func (f worldFault) Inject(ctx context.Context, _ json.RawMessage) error {
	f.w.mu.Lock()
	journaled := f.w.journaled
	f.w.active, f.w.killedAt = true, time.Now()
	f.w.mu.Unlock()
	if !journaled {
		return errors.New("TEST: injected before its undo was stored")
	}
	return f.w.hook(ctx, "inject")
}
func (f worldFault) Confirm(ctx context.Context, _ json.RawMessage) (string, error) {
	return "seen", f.w.hook(ctx, "confirm")
}
func (f worldFault) Revert(ctx context.Context, _ json.RawMessage) error {
	if ctx.Err() != nil {
		return fmt.Errorf("TEST: revert on a context that is over: %w", ctx.Err())
	}
	if err := f.w.hook(ctx, "revert"); err != nil {
		return err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.active, f.w.prepared = false, false
	return nil
}

// Journal and Lock.

func (w *world) Preparing(ctx context.Context, _, _ string, _ json.RawMessage) error {
	if err := w.hook(ctx, "journal of the preparation"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored = true
	return nil
}

func (w *world) Injecting(ctx context.Context, _, _ string, _ json.RawMessage) error {
	if err := w.hook(ctx, "journal"); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.journaled = true
	return nil
}

func (w *world) Reverted(_ context.Context, _, _ string, residue []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted = residue
	return nil
}

func (w *world) Acquire(ctx context.Context, _ []string) (func(context.Context) error, <-chan struct{}, error) {
	if err := w.hook(ctx, "lock"); err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.locks++
	return func(context.Context) error { w.mu.Lock(); defer w.mu.Unlock(); w.locks--; return nil }, w.lost, nil
}

// worldProbe answers at once: writes succeed while somebody leads.
type worldProbe struct {
	w    *world
	info drill.ProbeInfo
}

func (p worldProbe) Info() drill.ProbeInfo { return p.info }
func (p worldProbe) Sample(_ context.Context, s *drill.Sample) {
	primary := p.w.primary()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.info.Class == drill.ClassPooled {
		s.Write = true
		if primary == "" {
			s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalRefused
			return
		}
		s.Outcome, s.By, s.Role = drill.OutcomeOK, primary, drill.RolePrimary
		p.w.acked = append(p.w.acked, s.Slot)
		return
	}
	if p.info.Member == "orders-0" && (p.w.active || p.w.stayAway && !p.w.killedAt.IsZero()) {
		s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalRefused
		return
	}
	reading := &drill.Reading{UID: "uid-" + p.info.Member, Streaming: true}
	if p.w.seen[p.info.Member] == nil {
		p.w.seen[p.info.Member] = map[int64]bool{}
	}
	for _, n := range p.w.acked {
		if !p.w.seen[p.info.Member][n] {
			p.w.seen[p.info.Member][n] = true
			reading.Seen = append(reading.Seen, n)
		}
	}
	s.Outcome, s.By, s.Role, s.Reading = drill.OutcomeOK, p.info.Member, drill.RoleReplica, reading
	if p.info.Member == primary {
		s.Role = drill.RolePrimary
	}
}

// tickSampler is an exact sampler for virtual time.
func tickSampler(ctx context.Context, sampling drill.Sampling) {
	clock, probes, emit := sampling.Clock, sampling.Probes, sampling.Sample
	var wg sync.WaitGroup
	for _, p := range probes {
		wg.Go(func() {
			info := p.Info()
			tick := time.NewTicker(info.Interval)
			defer tick.Stop()
			for slot := int64(0); ; slot++ {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				s := drill.Sample{Probe: info.Name, Class: info.Class, Member: info.Member, Slot: slot, Scheduled: clock.Now(), Sent: clock.Now()}
				p.Sample(ctx, &s)
				s.Done = clock.Now()
				emit(s)
			}
		})
	}
	wg.Wait()
}

// above is a condition: a live value of the target is more than a limit.
type above struct {
	attr  string
	limit float64
}

func (a above) Evaluate(live drill.Live) (drill.Truth, string) {
	v, ok := live["target"]["orders"][a.attr]
	if !ok {
		return drill.Unknown, ""
	}
	if v > a.limit {
		return drill.True, fmt.Sprintf("%s is %.1f", a.attr, v)
	}
	return drill.False, ""
}

func (w *world) config() Config {
	return Config{
		Drill: &drill.Drill{Name: "kill", Timeout: 5 * time.Minute,
			SteadyState: drill.SteadyState{Hold: 5 * time.Second, Timeout: 30 * time.Second},
			Aborts:      []drill.Rule{{Name: "outage", For: time.Second, Condition: above{"outage_seconds", 20}}},
			Objectives:  []drill.Objective{{Name: drill.ObjectiveRecoveryTime, Limit: 60}, {Name: drill.ObjectiveLostWrites}}},
		Settings:   drill.Settings{Window: 10 * time.Second, ImpactTimeout: 60 * time.Second, RedundancyLag: 1},
		Preflight:  func(ctx context.Context) error { return w.hook(ctx, "preflight") },
		Namespaces: []string{"shop"}, Target: w, Sampler: tickSampler, Journal: w, Lock: w, Log: zap.NewNop(),
		Faults: []BoundFault{{Kind: "kill", Name: "orders", Fault: worldFault{w}}},
	}
}

func newWorld() *world {
	return &world{outage: 8 * time.Second, hooks: map[string]func(context.Context) error{}, seen: map[string]map[int64]bool{}}
}

// checkClean asserts what must be true after every run, however it ended.
func (w *world) checkClean(t *testing.T) {
	t.Helper()
	require.False(t, w.active, "the fault outlived the run")
	require.False(t, w.prepared, "what was made for the fault outlived the run")
	require.Zero(t, w.locks, "a lock is still held")
	require.True(t, w.closed, "the target was not closed")
}

func TestRunPasses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, drill.OutcomeFailedOver, rep.Recovery.Outcome)
		require.LessOrEqual(t, float64(rep.Recovery.Lower), 8.0)
		require.GreaterOrEqual(t, float64(rep.Recovery.Upper), 8.0)
		require.InDelta(t, 45, float64(*rep.Recovery.Redundancy), 0.5, "the member came back when it was let go")
		w.checkClean(t)
	})
}

// TestMeasuringBeginsWithTheSteadyState: the target is spared while it is not steady, and all of Hold is measured.
func TestMeasuringBeginsWithTheSteadyState(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		start := time.Now()
		var began, injected, ill time.Duration
		ill = 7 * time.Second
		w.hooks["inject"] = func(context.Context) error { injected = time.Since(start); return nil }
		c := w.config()
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "well", Condition: since{start, ill}}}
		c.Sampler = func(ctx context.Context, s drill.Sampling) {
			go func() { <-s.Measure; began = time.Since(start) }()
			s.Stall(drill.Stall{From: 1, To: 2})
			tickSampler(ctx, s)
		}
		var stalls []drill.Stall
		c.Observers = append(c.Observers, listener(func(e drill.Event) { stalls = append(stalls, e.Stalls...) }))
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.InDelta(t, ill.Seconds(), began.Seconds(), 0.1)
		require.InDelta(t, c.Drill.SteadyState.Hold.Seconds(), (injected - began).Seconds(), 0.1)
		require.Equal(t, []drill.Stall{{From: 1, To: 2}}, stalls, "they are recorded")
	})
}

// listener hears every event.
type listener func(drill.Event)

func (l listener) Observe(e drill.Event) { l(e) }

// since is a condition that holds from a moment on.
type since struct {
	start time.Time
	after time.Duration
}

func (s since) Evaluate(drill.Live) (drill.Truth, string) {
	if time.Since(s.start) < s.after {
		return drill.False, "not yet"
	}
	return drill.True, ""
}

// TestEveryPhase goes through every hook of a run's life, and lets each fail, panic, be interrupted or be aborted there.
func TestEveryPhase(t *testing.T) {
	boom := errors.New("boom")
	before := []string{"preflight", "lock", "open", "plan", "journal of the preparation", "prepare", "recheck", "journal"}
	after := []string{"inject", "confirm", "held"}
	for _, phase := range append(append([]string{}, before...), after...) {
		injected := slices.Contains(after, phase)
		run := func(name string, want drill.Verdict, hook func(cancel context.CancelCauseFunc) func(context.Context) error) {
			t.Run(phase+"/"+name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					w := newWorld()
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					w.hooks[phase] = hook(cancel)
					rep := Run(ctx, w.config())
					require.Equal(t, want, rep.Run.Verdict, "%+v", rep.Run.Reasons)
					w.checkClean(t)
					require.Equal(t, injected, !w.killedAt.IsZero())
				})
			})
		}
		run("error", drill.VerdictError, func(context.CancelCauseFunc) func(context.Context) error {
			return func(context.Context) error { return boom }
		})
		run("panic", drill.VerdictError, func(context.CancelCauseFunc) func(context.Context) error {
			return func(context.Context) error { panic("boom") }
		})
		run("ctrl-c", drill.VerdictInterrupted, func(cancel context.CancelCauseFunc) func(context.Context) error {
			return func(ctx context.Context) error { cancel(boom); <-ctx.Done(); return ctx.Err() }
		})
		if !injected {
			run("refusal", drill.VerdictRefused, func(context.CancelCauseFunc) func(context.Context) error {
				return func(context.Context) error { return &drill.Refusal{Code: "no", Text: "no"} }
			})
		}
	}
}

func TestVictimChangedIsRefusedAndUntouched(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hooks["recheck"] = func(context.Context) error { return drill.ErrVictimChanged }
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.True(t, w.killedAt.IsZero())
		require.NotContains(t, w.calls, "journal")
		w.checkClean(t)
	})
}

func TestUnconfirmedIsInvalid(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hooks["confirm"] = func(context.Context) error { return drill.ErrNotConfirmed }
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
		w.checkClean(t)
	})
}

func TestAFaultThatBrokeOffIsInvalid(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hooks["held"] = func(context.Context) error { return drill.ErrNotConfirmed }
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
		require.False(t, rep.Faults[0].Confirmed)
		require.True(t, rep.Faults[0].Reverted)
		w.checkClean(t)
	})
}

// TestT21AFaultThatBreaksIsNoticedAtOnce: not at its planned end, which may be half an hour later.
func TestT21AFaultThatBreaksIsNoticedAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.breaks = 3 * time.Second
		var revertedAt time.Time
		w.hooks["revert"] = func(context.Context) error { revertedAt = time.Now(); return nil }
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
		require.Equal(t, "fault_unconfirmed", rep.Run.Reasons[0].Code)
		require.NotContains(t, w.calls, "held")
		require.True(t, rep.Faults[0].Reverted)
		require.InDelta(t, 3, revertedAt.Sub(w.killedAt).Seconds(), 0.5, "and not 45 s after the injection")
		w.checkClean(t)
	})
}

func TestAFaultThatPreparesNothingIsJournaledOnlyAtItsInjection(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		c.Faults[0].Fault = unprepared{worldFault{w}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.NotContains(t, w.calls, "prepare")
		require.NotContains(t, w.calls, "journal of the preparation")
		w.checkClean(t)
	})
}

// unprepared is a fault that needs nothing made before it.
type unprepared struct{ worldFault }

func (f unprepared) Plan(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
	state, plan, err := f.worldFault.Plan(ctx)
	plan.Prepares = false
	return state, plan, err
}

func TestAbortConditionEndsAndReverts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.outage = time.Hour
		start := time.Now()
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictAborted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.True(t, rep.Abort.Fired)
		require.NotNil(t, rep.Abort.Latency)
		require.Less(t, float64(*rep.Abort.Latency), 0.25)
		require.LessOrEqual(t, float64(*rep.Abort.Decision), 0.05, "the clock is looked at every 50 ms")
		require.LessOrEqual(t, float64(*rep.Abort.Decision), float64(*rep.Abort.Latency))
		require.Less(t, time.Since(start), 90*time.Second, "an abort waits for nothing")
		w.checkClean(t)
	})
}

func TestInterruptedWhileObserving(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(10 * time.Second); cancel(errors.New("interrupt")) }() // 5 s of steady state, 5 s into the outage
		rep := Run(ctx, w.config())
		require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict)
		require.True(t, rep.Faults[0].Reverted)
		w.checkClean(t)
	})
}

func TestNeverRecoveredFails(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.outage = time.Hour
		c := w.config()
		c.Drill.Aborts = nil
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
		require.Equal(t, drill.OutcomeNotRecovered, rep.Recovery.Outcome)
		require.Equal(t, drill.Never(), rep.Recovery.Estimate.Estimate)
		w.checkClean(t)
	})
}

func TestNotSteadyIsRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "never", Condition: above{"outage_seconds", 1e9}}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.True(t, w.killedAt.IsZero())
		w.checkClean(t)
	})
}

func TestResidueIsReportedAndRetried(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		tries := 0
		w.hooks["revert"] = func(context.Context) error { tries++; return errors.New("node n1: forbidden") }
		rep := Run(t.Context(), w.config())
		require.NotEmpty(t, rep.Faults[0].Residue)
		require.Equal(t, rep.Faults[0].Residue, w.noted)
		require.Greater(t, tries, 10, "a revert is tried again until its time is up")
	})
}

func TestRevertSucceedsAfterFailures(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		tries := 0
		w.hooks["revert"] = func(context.Context) error {
			if tries++; tries < 4 {
				return errors.New("the API server is away")
			}
			return nil
		}
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Empty(t, rep.Faults[0].Residue)
		w.checkClean(t)
	})
}

func TestLostLockInterrupts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.lost = make(chan struct{})
		go func() { time.Sleep(15 * time.Second); close(w.lost) }()
		start := time.Now()
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict)
		require.Equal(t, "lock_lost", rep.Run.Reasons[0].Code)
		require.Less(t, time.Since(start), 20*time.Second)
		w.checkClean(t)
	})
}
