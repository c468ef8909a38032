package bank

import (
	"slices"
	"testing"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestVirtual plays the rows that need no server, milliseconds each.
func TestVirtual(t *testing.T) {
	var s sheet
	s.run(t, virtualRows())
	t.Logf("\n%s", &s)
}

// virtualRows are all that need no server.
func virtualRows() []row {
	return slices.Concat(goodRows(), badRows(), lateRows(), nearRows(), silentRows(), splitRows(), invalidRows(), refusedRows(), serviceRows())
}

// passed is the truth of a good set-up in which clients were back after so long.
func passed(back float64, outcome drill.RecoveryOutcome) truth {
	return truth{verdict: drill.VerdictPassed, back: back, outcome: outcome}
}

// missed is the truth of a bad one that misses an objective.
func missed(objective string, cause drill.Cause, back float64) truth {
	return truth{verdict: drill.VerdictFailed, code: "objective_missed " + objective, cause: cause, back: back}
}

// void is the truth of one of which no run can tell.
func void(code string) truth { return truth{verdict: drill.VerdictInvalid, code: code} }

func (w truth) and(change func(*truth)) truth { change(&w); return w }

func finding(finding string) func(*truth) { return func(w *truth) { w.finding = finding } }
func saying(text string) func(*truth)     { return func(w *truth) { w.says = text } }

// late makes a share of the writes through the Service take so long, before the fault and after it.
func late(before, after, seconds float64) func(*world, at, reply) reply {
	return func(w *world, t at, r reply) reply {
		p := before
		if t >= 0 {
			p = after
		}
		if r.signal == "" && w.chance(p) {
			r.after = seconds
		}
		return r
	}
}

// out lets requests fail in each of the stretches, from and to.
func out(stretches ...[2]at) func(*world, at, reply) reply {
	return func(_ *world, t at, r reply) reply {
		for _, s := range stretches {
			if t >= s[0] && t < s[1] {
				return fails(drill.SignalRefused)
			}
		}
		return r
	}
}

// slower makes every answer from a moment on take so long.
func slower(from at, seconds float64) func(*world, at, reply) reply {
	return func(_ *world, t at, r reply) reply {
		if t >= from && r.signal == "" {
			r.after = seconds
		}
		return r
	}
}

func limit(name string, value float64) map[string]float64 { return map[string]float64{name: value} }

// clean is a failover that is over for clients after so many seconds.
func clean(back at) script { return script{back: back} }

func (s script) with(change func(*script)) script { change(&s); return s }

func v(number int, setup string, w truth, s script) row {
	return row{number: number, lab: virtual, setup: setup, truth: w, play: s.play}
}

// blips is a claim on how many blips a report counts.
func someBlips(rep drill.Report) string {
	if rep.Recovery.Blips.Count == 0 {
		return "no blip is counted"
	}
	return ""
}

func oneChange(rep drill.Report) string {
	if rep.Primaries == nil || rep.Primaries.LeaderChanges != 1 || rep.Primaries.DualPrimary != 0 || rep.Primaries.EpochForks != 0 {
		return "leadership changed once, and nobody led beside another"
	}
	return ""
}

func upWithin40(rep drill.Report) string {
	if rep.Recovery.UpWithin > 0.06 {
		return "L is learnt from the hold alone, in which every answer took 2 ms"
	}
	return ""
}

// goodRows are set-ups of which nothing is wrong, by their objectives.
func goodRows() []row {
	return []row{
		v(1, "clean failover, back after 2.2 s", passed(2.2, drill.OutcomeFailedOver).and(func(w *truth) { w.holds = oneChange }), clean(2.2)),
		v(3, "the same; 0.1 % of the answers take 45 ms", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) { s.pooled = late(0.001, 0.001, 0.045) })),
		v(5, "the same; 1 % of the answers take 300 ms", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) { s.pooled = late(0.01, 0.01, 0.3) })),
		v(7, "the same; a cold cache: 0.2 % late before, 0.8 % after", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) { s.pooled = late(0.002, 0.008, 0.045) })),
		v(9, "the same; a lock of 60 ms every 4 s after the fault", passed(2.2, drill.OutcomeFailedOver).and(func(w *truth) { w.holds = someBlips }),
			clean(2.2).with(func(s *script) {
				s.pooled = func(_ *world, t at, r reply) reply {
					if phase := t - 4*float64(int(t/4)); t > 3 && phase < 0.06 {
						r.after += 0.06 - phase
					}
					return r
				}
			})),
		v(11, "the same; one answer of 45 ms at 55 s", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) {
				s.pooled = func(_ *world, t at, r reply) reply {
					if t >= 55 && t < 55.02 {
						r.after = 0.045
					}
					return r
				}
			})),
		v(13, "handover in good order: writes refused for 0.4 s", passed(0.4, drill.OutcomeFailedOver), clean(0.4)),
		v(15, "the primary is cut off; nobody misses it (failsafe)", passed(0, drill.OutcomeNoImpact).and(finding("not_failed_over")), script{spared: true}),
		v(17, "the primary is back in place after 4 s", passed(4, drill.OutcomeRestartedInPlace),
			script{leads: onlyFirst(4), pooled: out([2]at{0, 4}), fresh: out([2]at{0, 4})}),
		v(39, "the same, though it was to be kept away for 45 s", passed(4, drill.OutcomeRestartedInPlace).and(finding("not_failed_over")),
			script{holdDown: 45, leads: onlyFirst(4), pooled: out([2]at{0, 4}), fresh: out([2]at{0, 4})}),
		v(19, "late impact: the old primary serves for 20 s, then 5 s without", passed(25, drill.OutcomeFailedOver),
			script{detected: 22, promoted: 24, routed: 24.5, back: 25, leads: func(t at) string {
				switch {
				case t < 20:
					return "orders-0"
				case t < 25:
					return ""
				}
				return "orders-1"
			}}),
		v(21, "slow answers and lag for 6 s before the hold, then all well", passed(2.2, drill.OutcomeFailedOver).and(func(w *truth) { w.holds = upWithin40 }),
			clean(2.2).with(func(s *script) {
				s.steady = []drill.Rule{{Name: "old", Condition: compares{"run", "", "elapsed_seconds", true, 6}}}
				s.pooled = func(w *world, _ at, r reply) reply {
					if w.age() < 6 && r.signal == "" {
						r.after = 0.5
					}
					return r
				}
			})),
		v(23, "a relapse of 0.2 s at 40 s: less than a blip", passed(2.2, drill.OutcomeFailedOver).and(func(w *truth) { w.holds = someBlips }),
			clean(2.2).with(func(s *script) { s.pooled = out([2]at{40, 40.2}) })),
		v(25, "a relapse of 1 s at 15 s, limit 30 s", passed(16, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) { s.pooled = out([2]at{15, 16}) })),
		v(27, "5 answers to the old primary's writes come 0.6 s after the handover", passed(0, "").and(func(w *truth) { w.holds = oneChange }),
			script{leads: handovers(1), pooled: func(_ *world, t at, r reply) reply {
				if t >= 0.9 && t < 1 {
					r.after = 0.7
				}
				return r
			}}),
		v(29, "a neighbour's last answers are late; asserted on its outage", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) {
				s.bystander = func(_ *world, t at, r reply) reply {
					if t > 60 && int(t*20)%7 == 0 {
						r.after = 0.3
					}
					return r
				}
				s.asserts = []drill.Rule{{Name: "side", Condition: compares{"probe", "side", "outage_seconds", false, 10}}}
			})),
		v(31, "two faults 80 s apart, back after 2.2 s each; limit 100 s for both", passed(0, drill.OutcomeFailedOver),
			script{faults: []float64{80}, leads: twice(2.2, 80, 2.2), objectives: map[string]float64{drill.ObjectiveLeaderChanges: 2, drill.ObjectiveRecoveryTime: 100},
				pooled: out([2]at{0, 2.2}, [2]at{80, 82.2}), fresh: out([2]at{0, 2.2}, [2]at{80, 82.2})}),
		v(33, "3 s in which drill itself was stopped, long after the recovery; limit 50 s", passed(2.2, drill.OutcomeFailedOver).and(
			func(w *truth) { w.back = 0 }), clean(2.2).with(func(s *script) {
			s.stopped = [2]at{30, 33}
			s.objectives = limit(drill.ObjectiveRecoveryTime, 50)
		})),
		v(35, "unavailable = 3 s, and 2.2 s it was", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) { s.objectives = limit(drill.ObjectiveUnavailable, 3) })),
		v(37, "failed_over = true, and so it did", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) { s.objectives = limit(drill.ObjectiveFailedOver, 1) })),
	}
}

// onlyFirst is a primary that leads again in its place.
func onlyFirst(back at) func(at) string {
	return func(t at) string {
		if t >= 0 && t < back {
			return ""
		}
		return "orders-0"
	}
}

// twice is leadership that goes on to the next member at each of two faults.
func twice(back, second, again at) func(at) string {
	return func(t at) string {
		switch {
		case t < 0:
			return "orders-0"
		case t < back:
			return ""
		case t < second:
			return "orders-1"
		case t < second+again:
			return ""
		}
		return "orders-2"
	}
}
