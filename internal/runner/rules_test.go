package runner

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// rulings are the events of rules, in order.
type rulings struct{ changes []drill.RuleChange }

func (r *rulings) Observe(e drill.Event) {
	if e.Type == drill.EventRule {
		r.changes = append(r.changes, *e.Rule)
	}
}

// sinceTheFault is a condition on the time since the first injection.
func sinceTheFault(f func(since time.Duration) drill.Truth) drill.Condition {
	return says{func(v drill.Live) (drill.Truth, string) {
		s, ok := v["run"][""]["fault_seconds"]
		if !ok {
			return drill.Unknown, "not yet"
		}
		return f(time.Duration(s * float64(time.Second))), fmt.Sprintf("%.0f s after the fault", s)
	}}
}

func between(from, to time.Duration) drill.Condition {
	return sinceTheFault(func(since time.Duration) drill.Truth {
		if since >= from && since < to {
			return drill.True
		}
		return drill.False
	})
}

// TestAbortGrace: the expected outage may not abort the run, and one that outlasts it counts from its end.
func TestAbortGrace(t *testing.T) {
	const never = time.Hour
	for name, tc := range map[string]struct {
		condition   drill.Condition
		grace, hold time.Duration
		fires       time.Duration // after the injection; 0: never
	}{
		"over before its end":            {between(2*time.Second, 12*time.Second), 15 * time.Second, 3 * time.Second, 0},
		"true at its end":                {between(2*time.Second, never), 15 * time.Second, 3 * time.Second, 18 * time.Second},
		"true at its end, at once":       {between(2*time.Second, never), 15 * time.Second, 0, 15 * time.Second},
		"true across its end, too short": {between(2*time.Second, 17*time.Second), 15 * time.Second, 3 * time.Second, 0},
		"true later":                     {between(20*time.Second, never), 15 * time.Second, 3 * time.Second, 23 * time.Second},
		"on and off":                     {sinceTheFault(func(s time.Duration) drill.Truth { return drill.Truth(1 + int(s.Seconds())/2%2) }), 15 * time.Second, 3 * time.Second, 0},
		"no grace":                       {between(2*time.Second, never), 0, 3 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w, told := newWorld(), new(rulings)
				c := w.config()
				c.Observers = []Observer{told}
				c.Drill.Aborts = []drill.Rule{{Name: "late", For: tc.hold, Grace: tc.grace, Condition: tc.condition}}
				rep := Run(t.Context(), c)
				w.checkClean(t)
				for _, change := range told.changes {
					require.Equal(t, tc.grace > 0, change.Grace > 0)
				}
				if tc.fires == 0 {
					require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
					return
				}
				require.Equal(t, drill.VerdictAborted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				last := told.changes[len(told.changes)-1]
				injected := time.Duration(float64(*rep.Faults[0].InjectedOffset) * float64(time.Second))
				require.True(t, last.Fired)
				require.InDelta(t, (injected + tc.fires).Seconds(), last.Due.Seconds(), 0.06)
				require.LessOrEqual(t, float64(*rep.Abort.Decision), 0.051)
				if tc.grace > 0 {
					require.InDelta(t, (injected + tc.grace).Seconds(), last.Grace.Seconds(), 0.001)
				}
			})
		})
	}
}

// TestAnUnknownMayBeABreach: the probe of an abort condition may be dead.
func TestAnUnknownMayBeABreach(t *testing.T) {
	mute := func(from, to time.Duration) drill.Condition {
		return sinceTheFault(func(since time.Duration) drill.Truth {
			if since >= from && since < to {
				return drill.Unknown
			}
			return drill.False
		})
	}
	deadThenTrue := sinceTheFault(func(since time.Duration) drill.Truth {
		switch {
		case since < 10*time.Second:
			return drill.False
		case since < 14*time.Second:
			return drill.Unknown
		}
		return drill.True
	})
	for name, tc := range map[string]struct {
		rule  drill.Rule
		fires time.Duration
	}{
		"pending":                     {drill.Rule{OnUnknown: drill.UnknownPending, Condition: mute(0, time.Hour)}, 0},
		"by default, pending":         {drill.Rule{Condition: mute(0, time.Hour)}, 0},
		"breach":                      {drill.Rule{OnUnknown: drill.UnknownBreach, For: 5 * time.Second, Condition: mute(10*time.Second, time.Hour)}, 15 * time.Second},
		"breach, and back in time":    {drill.Rule{OnUnknown: drill.UnknownBreach, For: 5 * time.Second, Condition: mute(10*time.Second, 14*time.Second)}, 0},
		"unknown, then true: one for": {drill.Rule{OnUnknown: drill.UnknownBreach, For: 6 * time.Second, Condition: deadThenTrue}, 16 * time.Second},
		"pending, then true":          {drill.Rule{OnUnknown: drill.UnknownPending, For: 6 * time.Second, Condition: deadThenTrue}, 20 * time.Second},
		"breach within the grace":     {drill.Rule{OnUnknown: drill.UnknownBreach, Grace: 20 * time.Second, For: time.Second, Condition: mute(0, 15*time.Second)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld()
				c := w.config()
				tc.rule.Name = "dead"
				c.Drill.Aborts = []drill.Rule{tc.rule}
				told := new(rulings)
				c.Observers = []Observer{told}
				rep := Run(t.Context(), c)
				w.checkClean(t)
				if tc.fires == 0 {
					require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
					return
				}
				require.Equal(t, drill.VerdictAborted, rep.Run.Verdict)
				last := told.changes[len(told.changes)-1]
				require.InDelta(t, float64(*rep.Faults[0].InjectedOffset)+tc.fires.Seconds(), last.Due.Seconds(), 0.06)
				require.Equal(t, last.Truth == drill.Unknown, last.Breach)
				if last.Breach {
					require.Contains(t, rep.Abort.Text, "has no reading, and on_unknown counts that as a breach")
				}
			})
		})
	}
}

func TestPreconditions(t *testing.T) {
	truth := func(f func() drill.Truth) drill.Condition {
		return says{func(drill.Live) (drill.Truth, string) { return f(), "Only 1 pod is ready." }}
	}
	known := func(after time.Duration, then drill.Truth) func(begun time.Time) drill.Condition {
		return func(begun time.Time) drill.Condition {
			return truth(func() drill.Truth {
				if time.Since(begun) < after {
					return drill.Unknown
				}
				return then
			})
		}
	}
	until := func(end time.Duration) func(begun time.Time) drill.Condition {
		return func(begun time.Time) drill.Condition {
			return truth(func() drill.Truth {
				if time.Since(begun) < end {
					return drill.True
				}
				return drill.False
			})
		}
	}
	for name, tc := range map[string]struct {
		condition func(begun time.Time) drill.Condition
		verdict   drill.Verdict
		text      string
		took      time.Duration // until the run is refused
		told      int           // how often it is judged
	}{
		"holds":                         {known(0, drill.True), drill.VerdictPassed, "", 0, 2},
		"holds as soon as it is read":   {known(7*time.Second, drill.True), drill.VerdictPassed, "", 0, 2},
		"does not hold":                 {known(0, drill.False), drill.VerdictRefused, "The precondition caught_up does not hold: Only 1 pod is ready. Nothing was injected.", 0, 1},
		"does not hold once it is read": {known(7*time.Second, drill.False), drill.VerdictRefused, "does not hold", 7 * time.Second, 1},
		"is never read":                 {known(time.Hour, drill.True), drill.VerdictRefused, "cannot be judged, because something in it had no reading within 30s", 30 * time.Second, 1},
		"breaks before the fault":       {until(3 * time.Second), drill.VerdictRefused, "does not hold", 5 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w, told := newWorld(), new(rulings)
				c := w.config()
				c.Observers = []Observer{told}
				c.Drill.Aborts = nil
				begun := time.Now()
				c.Drill.Preconditions = []drill.Rule{{Name: "caught_up", Condition: tc.condition(begun)}}
				rep := Run(t.Context(), c)
				w.checkClean(t)
				require.Equal(t, tc.verdict, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				require.Equal(t, tc.verdict == drill.VerdictRefused, w.killedAt.IsZero())
				require.Len(t, told.changes, tc.told)
				for _, change := range told.changes {
					require.Equal(t, drill.RulePrecondition, change.Kind)
				}
				if tc.verdict == drill.VerdictRefused {
					require.Equal(t, "precondition", rep.Run.Reasons[0].Code)
					require.Contains(t, rep.Run.Reasons[0].Text, tc.text)
					require.InDelta(t, tc.took.Seconds(), time.Since(begun).Seconds(), 0.3)
				}
				for _, o := range rep.Objectives {
					require.NotEqual(t, "caught_up", o.Name, "a precondition is no objective")
				}
			})
		})
	}
}

// TestAPreconditionComesBeforeTheSteadyState: one that does not hold is not waited for, whatever else is amiss.
func TestAPreconditionComesBeforeTheSteadyState(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w, o := newWorld(), new(witness)
		c := w.config()
		c.Observers = []Observer{o}
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "never", Condition: when(func() bool { return false })}}
		c.Drill.Preconditions = []drill.Rule{{Name: "caught_up", Condition: when(func() bool { return false })}}
		rep := Run(t.Context(), c)
		require.Equal(t, "precondition", rep.Run.Reasons[0].Code)
		require.NotContains(t, o.steps, drill.StepSteady)
		require.Contains(t, o.steps, drill.StepConditions)
		w.checkClean(t)
	})
}

// TestTheGuardIsAskedWhenItMatters: over all plans before anything is made, and whether all is quiet once more at last.
func TestTheGuardIsAskedWhenItMatters(t *testing.T) {
	no := &drill.Refusal{Code: "guard", Text: "The alert DatabaseDown fires"}
	for name, tc := range map[string]struct {
		allows error
		quiet  []error // by question
		asked  int
		calls  string // that must not have come
	}{
		"all is well":            {nil, []error{nil, nil}, 2, ""},
		"too much":               {no, []error{nil, nil}, 0, "prepare"},
		"an alert fires":         {nil, []error{no}, 1, "prepare"},
		"an alert fires by then": {nil, []error{nil, no}, 2, "recheck"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld()
				c := w.config()
				asked := 0
				c.Guard = bounds{func(plans []drill.FaultPlan) error { require.Len(t, plans, 1); return tc.allows },
					func() error { asked++; return tc.quiet[asked-1] }}
				rep := Run(t.Context(), c)
				require.Equal(t, tc.asked, asked)
				w.checkClean(t)
				if tc.calls == "" {
					require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
					return
				}
				require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
				require.Equal(t, "guard", rep.Run.Reasons[0].Code)
				require.NotContains(t, w.calls, tc.calls)
				require.True(t, w.killedAt.IsZero())
			})
		})
	}
}

// TestTheSteadyStateHoldsAfterTheGuardWasAsked: to ask may take its time, and a fault never meets a target that is not whole.
func TestTheSteadyStateHoldsAfterTheGuardWasAsked(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		asked, whole := 0, true
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "whole", Condition: when(func() bool { return whole })}}
		c.Guard = bounds{func([]drill.FaultPlan) error { return nil }, func() error {
			if asked++; asked == 2 {
				time.Sleep(5 * time.Second)
				whole = false
			}
			return nil
		}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.Contains(t, rep.Run.Reasons[0].Text, "a replica is not ready")
		require.True(t, w.killedAt.IsZero())
		w.checkClean(t)
	})
}

// TestTheRunsOwnValues are there from the start, and of the fault from the first injection.
func TestTheRunsOwnValues(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		c := s.config()
		var before, final drill.Live
		c.Drill.SteadyState.Asserts = []drill.Rule{{Name: "look", Condition: says{func(v drill.Live) (drill.Truth, string) { before = v; return drill.True, "" }}}}
		c.Drill.Asserts = []drill.Rule{{Name: "look", Condition: says{func(v drill.Live) (drill.Truth, string) { final = v; return drill.True, "" }}}}
		s.hooks["cut: confirm"] = func(context.Context) error { return nil }
		begun := time.Now()
		Run(t.Context(), c)
		require.InDelta(t, 5, before["run"][""]["elapsed_seconds"], 0.2)
		require.NotContains(t, before["run"][""], "fault_seconds")
		require.InDelta(t, time.Since(begun).Seconds(), final["run"][""]["elapsed_seconds"], 1)
		require.InDelta(t, time.Since(s.killedAt).Seconds(), final["run"][""]["fault_seconds"], 1, "since the first of them")
	})
}
