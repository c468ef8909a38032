package runner

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/test/bubble"
)

// TestNothingAbortsARunWhoseEndIsDecided: slots that are still under way come home after that, and faults are put back. A
// report that calls a passed run aborted, too, would be believed by nobody.
func TestNothingAbortsARunWhoseEndIsDecided(t *testing.T) {
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		want drill.Verdict
		set  func(w *world, c *Config, late func(), cancel context.CancelCauseFunc)
	}{
		"a slot comes home after the last look": {drill.VerdictPassed, func(_ *world, c *Config, late func(), _ context.CancelCauseFunc) {
			c.Sampler = func(ctx context.Context, s drill.Sampling) {
				tickSampler(ctx, s)
				time.Sleep(time.Second)
				late()
				now := s.Clock.Now()
				due := now.Add(-time.Second) // its turn was among those of the others
				s.Sample(drill.Sample{Probe: "orders", Class: drill.ClassPooled, Slot: 1e6, Scheduled: due, Sent: due, Done: now, Outcome: drill.OutcomeBlocked})
			}
		}},
		"after an error": {drill.VerdictError, func(w *world, _ *Config, late func(), _ context.CancelCauseFunc) {
			w.hooks["confirm"] = func(context.Context) error { return boom }
			w.hooks["revert"] = func(context.Context) error { late(); time.Sleep(5 * time.Second); return nil }
		}},
		"after ctrl-c": {drill.VerdictInterrupted, func(w *world, _ *Config, late func(), cancel context.CancelCauseFunc) {
			w.hooks["confirm"] = func(ctx context.Context) error {
				cancel(boom)
				late()
				time.Sleep(5 * time.Second) // it takes a while to give up
				return ctx.Err()
			}
		}},
		"after the drill's timeout": {drill.VerdictFailed, func(w *world, c *Config, late func(), _ context.CancelCauseFunc) {
			c.Drill.Timeout, w.outage = time.Minute, time.Hour
			w.hooks["revert"] = func(context.Context) error { late(); time.Sleep(5 * time.Second); return nil }
			w.hooks["held"] = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				c := w.config()
				ill := false
				c.Drill.Aborts = []drill.Rule{{Name: "ill", Condition: when(func() bool { return ill })}}
				tc.set(w, &c, func() { ill = true }, cancel)
				rep := Run(ctx, c)
				require.Equal(t, tc.want, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				require.True(t, ill)
				require.False(t, rep.Abort.Fired)
				w.checkClean(t)
			})
		})
	}
}

// TestAnEndIsNoBreak: a fault that was being asked whether it lasted when the run was interrupted has not broken off.
func TestAnEndIsNoBreak(t *testing.T) {
	for name, slow := range map[string]bool{"while watching": false, "while the next one is injected": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newStage()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				c := s.config()
				if slow {
					c.Faults[1].After = 40 * time.Second
					s.hooks["cut: inject"] = func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Second); return ctx.Err() }
				}
				s.hooks["held"] = func(ctx context.Context) error {
					cancel(errors.New("interrupt"))
					<-ctx.Done()
					return ctx.Err()
				}
				rep := Run(ctx, c)
				require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
				require.True(t, rep.Faults[0].Confirmed, "nobody has said that it broke off")
				s.checkClean(t)
			})
		})
	}
}

// TestAPanicLeavesNothingUnderWay: what is being injected has ended before the clean-up begins, also when drill itself fails.
func TestAPanicLeavesNothingUnderWay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := newStage()
		c := s.config()
		c.Faults[1].After = 40 * time.Second
		s.hooks["held"] = func(context.Context) error { panic("boom") }
		over := false
		s.hooks["cut: inject"] = func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(3 * time.Second)
			over = true
			return ctx.Err()
		}
		s.hooks["cut: revert"] = func(context.Context) error { require.True(t, over); return nil }
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictError, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.Equal(t, []string{"reverted cut", "reverted orders"}, s.notes[len(s.notes)-2:])
		s.checkClean(t)
	})
}

// TestAPanicInARevertIsResidue, and keeps no other fault from being reverted.
func TestAPanicInARevertIsResidue(t *testing.T) {
	for name, interrupted := range map[string]bool{"when its time is up": false, "at the end": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newStage()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if interrupted {
					go func() { time.Sleep(30 * time.Second); cancel(errors.New("interrupt")) }() // both are there
				}
				s.hooks["cut: revert"] = func(context.Context) error { panic("boom") }
				rep := Run(ctx, s.config())
				require.True(t, rep.Faults[0].Reverted)
				require.False(t, rep.Faults[1].Reverted)
				require.Len(t, rep.Faults[1].Residue, 1)
				require.Contains(t, rep.Faults[1].Residue[0], "boom")
				require.True(t, rep.HasResidue())
				s.world.checkClean(t)
			})
		})
	}
}

// TestAPanicWhenTheTargetIsClosed: the locks are given back, and the report comes.
func TestAPanicWhenTheTargetIsClosed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hooks["close"] = func(context.Context) error { panic("boom") }
		rep := Run(t.Context(), w.config())
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
		require.True(t, slices.ContainsFunc(rep.Findings, func(f drill.Finding) bool { return f.Code == "ledger_left" }))
		w.checkClean(t)
	})
}

// TestWhatWasNeverTriedWasNotReverted: a machine may stand still for as long as a revert has.
func TestWhatWasNeverTriedWasNotReverted(t *testing.T) {
	w := newWorld()
	c := w.config()
	r := &run{Config: c, clock: drill.StartClock(), live: measure.NewLive(c.Settings)}
	r.Recorder = &plain{}
	w.hooks["revert"] = func(ctx context.Context) error { return ctx.Err() }
	late, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, r.revert(late, &plannedFault{BoundFault: c.Faults[0]}))
}
