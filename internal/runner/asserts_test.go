package runner

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// gauge is a numeric probe; it reads what the test says.
type gauge struct{ read func() (float64, bool) }

func (gauge) Info() drill.ProbeInfo {
	return drill.ProbeInfo{Name: "pods", Kind: "kubernetes", Class: drill.ClassPooled, Interval: 500 * time.Millisecond,
		Deadline: time.Second, Sessions: 2, Value: "ready_endpoints", Least: true}
}

func (g gauge) Sample(_ context.Context, s *drill.Sample) {
	s.Outcome = drill.OutcomeOK
	s.Value, s.Valued = g.read()
}

// says is a condition of which the test sees the values.
type says struct {
	about func(drill.Live) (drill.Truth, string)
}

func (s says) Evaluate(live drill.Live) (drill.Truth, string) { return s.about(live) }
func (says) String() string                                   { return "the condition" }

func TestAssertsAreJudgedOnceOverTheFinalValues(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		c.Probes = []drill.Probe{gauge{func() (float64, bool) {
			if w.primary() == "" {
				return 2, true
			}
			return 3, true
		}}}
		judged := 0
		c.Drill.Asserts = []drill.Rule{
			{Name: "assert_1", Condition: says{func(v drill.Live) (drill.Truth, string) {
				judged++
				require.InDelta(t, 8, v["target"]["orders"]["outage_seconds"], 0.1, "the whole outage, which is over")
				require.Equal(t, 2.0, v["probe"]["pods"]["ready_endpoints"], "the least, which is past")
				require.Contains(t, w.calls, "readback")
				return drill.True, ""
			}}},
			{Name: "assert_2", Condition: says{func(drill.Live) (drill.Truth, string) { return drill.False, "It was too much." }}},
		}
		rep := Run(t.Context(), c)
		require.Equal(t, 1, judged)
		require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
		require.Equal(t, []drill.Reason{{Code: "objective_missed", Objective: "assert_2", Cause: drill.CauseDetect, Text: "It was too much."}}, rep.Run.Reasons)
		require.Equal(t, drill.ObjectiveReport{Name: "assert_1", Condition: "the condition", JudgedBy: "condition", Met: true}, rep.Objectives[2])
		w.checkClean(t)
	})
}

// TestAssertsOfARunThatWasCutShort: it did not get to the end, so nothing is known of it.
func TestAssertsOfARunThatWasCutShort(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.outage = time.Hour
		c := w.config()
		c.Drill.Asserts = []drill.Rule{{Name: "assert_1", Condition: says{func(drill.Live) (drill.Truth, string) { return drill.True, "" }}}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictAborted, rep.Run.Verdict)
		for _, o := range rep.Objectives {
			require.NotEqual(t, "assert_1", o.Name)
		}
		w.checkClean(t)
	})
}

// TestAProbeThatDoesNotWorkRefuses: what cannot be watched before the fault cannot be judged after it.
func TestAProbeThatDoesNotWorkRefuses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		c.Probes = []drill.Probe{gauge{func() (float64, bool) { return 0, false }}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
		require.Contains(t, rep.Run.Reasons[0].Text, "the probe pods has no reading")
		require.NotContains(t, w.calls, "inject")
		w.checkClean(t)
	})
}

// TestAbortWhileRedundancyIsAwaited: an abort condition may fire as long as something is watched.
func TestAbortWhileRedundancyIsAwaited(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.config()
		begun := time.Now()
		late := func() bool { return time.Since(begun) > 75*time.Second } // recovered and reverted, and orders-0 not seen to be back
		w.stayAway = true
		c.Drill.Aborts = []drill.Rule{{Name: "late", Condition: says{func(drill.Live) (drill.Truth, string) {
			if late() {
				return drill.True, "It is late."
			}
			return drill.False, ""
		}}}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictAborted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.True(t, rep.Abort.Fired)
		require.Less(t, time.Since(begun), 80*time.Second)
		require.False(t, math.IsInf(float64(rep.Recovery.Estimate.Estimate), 1))
		w.checkClean(t)
	})
}

// TestInterruptWhileRedundancyIsAwaited: whoever does not wait for the end has no verdict on it.
func TestInterruptWhileRedundancyIsAwaited(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.stayAway = true
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(80 * time.Second); cancel(errors.New("interrupt")) }() // recovered and reverted
		rep := Run(ctx, w.config())
		require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.False(t, math.IsInf(float64(rep.Recovery.Estimate.Estimate), 1))
		w.checkClean(t)
	})
}
