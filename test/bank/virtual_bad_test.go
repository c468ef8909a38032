package bank

import (
	"fmt"
	"time"

	"github.com/failoverdrill/drill/internal/drill"
)

// badRows are set-ups of which one thing is wrong, by their objectives: clients are not served again in time, or
// something is not as it was.
func badRows() []row {
	recovery, never := drill.ObjectiveRecoveryTime, never
	return []row{
		v(41, "every write takes 0.5 s for ever after the fault; nobody fails over", missed(recovery, drill.CauseServe, never),
			script{spared: true, pooled: slower(0, 0.5), fresh: slower(0, 0.5)}),
		v(43, "the new primary answers every write in 60 ms", missed(recovery, drill.CauseServe, never).and(saying("ever since")),
			clean(2.2).with(func(s *script) { s.pooled, s.fresh = slower(0, 0.06), slower(0, 0.25) })),
		v(45, "no client that connects anew can, for ever", missed(recovery, drill.CauseFresh, 0),
			clean(2.2).with(func(s *script) { s.fresh = out([2]at{0, forever}) })),
		v(47, "the same for 50 s, limit 30 s", missed(recovery, drill.CauseFresh, 0),
			clean(2.2).with(func(s *script) { s.fresh = out([2]at{0, 50}) })),
		v(49, "half of the new sessions are led to a replica, for ever", missed(recovery, drill.CauseFresh, 0),
			clean(2.2).with(func(s *script) {
				s.fresh = func(w *world, t at, r reply) reply {
					if t >= 2.2 && w.chance(0.5) {
						return reply{by: "orders-0", after: 0.005, signal: drill.SignalReadOnly}
					}
					return r
				}
			})),
		v(51, "a relapse of 1 s at 40 s, limit 30 s", missed(recovery, drill.CauseRelapse, 41).and(saying("again")),
			clean(2.2).with(func(s *script) { s.pooled = out([2]at{40, 41}) })),
		v(53, "a relapse of 0.3 s at 40 s, limit 30 s", missed(recovery, drill.CauseRelapse, 40.3),
			clean(2.2).with(func(s *script) { s.pooled = out([2]at{40, 40.3}) })),
		v(55, "the same, blip = 0.5 s: less than a blip", passed(2.2, drill.OutcomeFailedOver),
			clean(2.2).with(func(s *script) { s.pooled, s.blip = out([2]at{40, 40.3}), 0.5 })),
		v(57, "out again for 0.4 s every 9 s, for ever", missed(recovery, drill.CauseRelapse, never),
			clean(2.2).with(func(s *script) {
				s.pooled = func(_ *world, t at, r reply) reply {
					if t > 3 && t-9*float64(int(t/9)) < 0.4 {
						return fails(drill.SignalRefused)
					}
					return r
				}
			})),
		v(59, "brown-out: 30 % of the writes are refused, for ever", missed(recovery, drill.CauseServe, never),
			clean(2.2).with(func(s *script) { s.pooled = brownOut(0.3, 2.2, forever) })),
		v(61, "brown-out: 10 % are refused, for ever", missed(recovery, drill.CauseServe, never),
			clean(2.2).with(func(s *script) { s.pooled = brownOut(0.1, 2.2, forever) })),
	}
}

// lateRows are those in which clients are served again too late, or something is not as it was, by one step of the
// takeover.
func lateRows() []row {
	recovery, never := drill.ObjectiveRecoveryTime, never
	return []row{
		v(63, "noticed after 40 s", missed(recovery, drill.CauseDetect, 45), script{detected: 40, promoted: 42, routed: 44, back: 45}),
		v(65, "noticed after 5 s, taken over after 40 s", missed(recovery, drill.CausePromote, 45), script{detected: 5, promoted: 40, routed: 43, back: 45}),
		v(67, "taken over after 8 s, routed after 40 s", missed(recovery, drill.CauseRoute, 41), script{detected: 5, promoted: 8, routed: 40, back: 41}),
		v(69, "routed after 9 s, serves after 40 s", missed(recovery, drill.CauseServe, 40), script{detected: 5, promoted: 8, routed: 9, back: 40}),
		v(71, "the old primary serves until its ttl of 40 s, then 5 s without", missed(recovery, drill.CauseDetect, 45),
			script{detected: 42, promoted: 44, routed: 44.5, back: 45, leads: func(t at) string {
				switch {
				case t < 40:
					return "orders-0"
				case t < 45:
					return ""
				}
				return "orders-1"
			}}),
		v(73, "nobody ever notices", missed(recovery, drill.CauseDetect, never),
			script{detected: forever, promoted: forever, routed: forever, back: forever, rejoin: forever}),
		v(75, "noticed, and nobody ever takes over", missed(recovery, drill.CausePromote, never),
			script{detected: 5, promoted: forever, routed: forever, back: forever, rejoin: forever}),
		v(77, "taken over, and clients are never led there", missed(recovery, drill.CauseRoute, never),
			script{detected: 5, promoted: 8, routed: forever, back: forever, rejoin: forever}),
		v(79, "clients stay with the old primary, which is a replica by now", missed(recovery, drill.CauseRoute, never), script{
			detected: 1, promoted: 2, routed: forever, back: forever, rejoin: 1,
			pooled: readOnly(2), fresh: readOnly(2)}),
		v(81, "the timeout ends it while clients are still out", missed(recovery, drill.CauseDetect, never),
			script{detected: forever, promoted: forever, routed: forever, back: forever, rejoin: forever, timeout: 90}),
		v(83, "an abort condition ends it after 20 s without a write", truth{verdict: drill.VerdictAborted, code: "abort_condition", cause: drill.CauseDetect},
			script{detected: forever, promoted: forever, routed: forever, back: forever, rejoin: forever,
				aborts: []drill.Rule{{Name: "outage", Condition: compares{"target", "orders", "outage_seconds", true, 20}}}}),
		v(85, "the old primary never comes back", missed(drill.ObjectiveRedundancyTime, drill.CauseMembership, 2.2),
			clean(2.2).with(func(s *script) { s.rejoin = forever })),
		v(87, "the old primary comes back in place, failed_over = true", missed(drill.ObjectiveFailedOver, drill.CausePromote, 4),
			script{leads: onlyFirst(4), pooled: out([2]at{0, 4}), fresh: out([2]at{0, 4}), objectives: limit(drill.ObjectiveFailedOver, 1)}),
		v(89, "nobody misses the primary, failed_over = true", missed(drill.ObjectiveFailedOver, drill.CausePromote, 0),
			script{spared: true, objectives: limit(drill.ObjectiveFailedOver, 1)}),
		v(91, "0.1 s without a write, unavailable = 0 s", missed(drill.ObjectiveUnavailable, drill.CauseServe, 0),
			script{spared: true, pooled: out([2]at{5, 5.1}), objectives: limit(drill.ObjectiveUnavailable, 0)}),
		v(93, "no replica can be read from the fault to the end; asserted on lag",
			truth{verdict: drill.VerdictFailed, code: "objective_missed lag", cause: drill.CauseLag}, script{spared: true,
				pinned: func(_ *world, m string, t at, r reply) reply {
					if t >= 0 && m != "orders-0" {
						return fails(drill.SignalUnreach)
					}
					return r
				},
				objectives: limit(drill.ObjectiveRedundancyTime, -1),
				asserts:    []drill.Rule{{Name: "lag", Condition: compares{"target", "orders", "lag_seconds", false, 1}}}}),
		v(95, "two faults 80 s apart: back from the second after 40 s, limit 100 s for both", missed(recovery, drill.CausePromote, 0).and(func(w *truth) {
			w.holds = func(rep drill.Report) string { return ofFault(rep, 1, 40) }
		}),
			script{faults: []float64{80}, leads: twice(2.2, 80, 35), objectives: map[string]float64{drill.ObjectiveLeaderChanges: 2, recovery: 100}, views: twoTakeovers,
				pooled: out([2]at{0, 2.2}, [2]at{80, 120}), fresh: out([2]at{0, 2.2}, [2]at{80, 120})}),
	}
}

func outcome(o drill.RecoveryOutcome) func(*truth) { return func(w *truth) { w.outcome = o } }

// nearRows are close to a line of the definition, on either side of it.
func nearRows() []row {
	recovery := drill.ObjectiveRecoveryTime
	failedOver := passed(2.2, drill.OutcomeFailedOver)
	pooled := func(change func(*world, at, reply) reply) script {
		return clean(2.2).with(func(s *script) { s.pooled = change })
	}
	return []row{
		v(121, "brown-out: 5 % are refused, for ever", missed(recovery, drill.CauseServe, never), pooled(brownOut(0.05, 2.2, forever))),
		v(123, "1 % are refused, for ever: blips", failedOver.and(func(w *truth) { w.holds = someBlips }), pooled(brownOut(0.01, 2.2, forever))),
		v(125, "5 % take 60 ms, for ever: slower, and told", failedOver.and(finding("slower_than_before")), pooled(late(0, 0.05, 0.06))),
		v(127, "brown-out: 30 % are refused until 12 s", truth{verdict: drill.VerdictPassed, outcome: drill.OutcomeFailedOver, back: 12}, pooled(brownOut(0.3, 2.2, 12))),
		v(129, "brown-out: half are refused until 40 s, limit 30 s", missed(recovery, drill.CauseServe, 40), pooled(brownOut(0.5, 2.2, 40))),
		v(131, "the new primary takes 60 ms, up_within = 100 ms", failedOver, pooled(slower(0, 0.06)).with(func(s *script) { s.upWithin = 100 * time.Millisecond })),
		v(133, "a relapse of 0.12 s at 40 s, blip = 0.1 s", missed(recovery, drill.CauseRelapse, 40.12), pooled(out([2]at{40, 40.12})).with(func(s *script) { s.blip = 0.1 })),
		v(135, "a relapse of 1 s at 75 s, while a member is still away", missed(recovery, drill.CauseRelapse, 76), pooled(out([2]at{75, 76})).with(func(s *script) { s.rejoin = 90 })),
		v(137, "new clients are out again for 1 s at 50 s, limit 30 s", missed(recovery, drill.CauseFresh, 2.2), clean(2.2).with(func(s *script) { s.fresh = out([2]at{50, 51}) })),
		v(139, "one write a second; back after 2.2 s", failedOver, clean(2.2).with(func(s *script) { s.every = time.Second })),
		v(141, "ten writes a second, 1 % of them late; back after 2.2 s", failedOver,
			pooled(late(0.01, 0.01, 0.25)).with(func(s *script) { s.every = 100 * time.Millisecond })),
	}
}

// silentRows are those of what is easily overlooked: who cannot be read, what no objective asks for, when an abort
// fires.
func silentRows() []row {
	recovery := drill.ObjectiveRecoveryTime
	failedOver := passed(2.2, drill.OutcomeFailedOver)
	pooled := func(change func(*world, at, reply) reply) script {
		return clean(2.2).with(func(s *script) { s.pooled = change })
	}
	return []row{
		v(143, "nothing is known of open sessions from 20 s on", void("observation_too_short"), clean(2.2).with(func(s *script) { s.silenced = 20 })),
		v(145, "another member led for 6 s where no client could reach it", missed(drill.ObjectiveLeaderChanges, drill.CauseRelapse, 10), script{
			leads: onlyFirst(10), claims: func(t at) string {
				if t >= 2 && t < 8 {
					return "orders-1"
				}
				return ""
			}}),
		v(147, "96 % are refused, and an abort condition waits for 20 s of it", truth{verdict: drill.VerdictAborted, code: "abort_condition", cause: drill.CauseServe},
			pooled(brownOut(0.96, 2.2, forever)).with(func(s *script) {
				s.aborts = []drill.Rule{{Name: "outage", Condition: compares{"target", "orders", "outage_seconds", true, 20}}}
			})),
		v(149, "the old primary is back only for 0.1 s at a time", missed(drill.ObjectiveRedundancyTime, drill.CauseMembership, 2.2), clean(2.2).with(func(s *script) {
			s.rejoin = 10
			s.pinned = func(_ *world, m string, t at, r reply) reply {
				if m == "orders-0" && t >= 10 && int(t*10)%12 != 0 {
					return fails(drill.SignalRefused)
				}
				return r
			}
		})),
		v(153, "who is connected misses nothing; no new client can connect, for ever", missed(recovery, drill.CauseFresh, 0).and(outcome(drill.OutcomeNoImpact)),
			script{spared: true, fresh: out([2]at{0, forever})}),
		v(155, "the same, and no objective asks", truth{verdict: drill.VerdictFailed, code: "fresh_not_recovered", cause: drill.CauseFresh},
			script{spared: true, fresh: out([2]at{0, forever}), objectives: limit(recovery, -1)}),
		v(157, "nobody ever takes over, and no objective asks", truth{verdict: drill.VerdictFailed, code: "not_recovered", cause: drill.CausePromote},
			script{detected: 5, promoted: forever, routed: forever, back: forever, rejoin: forever, objectives: limit(recovery, -1)}),
		v(159, "out again for good from 40 s on: an abort condition ends it", truth{verdict: drill.VerdictAborted, code: "abort_condition", cause: drill.CauseRelapse},
			pooled(out([2]at{40, forever})).with(func(s *script) {
				s.aborts = []drill.Rule{{Name: "outage", Condition: compares{"target", "orders", "outage_seconds", true, 15}}}
			})),
		v(161, "a member cannot be read in the end, so nobody knows what is lost", missed(drill.ObjectiveLostWrites, drill.CauseLoss, 2.2), clean(2.2).with(func(s *script) {
			s.readBack = func(_ *world, back *drill.ReadBack) { *back = drill.ReadBack{Target: "orders"} }
		})),
		v(163, "unavailable = 2 s, and 2.2 s it was", missed(drill.ObjectiveUnavailable, drill.CauseDetect, 2.2),
			clean(2.2).with(func(s *script) { s.objectives = limit(drill.ObjectiveUnavailable, 2) })),
		v(165, "2 % of the writes are refused, before the fault and after it", failedOver, pooled(brownOut(0.02, -forever-1, forever))),
		v(151, "a black hole of 0.5 s at the fault, then all as before", passed(0.5, drill.OutcomeRestartedInPlace), script{spared: true,
			pooled: func(_ *world, t at, r reply) reply {
				if t >= 0 && t < 0.5 {
					r.after = 0.5 - t
				}
				return r
			}}),
	}
}

// ofFault holds the recovery of one of several faults to the truth.
func ofFault(rep drill.Report, i int, back float64) string {
	if i >= len(rep.Faults) || rep.Faults[i].Recovery == nil {
		return "the fault's own recovery is not told"
	}
	if e := rep.Faults[i].Recovery; back < float64(e.Lower) || back > float64(e.Upper) {
		return fmt.Sprintf("of that fault clients were back after %.2f s, not in [%.2f, %.2f]", back, e.Lower, e.Upper)
	}
	return ""
}

// twoTakeovers are the views of row 95: after the second fault the label leaves soon, and the next one is promoted
// late.
func twoTakeovers(t at) []string {
	switch {
	case t < 1:
		return []string{"orders-0", "orders-0", "orders-0"}
	case t < 2:
		return []string{"", "orders-0", ""}
	case t < 83:
		return []string{"orders-1", "orders-1", "orders-1"}
	case t < 115:
		return []string{"", "orders-1", ""}
	case t < 119:
		return []string{"orders-2", "orders-1", "orders-2"}
	}
	return []string{"orders-2", "orders-2", "orders-2"}
}

// brownOut refuses a share of the requests between two moments.
func brownOut(share float64, from, to at) func(*world, at, reply) reply {
	return func(w *world, t at, r reply) reply {
		if t >= from && t < to && w.chance(share) {
			return fails(drill.SignalRefused)
		}
		return r
	}
}

// readOnly is what a replica answers to writes from a moment on.
func readOnly(from at) func(*world, at, reply) reply {
	return func(_ *world, t at, r reply) reply {
		if t >= from {
			return reply{by: "orders-0", after: 0.002, signal: drill.SignalReadOnly}
		}
		return r
	}
}

// doomed makes what a member acknowledges between two moments go nowhere.
func doomed(member string, from, to at) func(*world, at, reply) reply {
	return func(_ *world, t at, r reply) reply {
		r.lost = r.by == member && t >= from && t < to
		return r
	}
}

// splitRows are those in which writes are lost, or two members take them.
func splitRows() []row {
	lost := drill.ObjectiveLostWrites
	// Clients that were connected stay with the old primary for d seconds; new ones are led to the new one after 1 s.
	split := func(d float64) script {
		beside := func(t at) bool { return t >= 1 && t < d }
		return script{second: beside,
			leads: func(t at) string {
				if t < d {
					return "orders-0"
				}
				return "orders-1"
			},
			fresh: func(_ *world, t at, r reply) reply {
				if t >= 1 {
					r.by = "orders-1"
				}
				return r
			},
			views: func(t at) []string {
				if t < 1 {
					return []string{"orders-0", "orders-0", "orders-0"}
				}
				return []string{"orders-1", "orders-1", "orders-1"}
			},
		}
	}
	none := map[string]float64{drill.ObjectiveLostWrites: -1, drill.ObjectiveRedundancyTime: -1, drill.ObjectiveLeaderChanges: -1}
	allowed := map[string]float64{drill.ObjectiveLostWrites: -1, drill.ObjectiveRedundancyTime: -1, drill.ObjectiveLeaderChanges: -1, drill.ObjectiveDualPrimary: 10}
	strict := map[string]float64{drill.ObjectiveDualPrimary: 0}
	return []row{
		v(101, "two primaries for 17 s, dual_primary = 0 s", missed(drill.ObjectiveDualPrimary, drill.CauseSplit, 0).and(dual(16)),
			split(17).with(func(s *script) { s.objectives, s.pooled = strict, doomed("orders-0", 1, 17) })),
		v(103, "two primaries for 17 s, and no objective says a word of it", truth{verdict: drill.VerdictFailed, code: "two_primaries", cause: drill.CauseSplit}.and(dual(16)),
			split(17).with(func(s *script) { s.objectives = none })),
		v(105, "two primaries for ever; clients stay where they are", truth{verdict: drill.VerdictFailed, code: "two_primaries", cause: drill.CauseSplit},
			split(forever).with(func(s *script) { s.objectives = none })),
		v(107, "two primaries for 4 s, dual_primary = 10 s", passed(0, "").and(dual(3)),
			split(4).with(func(s *script) { s.objectives = allowed })),
		v(109, "the standby was 0.5 s behind when the primary died", missed(lost, drill.CauseLoss, 2.2).and(lostWrites(35, 0.5)),
			clean(2.2).with(func(s *script) {
				s.loses = 0.5
				s.lag = func(_ string, t at) float64 {
					if t < 0 {
						return 0.5
					}
					return 0.003
				}
			})),
		v(111, "the same, lost_writes = 100", passed(2.2, drill.OutcomeFailedOver).and(lostWrites(35, 0.5)),
			clean(2.2).with(func(s *script) {
				s.loses = 0.5
				s.lag = func(_ string, t at) float64 {
					if t < 0 {
						return 0.5
					}
					return 0.003
				}
				s.objectives = limit(lost, 100)
			})),
		v(113, "1 % of what is acknowledged is dropped", missed(lost, drill.CauseLoss, 2.2),
			clean(2.2).with(func(s *script) {
				s.pooled = func(w *world, t at, r reply) reply { r.lost = t > 3 && w.chance(0.01); return r }
				s.objectives = limit(drill.ObjectiveRedundancyTime, -1)
			})),
		v(115, "a write is there twice", truth{verdict: drill.VerdictFailed, code: "duplicate_writes", cause: drill.CauseLoss, back: 2.2},
			clean(2.2).with(func(s *script) {
				s.readBack = func(_ *world, back *drill.ReadBack) {
					n := drill.NumbersOf()
					for seq := range back.Streams["orders-1"]["orders"].All() {
						n.Add(seq)
					}
					n.Add(n.Ranges[0].First)
					back.Streams["orders-1"]["orders"] = n
				}
			})),
		v(117, "three handovers in one run, leader_changes = 1", missed(drill.ObjectiveLeaderChanges, drill.CauseRelapse, 0),
			script{leads: handovers(2, 20, 40), epoch: func(_ string, t at) int64 { return int64(1 + passedBy(t, 2, 20, 40)) }, objectives: limit(drill.ObjectiveRecoveryTime, 60)}),
		v(173, "two faults, and 0.1 s of writes dies with each primary", missed(lost, drill.CauseLoss, 0).and(lostWrites(14, 0.2)),
			script{faults: []float64{80}, leads: twice(2.2, 80, 2.2), loses: 0.1,
				objectives: map[string]float64{drill.ObjectiveLeaderChanges: 2, drill.ObjectiveRecoveryTime: 100},
				pooled:     out([2]at{0, 2.2}, [2]at{80, 82.2}), fresh: out([2]at{0, 2.2}, [2]at{80, 82.2})}),
		v(175, "three handovers before the steady state held, one by the fault", passed(2.2, drill.OutcomeFailedOver).and(func(w *truth) { w.holds = oneChange }),
			script{leads: func(t at) string {
				switch {
				case t < 0:
					return members[passedBy(age(), 1, 2, 3)%len(members)]
				case t < 2.2:
					return ""
				}
				return "orders-1"
			}, epoch: func(_ string, t at) int64 { return int64(1 + passedBy(age(), 1, 2, 3) + passedBy(t, 2.2)) },
				steady: []drill.Rule{{Name: "old", Condition: compares{"run", "", "elapsed_seconds", true, 6}}}}),
		v(119, "timeline 1 to 4 at once, leader_changes = 1", missed(drill.ObjectiveLeaderChanges, drill.CauseRelapse, 2.2),
			clean(2.2).with(func(s *script) {
				s.epoch = func(by string, t at) int64 {
					if by == "orders-0" {
						return 1
					}
					return 4
				}
			})),
	}
}

// handovers lead from member to member at each of the moments, and nobody misses a write.
func handovers(moments ...at) func(at) string {
	return func(t at) string { return members[passedBy(t, moments...)%len(members)] }
}

func passedBy(t at, moments ...at) (n int) {
	for _, m := range moments {
		if t >= m {
			n++
		}
	}
	return n
}

// dual claims for how long two members took writes, give or take a pinned slot.
func dual(seconds float64) func(*truth) {
	return func(w *truth) {
		w.holds = func(rep drill.Report) string {
			if got := float64(rep.Primaries.DualPrimary); got < seconds-0.1 || got > seconds+0.1 {
				return fmt.Sprintf("two members took writes for %.2f s, not for %.2f s", seconds, got)
			}
			return ""
		}
	}
}

// lostWrites claims how many were lost through all probes, and over how long.
func lostWrites(n int, seconds float64) func(*truth) {
	return func(w *truth) {
		w.holds = func(rep drill.Report) string {
			got := rep.Writes
			switch {
			case got == nil || got.Lost == nil:
				return fmt.Sprintf("%d writes were lost, and nothing is told", n)
			case *got.Lost < n-2 || *got.Lost > n+2:
				return fmt.Sprintf("%d writes were lost, not %d", n, *got.Lost)
			}
			if span := float64(*got.LostSpan); span < seconds-0.04 || span > seconds+0.04 {
				return fmt.Sprintf("they stand for %.2f s, not for %.2f s", seconds, span)
			}
			return ""
		}
	}
}
