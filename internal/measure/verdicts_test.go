package measure

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// Scenes in which drill once said what was not true; their numbers are those of the second look at the verdicts. Each
// holds the truth of what it scripts.

func reasonCodes(rep drill.Report) (codes []string) {
	for _, r := range rep.Run.Reasons {
		codes = append(codes, r.Code)
	}
	return codes
}

func findingCodes(rep drill.Report) (codes []string) {
	for _, f := range rep.Findings {
		codes = append(codes, f.Code)
	}
	return codes
}

// slowed lets the pooled answers of a stretch take longer.
func slowed(from, to, by time.Duration) func(*drill.Sample) {
	return func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Outcome == drill.OutcomeOK && s.Scheduled >= drill.Offset(from) && s.Scheduled < drill.Offset(to) {
			s.Done = s.Done.Add(by)
		}
	}
}

func objective(name string, limit float64) []drill.Objective {
	return []drill.Objective{{Name: name, Limit: limit}}
}

// TestW1 : what was sick before the steady state held is in no figure.
func TestW1SickBeforeTheHold(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.events = []drill.Event{{At: drill.Offset(2 * sec), Type: drill.EventStep, Step: drill.StepSteady},
		{At: drill.Offset(10 * sec), Type: drill.EventStep, Step: drill.StepHold}}
	sick, ill := slowed(2*sec, 4*sec, 500*ms), slowed(20*sec, time.Hour, 500*ms)
	sc.edit = func(s *drill.Sample) { sick(s); ill(s) }
	sc.steady = 10 * sec
	sc.objectives = objective(drill.ObjectiveRecoveryTime, 60)
	sc.replication = func(m string, at time.Duration) time.Duration {
		if m == "c" && at < 8*sec {
			return 4 * sec
		}
		return 0
	}
	rep := sc.report()
	require.Equal(t, drill.Seconds(0.04), rep.Recovery.UpWithin)
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
	require.Regexp(t, `^Writes are acknowledged again after 0 s, but take longer than 0.04 s ever since \(p99 0.501 s; before 0.001 s\), limit 60 s\.$`,
		rep.Run.Reasons[0].Text)
	require.LessOrEqual(t, float64(rep.ReplicationLag.Before.Upper), 0.021, "the lag of before the hold")

	live := map[bool]float64{}
	play(sc, func(l *Live, now drill.Offset) {
		live[now > drill.Offset(25*sec)] = l.Values(now)["target"]["orders"]["outage_seconds"]
	})
	require.InDelta(t, 70, live[true], 0.1, "live, every write has been too slow since the fault")
}

// TestW2: a slot that had ended before the fault says nothing of it.
func TestW2EndedBeforeTheFault(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = []cut{{19970 * ms, 19990 * ms, reset}}, 0
	rep := sc.report()
	require.Equal(t, drill.OutcomeNoImpact, rep.Recovery.Outcome)
	require.GreaterOrEqual(t, rep.Recovery.Upper, rep.Recovery.Lower)
	require.GreaterOrEqual(t, float64(rep.Recovery.Estimate.Estimate), 0.0)
	require.Zero(t, rep.Recovery.Blips.Count)

	sc = failover()
	sc.cuts, sc.heirAt = []cut{{19 * sec, 19600 * ms, refused}}, 0 // long over; L allows a second
	sc.edit = slowed(2*sec, 19*sec, 200*ms)
	rep = sc.report()
	require.Equal(t, drill.OutcomeNoImpact, rep.Recovery.Outcome)
	for _, p := range rep.Recovery.Phases {
		require.GreaterOrEqual(t, float64(p.Seconds), 0.0)
	}
}

// TestW3: a late answer is a blip, whenever it comes.
func TestW3LateAnswers(t *testing.T) {
	for name, at := range map[string]time.Duration{"at 55 s": 75 * sec, "in the last 10 s": 85 * sec, "right after": 28500 * ms} {
		sc := failover()
		sc.edit = slowed(at, at+sc.delta, 45*ms)
		rep := sc.report()
		require.InDelta(t, 8, float64(rep.Recovery.Estimate.Estimate), 0.02, name)
		require.InDelta(t, 21, float64(*rep.Recovery.Redundancy), 0.11, name)
		require.Zero(t, rep.Recovery.Flaps, name)
		require.Equal(t, drill.BlipsReport{Count: 1, Seconds: 0.02, Longest: 0.02}, rep.Recovery.Blips, name)
		require.Contains(t, findingCodes(rep), "blips")
	}
	// A late impact is told from a blip before it: first success and impact are the outage's.
	sc := failover()
	sc.cuts = []cut{{35 * sec, 37 * sec, refused}}
	sc.edit = slowed(20500*ms, 20500*ms+sc.delta, 45*ms)
	rep := sc.report().Recovery
	require.InDelta(t, 17, float64(*rep.FirstSuccess), 0.03)
	require.Zero(t, rep.Flaps)
	require.InDelta(t, 15, float64(rep.Phases[0].Seconds), 0.03)
}

// TestW4: a service that nobody new can reach is not back.
func TestW4NobodyNewIsServed(t *testing.T) {
	sc := failover()
	sc.fresh = 100 * ms
	sc.cuts, sc.heirAt = nil, 0
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassFresh && s.Scheduled >= drill.Offset(20*sec) {
			s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalRefused
		}
	}
	rep := sc.report()
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
	require.Equal(t, []string{"fresh_not_recovered"}, reasonCodes(rep))

	sc.objectives = objective(drill.ObjectiveRecoveryTime, 60)
	rep = sc.report()
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
	require.Equal(t, "by_class.fresh.upper_seconds", rep.Objectives[0].JudgedBy)
	require.Equal(t, "New connections were never served again for good while drill watched; open sessions saw no outage, limit 60 s.",
		rep.Run.Reasons[0].Text)
	play(sc, func(l *Live, now drill.Offset) {
		if now > drill.Offset(21*sec) {
			require.Zero(t, l.UpFor("orders", now), "the run must not end as if it were back")
		}
	})
}

// TestW5: two writers fail a run that does not allow them.
func TestW5TwoWriters(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPinned && s.Member == "b" && s.Scheduled >= drill.Offset(25*sec) && s.Scheduled < drill.Offset(42*sec) {
			s.Role, s.Write = drill.RolePrimary, true
		}
	}
	rep := sc.report()
	require.InDelta(t, 17, float64(rep.Primaries.DualPrimary), 0.11)
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
	require.Equal(t, []string{"two_primaries"}, reasonCodes(rep))
	require.Contains(t, rep.Run.Reasons[0].Text, "a and b")

	sc.objectives = objective(drill.ObjectiveDualPrimary, 20)
	require.Equal(t, drill.VerdictPassed, sc.report().Run.Verdict, "the drill allows it")
}

// TestW6: an observation that was cut off after clients were back is too short, and no failure of theirs.
func TestW6CutOff(t *testing.T) {
	sc := failover()
	sc.cuts[0].to = 22200 * ms
	for _, after := range []time.Duration{9 * sec, 12 * sec} {
		sc.end = 22200*ms + after
		sc.end_ = &drill.End{Cause: drill.EndFinished, Code: "timeout"}
		rep := sc.report()
		require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict, after.String())
		require.Equal(t, []string{"observation_too_short"}, reasonCodes(rep), after.String())
	}
	sc.cuts[0].to = time.Hour // still out when it was cut off
	rep := sc.report()
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
}

// TestW7: one late last slot of a bystander is no outage.
func TestW7TheLastSlot(t *testing.T) {
	v := Final(failover().withOwn(func(s *drill.Sample) {
		if s.Probe == "checkout" && s.Scheduled >= drill.Offset(89900*ms) {
			s.Done = s.Done.Add(210 * ms)
		}
	}))
	require.InDelta(t, 8, v["probe"]["checkout"]["outage_seconds"], 0.21)
}

// TestW12: an outage that was there before the fault is not the fault's.
func TestW12AlreadyDown(t *testing.T) {
	sc := failover()
	sc.cuts = []cut{{17 * sec, 25 * sec, refused}}
	rep := sc.report()
	require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
	require.Equal(t, []string{"already_down"}, reasonCodes(rep))
	require.Contains(t, rep.Run.Reasons[0].Text, "3 s")

	sc.cuts = []cut{{19950 * ms, 19970 * ms, reset}, {20 * sec, 25 * sec, refused}}
	require.Equal(t, drill.VerdictPassed, sc.report().Run.Verdict, "a blip before it is no outage")
}

// blinded lets the pooled slots of a stretch go unsent.
func blinded(from, to time.Duration) func(*drill.Sample) {
	return func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Scheduled >= drill.Offset(from) && s.Scheduled < drill.Offset(to) {
			s.Outcome, s.Sent, s.Write = drill.OutcomeUnsent, 0, false
		}
	}
}

// TestW13: a relapse may hide in a stretch of which nothing is known.
func TestW13Blind(t *testing.T) {
	for _, long := range []time.Duration{900 * ms, 2900 * ms} {
		sc := failover()
		sc.edit = blinded(50*sec, 50*sec+long)
		rep := sc.report()
		require.InDelta(t, (30*sec + long).Seconds(), float64(rep.Recovery.Upper), 0.03, long.String())
		require.InDelta(t, 8, float64(rep.Recovery.Estimate.Estimate), 0.02)
		require.Contains(t, findingCodes(rep), "blind_stretch")
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "nothing hangs on it")
		sc.objectives = objective(drill.ObjectiveRecoveryTime, 30)
		require.Equal(t, []string{"undecided"}, reasonCodes(sc.report()), long.String())
		sc.objectives = objective(drill.ObjectiveRecoveryTime, 60)
		require.Equal(t, drill.VerdictPassed, sc.report().Run.Verdict, "however it went, it was in time")
		sc.objectives = objective(drill.ObjectiveUnavailable, 8.2)
		require.Equal(t, []string{"undecided"}, reasonCodes(sc.report()), long.String())
	}
	sc := failover()
	sc.edit = blinded(50*sec, 50*sec+100*ms)
	sc.objectives = objective(drill.ObjectiveRecoveryTime, 8.1)
	require.Equal(t, drill.VerdictPassed, sc.report().Run.Verdict, "less than a blip hides nothing that counts")
}

// TestW14: what other probes saw is no observation of the headline.
func TestW14TheHeadlineStopped(t *testing.T) {
	sc := failover()
	rec := sc.recording()
	events := slices.Collect(rec.Events)
	for i, e := range events {
		events[i].Samples = slices.DeleteFunc(slices.Clone(e.Samples), func(s drill.Sample) bool {
			return s.Class == drill.ClassPooled && s.Scheduled > drill.Offset(40*sec)
		})
	}
	rec.Events = slices.Values(events)
	rep := Report(rec)
	require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
	require.Equal(t, []string{"observation_too_short"}, reasonCodes(rep))
	require.Contains(t, rep.Run.Reasons[0].Text, "for 20 s")
}

// TestW15: redundancy that was there for a moment at the end was not seen to last.
func TestW15RedundancyLasts(t *testing.T) {
	sc := failover()
	sc.back = sc.end - 150*ms
	require.Equal(t, drill.Never(), *sc.report().Recovery.Redundancy)
	sc.back = sc.end - 2500*ms
	require.NotEqual(t, drill.Never(), *sc.report().Recovery.Redundancy)
}

// TestW18: answers that came too late did not fail.
func TestW18SlowIsNotFailed(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = []cut{{20 * sec, 20500 * ms, blackHole}}, 0
	rec := sc.report().Recovery
	require.InDelta(t, 0.5, float64(rec.Slow), 0.03)
	require.Zero(t, rec.Failed)
	require.Equal(t, rec.Slow, rec.Unavailable)
	sc.objectives = objective(drill.ObjectiveUnavailable, 0)
	rep := sc.report()
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
	require.Contains(t, rep.Run.Reasons[0].Text, "0 s failed")
}

// TestW19: while nearly everything fails, the live outage is as long as that has lasted.
func TestW19NearlyEverythingFails(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Scheduled >= drill.Offset(20*sec) && s.Scheduled < drill.Offset(80*sec) && s.Slot%25 != 0 {
			s.Outcome, s.Signal = drill.OutcomeFail, drill.SignalRefused
		}
	}
	var longest float64
	play(sc, func(l *Live, now drill.Offset) {
		longest = max(longest, l.Values(now)["target"]["orders"]["outage_seconds"])
	})
	require.InDelta(t, 60, longest, 0.6)
}

// TestW20: acknowledged again, and slower for ever: not gone.
func TestW20SlowerForEver(t *testing.T) {
	sc := failover()
	sc.edit = slowed(28*sec, time.Hour, 45*ms)
	sc.objectives = objective(drill.ObjectiveRecoveryTime, 30)
	rep := sc.report()
	require.Equal(t, drill.Never(), rep.Recovery.Estimate.Estimate)
	require.InDelta(t, 8, float64(rep.Recovery.Answered.Estimate), 0.02)
	require.Regexp(t, `^Writes are acknowledged again after 7.99 s, but take longer than 0.04 s ever since \(p99 0.046 s; before 0.001 s\), limit 30 s\.$`,
		rep.Run.Reasons[0].Text)
	require.InDelta(t, 1, *rep.Recovery.LateRatio.After, 0.001)
	require.Zero(t, *rep.Recovery.LateRatio.Before)

	sc = failover() // one in twenty: no outage, and yet slower than before
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Slot%20 == 0 && s.Scheduled >= drill.Offset(28*sec) {
			s.Done = s.Done.Add(45 * ms)
		}
	}
	rep = sc.report()
	require.InDelta(t, 8, float64(rep.Recovery.Estimate.Estimate), 0.02)
	require.Contains(t, findingCodes(rep), "slower_than_before")
	require.NotContains(t, findingCodes(failover().report()), "slower_than_before")
}

// TestW25: a failover that was to be shown and did not happen is told, and can be asked for.
func TestW25NotFailedOver(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	require.Contains(t, findingCodes(sc.report()), "not_failed_over", "the primary was killed, and clients saw nothing")
	sc.objectives = objective(drill.ObjectiveFailedOver, 1)
	rep := sc.report()
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
	require.Equal(t, []string{"failed_over", "no_impact"}, []string{rep.Objectives[0].Want, rep.Objectives[0].Got})
	sc = failover()
	sc.objectives = objective(drill.ObjectiveFailedOver, 1)
	rep = sc.report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict)
	require.NotContains(t, findingCodes(rep), "not_failed_over")
}

// TestAFailoverWithinABlip: clients saw no outage, and another member took over all the same.
func TestAFailoverWithinABlip(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = []cut{{20 * sec, 20200 * ms, refused}}, 20150*ms
	sc.objectives = objective(drill.ObjectiveFailedOver, 1)
	rep := sc.report()
	require.Equal(t, drill.OutcomeNoImpact, rep.Recovery.Outcome)
	require.Equal(t, 1, rep.Primaries.LeaderChanges)
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.Equal(t, "failed_over", rep.Objectives[0].Got)
	require.NotContains(t, findingCodes(rep), "not_failed_over")
}

// TestReasonsTellTheCourse: a late end has its story beside it.
func TestReasonsTellTheCourse(t *testing.T) {
	sc := failover()
	sc.cuts = []cut{{20 * sec, 22200 * ms, refused}, {60200 * ms, 61200 * ms, refused}}
	sc.heirAt = 22 * sec
	sc.objectives = objective(drill.ObjectiveRecoveryTime, 30)
	rep := sc.report()
	require.Equal(t, "Writes came back after 41.19 s (at worst 41.201 s), limit 30 s: out for 2.19 s by the fault, and again for 0.99 s from 40.2 s on.",
		rep.Run.Reasons[0].Text)
	require.Len(t, rep.Recovery.Outages, 2)
	require.Equal(t, drill.OutageReport{Start: 40.2, Seconds: 0.99, Kind: drill.OutageFailed, DownSlots: 50, Fault: "kill_primary orders"}, rep.Recovery.Outages[1])
	require.InDelta(t, 2.19, float64(rep.Recovery.LongestOutage), 0.001)
	require.Equal(t, 1, rep.Recovery.Flaps)
	require.NotContains(t, rep.Run.Reasons[0].Text, "never")
}

// TestADyingVictimIsNoSuccess: what the victim still acknowledges over open sessions is not the first success.
func TestADyingVictimIsNoSuccess(t *testing.T) {
	sc := failover()
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Outcome == drill.OutcomeFail && s.Scheduled < drill.Offset(22*sec) && s.Slot%20 == 0 {
			s.Outcome, s.Signal, s.By, s.Epoch = drill.OutcomeOK, "", "a", 1
		}
	}
	rec := sc.report().Recovery
	require.InDelta(t, 8, float64(*rec.FirstSuccess), 0.03)
}
