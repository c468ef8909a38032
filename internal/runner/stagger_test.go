package runner

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// witness keeps when each step began, and the delay that was drawn. A run that goes on asks it by at.
type witness struct {
	mu      sync.Mutex
	began   map[drill.Step]time.Time
	steps   []drill.Step
	stagger *drill.Stagger
}

func (o *witness) Observe(e drill.Event) {
	if e.Type != drill.EventStep {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began == nil {
		o.began = map[drill.Step]time.Time{}
	}
	o.began[e.Step] = time.Now()
	o.steps = append(o.steps, e.Step)
	if e.Stagger != nil {
		o.stagger = e.Stagger
	}
}

// at is when a step began; zero while it has not.
func (o *witness) at(step drill.Step) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.began[step]
}

// staggered is a run with a random delay of up to 20 s, and its witness.
func staggered(w *world) (Config, *witness) {
	c, o := w.config(), new(witness)
	c.Drill.Stagger = 20 * time.Second
	c.Observers = []Observer{o}
	return c, o
}

// when is a condition on the clock.
type when func() bool

func (f when) Evaluate(drill.Live) (drill.Truth, string) {
	if f() {
		return drill.True, ""
	}
	return drill.False, "a replica is not ready"
}

func TestStaggerDelaysTheFaultAndTheReportSaysBy(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c, o := staggered(w)
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.NotNil(t, o.stagger)
		require.Equal(t, drill.Seconds(20), o.stagger.Limit)
		require.Equal(t, o.stagger.Delay, *rep.Run.Stagger, "people can see it afterwards")
		waited := o.began[drill.StepInject].Sub(o.began[drill.StepStagger]).Seconds()
		require.GreaterOrEqual(t, waited, float64(o.stagger.Delay))
		require.InDelta(t, float64(o.stagger.Delay), waited, 0.051, "no longer than until the next look")
		require.GreaterOrEqual(t, o.began[drill.StepStagger].Sub(o.began[drill.StepSteady]), 5*time.Second, "the steady state comes first")
		w.checkClean(t)
	})
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c, o := staggered(w)
		c.Drill.Stagger = 0
		rep := Run(t.Context(), c)
		require.NotContains(t, o.steps, drill.StepStagger)
		require.Nil(t, rep.Run.Stagger)
	})
}

// TestStaggerIsUniform draws 200 times. That one of these bounds is missed by chance is less likely than 1 in 10^6.
func TestStaggerIsUniform(t *testing.T) {
	var drawn []float64
	for range 200 {
		bubble.Test(t, func(t *testing.T) {
			w := newWorld()
			c, o := staggered(w)
			w.hooks["recheck"] = func(context.Context) error { return drill.ErrVictimChanged } // it has waited by then
			Run(t.Context(), c)
			drawn = append(drawn, float64(o.stagger.Delay))
		})
	}
	slices.Sort(drawn)
	sum := 0.0
	for _, d := range drawn {
		sum += d
	}
	require.GreaterOrEqual(t, drawn[0], 0.0)
	require.Less(t, drawn[199], 20.0)
	require.Less(t, drawn[0], 2.0)
	require.Greater(t, drawn[199], 18.0)
	require.InDelta(t, 10, sum/200, 2.2)
	require.InDelta(t, 5, drawn[50], 3.2)
	require.InDelta(t, 15, drawn[150], 3.2)
	require.Greater(t, len(slices.Compact(drawn)), 190, "no two runs wait alike")
}

func TestInterruptedWhileItWaits(t *testing.T) {
	for name, stop := range map[string]func(w *world, cancel context.CancelCauseFunc){
		"ctrl-c":    func(_ *world, cancel context.CancelCauseFunc) { cancel(errors.New("interrupt")) },
		"lock lost": func(w *world, _ context.CancelCauseFunc) { close(w.lost) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld()
				w.lost = make(chan struct{})
				c, o := staggered(w)
				c.Drill.Stagger = time.Hour
				c.Drill.Timeout = 2 * time.Hour
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var stopped time.Time
				go func() { time.Sleep(5300 * time.Millisecond); stopped = time.Now(); stop(w, cancel) }()
				rep := Run(ctx, c)
				if slices.Contains(o.steps, drill.StepInject) {
					return // it drew next to nothing, once in ten thousand times
				}
				require.Contains(t, o.steps, drill.StepStagger)
				require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				require.Less(t, time.Since(stopped), 2*time.Second, "it does not wait on")
				require.True(t, w.killedAt.IsZero())
				require.NotNil(t, rep.Run.Stagger)
				w.checkClean(t)
			})
		})
	}
}

// TestASteadyStateThatBreaksInTheWait is waited for again: a fault never meets a target that is not whole.
func TestASteadyStateThatBreaksInTheWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c, o := staggered(w)
		broken := func() bool {
			since := o.at(drill.StepStagger)
			return !since.IsZero() && time.Since(since) >= time.Second && time.Since(since) < 18*time.Second
		}
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "whole", Condition: when(func() bool { return !broken() })}}
		for o.stagger == nil || o.stagger.Delay < 1.1 { // until it draws a delay in which something can happen
			w = newWorld()
			c.Target, c.Journal, c.Lock, c.Faults[0].Fault = w, w, w, worldFault{w}
			o.stagger, o.began = nil, nil
			rep := Run(t.Context(), c)
			require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		}
		// Whole again after 18 s, and for 5 s.
		require.InDelta(t, 23, o.began[drill.StepInject].Sub(o.began[drill.StepStagger]).Seconds(), 0.11)
		w.checkClean(t)
	})
}

func TestASteadyStateThatDoesNotComeBackRefuses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c, o := staggered(w)
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "whole", Condition: when(func() bool { return o.at(drill.StepStagger).IsZero() })}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.Equal(t, "not_steady", rep.Run.Reasons[0].Code)
		require.Contains(t, rep.Run.Reasons[0].Text, "again within 30s of the random delay: a replica is not ready")
		require.True(t, w.killedAt.IsZero())
		w.checkClean(t)
	})
}

func TestTheTimeoutPassesInTheWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c, o := staggered(w)
		c.Drill.Stagger = time.Hour
		c.Drill.Timeout = 5100 * time.Millisecond // the file's reader would not allow it
		rep := Run(t.Context(), c)
		if slices.Contains(o.steps, drill.StepInject) {
			return // it drew next to nothing, once in ten thousand times
		}
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.Equal(t, "timeout", rep.Run.Reasons[0].Code)
		w.checkClean(t)
	})
}
