package bank

import (
	"context"
	"errors"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// fail lets a step of the run end with an error.
func fail(step string, err error) func(context.Context, *world, string) error {
	return func(_ context.Context, _ *world, what string) error {
		if what == step {
			return err
		}
		return nil
	}
}

// dawdle makes storing the undo take so long.
func dawdle(long time.Duration) func(context.Context, *world, string) error {
	return func(ctx context.Context, _ *world, what string) error {
		if what == "journal" {
			select {
			case <-time.After(long):
			case <-ctx.Done():
			}
		}
		return nil
	}
}

// invalidRows are set-ups of which no run can tell, and drill must say so.
func invalidRows() []row {
	return []row{
		v(201, "drill's own slots are sent 50 ms late, 5 % of them", void("late_prober"),
			clean(2.2).with(func(s *script) {
				s.starved = func(w *world, _ at) float64 {
					if w.chance(0.05) {
						return 0.05
					}
					return 0
				}
			})),
		v(203, "drill did not run for 8 s", void("unsent_slots"), clean(2.2).with(func(s *script) { s.stopped = [2]at{20, 28} })),
		v(205, "drill did not run for 0.9 s at 50 s, limit 30 s: a relapse in it is possible", void("undecided"),
			clean(2.2).with(func(s *script) { s.stopped = [2]at{50, 50.9} })),
		v(207, "drill did not run for 0.9 s at 15 s, limit 30 s: in time in any case", passed(2.2, drill.OutcomeFailedOver).and(upper(15.9)),
			clean(2.2).with(func(s *script) { s.stopped = [2]at{15, 15.9} })),
		v(209, "the timeout ends the run 9 s after clients were back", void("observation_too_short"), clean(2.2).with(func(s *script) { s.timeout = 21.8 })),
		v(211, "the timeout ends the run 20 s after clients were back, and an impact may come after 60 s", void("observation_too_short"),
			clean(2.2).with(func(s *script) { s.timeout = 33 })),
		v(213, "the fault cannot be shown to bite", void("fault_unconfirmed"), script{spared: true, hook: fail("confirm", drill.ErrNotConfirmed)}),
		v(215, "writes had failed for 3 s when the fault came", void("already_down"), clean(5).with(func(s *script) {
			s.hook = dawdle(3 * time.Second)
			s.pooled = func(w *world, _ at, r reply) reply {
				if since := w.sinceArmed(); since >= 0 && since < 8 {
					return fails(drill.SignalRefused)
				}
				return r
			}
		})),
		v(217, "one reset 0.1 s before the fault, long over; nobody misses the primary", passed(0, drill.OutcomeNoImpact), clean(0).with(func(s *script) {
			s.spared, s.hook = true, dawdle(100*time.Millisecond)
			s.pooled = func(w *world, _ at, r reply) reply {
				if since := w.sinceArmed(); since >= 0 && since < 0.02 {
					return fails(drill.SignalReset)
				}
				return r
			}
		})),
		v(219, "the machine was suspended", void("machine_slept"), clean(2.2).with(func(s *script) { s.slept = 10 })),
		v(221, "the second of two faults is never injected, for the timeout is up", void("timeout"),
			script{faults: []float64{80}, leads: twice(2.2, 80, 2.2), pooled: out([2]at{0, 2.2}), timeout: 60}),
		v(223, "Ctrl-C while clients are out", truth{verdict: drill.VerdictInterrupted, code: "interrupted"}, clean(8).with(func(s *script) { s.interrupt = 15 })),
		v(225, "drill itself fails", truth{verdict: drill.VerdictError, code: "error"}, clean(2.2).with(func(s *script) { s.hook = fail("inject", errors.New("boom")) })),
	}
}

// upper claims what clients waited for at worst.
func upper(seconds float64) func(*truth) {
	return func(w *truth) {
		w.holds = func(rep drill.Report) string {
			if got := float64(rep.Recovery.Upper); got < seconds {
				return "at worst clients were back only when drill ran again"
			}
			return ""
		}
	}
}

// refusedRows are set-ups that must not be drilled.
func refusedRows() []row {
	refused := func(code string, cause drill.Cause) truth {
		return truth{verdict: drill.VerdictRefused, code: code, cause: cause}
	}
	return []row{
		v(301, "writes fail before the fault", refused("not_steady", drill.CauseNone), script{leads: func(at) string { return "" }}),
		v(303, "a stream is black-holed before the fault", refused("not_steady", drill.CauseNone).and(saying("behind")), clean(2.2).with(func(s *script) {
			s.lag = func(string, at) float64 { return 1e9 }
		})),
		v(305, "the victim is another one by now", refused("victim_changed", drill.CauseNone), clean(2.2).with(func(s *script) { s.hook = fail("recheck", drill.ErrVictimChanged) })),
		v(307, "a disruption budget allows no eviction", refused("evictions_refused", drill.CauseNone), clean(2.2).with(func(s *script) {
			s.spared = true
			s.hook = fail("inject", &drill.Refusal{Code: "evictions_refused", Text: "The budget allows none."})
		})),
		v(309, "two members call themselves primary before the fault", refused("not_steady", drill.CauseNone).and(saying("primary")), script{spared: true, second: func(at) bool { return true }}),
		v(311, "1 of 5 writes fails before the fault", refused("not_steady", drill.CauseNone), clean(2.2).with(func(s *script) {
			s.pooled = brownOut(0.2, -forever-1, forever)
			s.steady = []drill.Rule{{Name: "served", Condition: compares{"target", "orders", "success_ratio", true, 0.99}}}
		})),
	}
}
