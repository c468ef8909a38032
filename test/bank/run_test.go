package bank

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/probes"
	"github.com/failoverdrill/drill/internal/runner"
	"github.com/failoverdrill/drill/test/bubble"
)

// play is the whole run of a script, in virtual time.
func (s script) play(t *testing.T) (rep drill.Report) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		if s.back > 0 && s.promoted == 0 {
			s.detected, s.promoted, s.routed = 0.5*s.back, 0.7*s.back, 0.9*s.back
		}
		if s.rejoin == 0 {
			s.rejoin = 20
		}
		w := &world{script: s, started: time.Now(), shown: map[string]map[int64]bool{}}
		rep = runner.Run(w.interrupted(t.Context()), w.config())
	})
	return rep
}

// interrupted is a context that ends when the script says so.
func (w *world) interrupted(ctx context.Context) context.Context {
	if w.interrupt == 0 {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		time.Sleep(time.Duration(w.interrupt * float64(time.Second)))
		cancel(fmt.Errorf("Ctrl-C"))
	}()
	return ctx
}

// shipped are the objectives of drills/kill-primary.hcl, with a stricter limit on the recovery.
var shipped = map[string]float64{
	drill.ObjectiveRecoveryTime: 30, drill.ObjectiveRedundancyTime: 300, drill.ObjectiveLostWrites: 0,
	drill.ObjectiveReplicationLag: 1, drill.ObjectiveLeaderChanges: 1,
}

// limits are the shipped objectives with a row's own in place of theirs.
func limits(own map[string]float64) []drill.Objective {
	var all []drill.Objective
	for _, name := range []string{drill.ObjectiveRecoveryTime, drill.ObjectiveRedundancyTime, drill.ObjectiveLostWrites, drill.ObjectiveReplicationLag,
		drill.ObjectiveLeaderChanges, drill.ObjectiveDualPrimary, drill.ObjectiveUnavailable, drill.ObjectiveFailedOver} {
		limit, ok := own[name]
		if !ok {
			limit, ok = shipped[name]
		}
		if ok && limit >= 0 {
			all = append(all, drill.Objective{Name: name, Limit: limit})
		}
	}
	return all
}

func length(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// config is the run around a script.
func (w *world) config() runner.Config {
	timeout := w.timeout
	if timeout == 0 {
		timeout = 240
	}
	c := runner.Config{
		Drill: &drill.Drill{Name: "bank", Timeout: length(timeout), Blip: length(w.blip),
			SteadyState: drill.SteadyState{Hold: 10 * time.Second, Timeout: 60 * time.Second},
			Aborts:      w.aborts, Objectives: limits(w.objectives), Asserts: w.asserts},
		Settings:   drill.Settings{Window: 10 * time.Second, ImpactTimeout: 60 * time.Second, RedundancyLag: 1, Blip: length(w.blip)},
		Preflight:  func(context.Context) error { return nil },
		Namespaces: []string{"shop"}, Target: w, Sampler: w.sample, Journal: w, Lock: w, Log: zap.NewNop(),
		Faults: []runner.BoundFault{{Kind: "kill_primary", Name: "orders", Fault: blow{w, "orders"}}},
	}
	for i, after := range w.faults {
		name := fmt.Sprintf("orders-%d", i+2)
		c.Faults = append(c.Faults, runner.BoundFault{Kind: "kill_primary", Name: name, After: length(after), Fault: blow{w, name}})
	}
	c.Drill.SteadyState.Asserts = w.steady
	if w.bystander != nil {
		c.Probes = []drill.Probe{scripted{w, drill.ProbeInfo{Name: "side", Kind: "http", Class: drill.ClassFresh,
			Interval: 50 * time.Millisecond, Deadline: 500 * time.Millisecond, Sessions: 11}}}
	}
	return c
}

// sinceArmed is for how many seconds the first fault has been about to come; negative before.
func (w *world) sinceArmed() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed.IsZero() {
		return -1
	}
	return time.Since(w.armed).Seconds()
}

// mute reports whether drill itself does not run at t.
func (w *world) mute(t at) bool { return t >= w.stopped[0] && t < w.stopped[1] }

// sample is the real sampler, whose slots a script may spoil as a process would that is stopped or starved.
func (w *world) sample(ctx context.Context, s drill.Sampling) {
	through, stalled := s.Sample, s.Stall
	s.Stall = nil // the heartbeat is the kernel's, and knows no virtual time
	told := false
	s.Sample = func(x drill.Sample) {
		t := w.time(w.started.Add(time.Duration(x.Scheduled)))
		switch {
		case w.silenced > 0 && t >= w.silenced && x.Class == drill.ClassPooled:
			return
		case w.mute(t):
			x = drill.Sample{Probe: x.Probe, Class: x.Class, Member: x.Member, Slot: x.Slot, Scheduled: x.Scheduled, Done: x.Scheduled, Outcome: drill.OutcomeUnsent}
			if !told {
				stalled(drill.Stall{From: x.Scheduled, To: x.Scheduled.Add(length(w.stopped[1] - w.stopped[0]))})
			}
			told = true
		case w.starved != nil:
			late := length(w.starved(w, t))
			x.Sent, x.Done = x.Sent.Add(late), x.Done.Add(late)
		case w.slept > 0 && t >= w.slept && !told:
			stalled(drill.Stall{From: x.Scheduled, To: x.Scheduled, Slept: true})
			told = true
		}
		through(x)
	}
	probes.Sample(ctx, s)
}

// compares is a condition on one live value, as a drill file would have it.
type compares struct {
	scope, name, value string
	above              bool // it is true above the limit; else up to it
	limit              float64
}

func (c compares) String() string {
	op := "<="
	if c.above {
		op = ">"
	}
	return fmt.Sprintf("%s.%s.%s %s %v", c.scope, c.name, c.value, op, c.limit)
}

func (c compares) Evaluate(live drill.Live) (drill.Truth, string) {
	v, ok := live[c.scope][c.name][c.value]
	switch {
	case !ok:
		return drill.Unknown, c.String()
	case (v > c.limit) == c.above:
		return drill.True, fmt.Sprintf("%s is %.2f", c.value, v)
	}
	return drill.False, fmt.Sprintf("%s is %.2f, and not %s", c.value, v, c)
}
