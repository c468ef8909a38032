package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// again lets a second fault hit the scene: from is the call, and the victim is whoever leads then.
func (sc *scene) again(from time.Duration, victim string) {
	plan := drill.FaultPlan{Kind: "kill_primary", Name: "again", Victims: []drill.Member{{Namespace: "shop", Name: victim, UID: "uid-" + victim}}}
	at := func(t time.Duration, st drill.FaultState) drill.Event {
		return drill.Event{At: drill.Offset(t), Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill_primary", Name: "again", State: st, From: drill.Offset(from)}}
	}
	sc.events = append(sc.events, drill.Event{Type: drill.EventPlan, Plans: []drill.FaultPlan{plan}},
		at(from, drill.FaultInjecting), at(from+10*ms, drill.FaultInjected), at(from+50*ms, drill.FaultConfirmed), at(from+30*sec, drill.FaultReverted))
}

// twice is two failovers: a dies at 20 s and b leads at 28 s; b dies at 60 s and next leads at 66 s.
func twice(next string) scene {
	sc := failover()
	sc.end = 140 * sec
	sc.cuts = append(sc.cuts, cut{60 * sec, 66 * sec, refused})
	sc.leaders = []reign{{65900 * ms, next, 3}}
	sc.again(60*sec, "b")
	sc.silent = func(m string, t time.Duration) drill.Outcome {
		if m == "b" && t >= 60*sec && t < 80*sec {
			return drill.OutcomeFail
		}
		return ""
	}
	sc.readBack = func(b *drill.ReadBack) { b.Primary = next }
	return sc
}

func TestTwoFailovers(t *testing.T) {
	sc := twice("c")
	rep := sc.report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.Equal(t, drill.OutcomeFailedOver, rep.Recovery.Outcome)
	require.InDelta(t, 46, float64(rep.Recovery.Estimate.Estimate), 0.05, "from the first injection to the end of the last outage")
	require.InDelta(t, 14, float64(rep.Recovery.Unavailable), 0.05)
	require.InDelta(t, 8, float64(*rep.Recovery.FirstSuccess), 0.05)
	require.Zero(t, rep.Recovery.Flaps, "the second fault's outage is no relapse of the first")
	require.InDelta(t, 60, float64(*rep.Recovery.Redundancy), 0.2, "b is back at 80 s")
	require.Equal(t, 2, rep.Primaries.LeaderChanges)

	require.Len(t, rep.Faults, 2)
	require.InDelta(t, 8, float64(rep.Faults[0].Recovery.Estimate), 0.05)
	require.InDelta(t, 6, float64(rep.Faults[1].Recovery.Estimate), 0.05)
	require.InDelta(t, 40, float64(*rep.Faults[1].InjectedOffset-*rep.Faults[0].InjectedOffset), 0.001)
	require.InDelta(t, 90, float64(*rep.Faults[1].RevertedOffset), 0.001)
	require.LessOrEqual(t, float64(rep.Faults[1].Recovery.Lower), 6.0)
	require.GreaterOrEqual(t, float64(rep.Faults[1].Recovery.Upper), 6.0)
}

func TestPhasesOfTwoFaults(t *testing.T) {
	sc := twice("c")
	sc.events = append(sc.events, views(sc.steady, "a", "a", "a"), views(27900*ms, "b", "b", "b"), views(65900*ms, "c", "c", "c"))
	rep := sc.report()
	type step struct {
		name, fault string
		ends        float64
	}
	var got []step
	sum := drill.Seconds(0)
	for _, p := range rep.Recovery.Phases {
		require.InDelta(t, float64(sum), float64(p.Start), 1e-6, "they follow each other")
		sum += p.Seconds
		got = append(got, step{p.Name, p.Fault, float64(sum)})
	}
	want := []step{
		{"impact", "kill_primary orders", 0}, {"detected", "kill_primary orders", 7.9}, {"promoted", "kill_primary orders", 7.9}, {"routed", "kill_primary orders", 7.9},
		{"first_success", "kill_primary orders", 8}, {"sustained", "kill_primary orders", 8}, {"next_fault", "kill_primary orders", 40},
		{"impact", "kill_primary again", 40}, {"detected", "kill_primary again", 45.9}, {"promoted", "kill_primary again", 45.9}, {"routed", "kill_primary again", 45.9},
		{"first_success", "kill_primary again", 46}, {"sustained", "", 46}, {"redundant", "", 60},
	}
	require.Len(t, got, len(want))
	for i, w := range want {
		require.Equal(t, [2]string{w.name, w.fault}, [2]string{got[i].name, got[i].fault})
		require.InDelta(t, w.ends, got[i].ends, 0.21, w.name)
	}
	require.Contains(t, rep.Recovery.Phases[9].Signal, "c says that it is primary")
	require.InDelta(t, float64(*rep.Recovery.Redundancy), float64(sum), 1e-6)
}

// TestThereAndBack: the one that led before leads in the end, and another one did meanwhile.
func TestThereAndBack(t *testing.T) {
	sc := twice("a")
	rep := sc.report()
	require.Equal(t, drill.OutcomeFailedOver, rep.Recovery.Outcome)
	require.Equal(t, 2, rep.Primaries.LeaderChanges)
	require.Zero(t, rep.Primaries.ZombieTail, "it leads again by right")
}

func TestASecondFaultThatComesTooEarlyToTell(t *testing.T) {
	sc := twice("c")
	sc.events = nil
	sc.again(33*sec, "b") // 5 s after writes came back
	sc.cuts[1] = cut{33 * sec, 40 * sec, refused}
	sc.leaders[0].from = 39900 * ms
	rep := sc.report()
	require.Nil(t, rep.Faults[0].Recovery, "nobody knows whether it would have lasted")
	require.InDelta(t, 7, float64(rep.Faults[1].Recovery.Estimate), 0.05)
	require.InDelta(t, 20, float64(rep.Recovery.Estimate.Estimate), 0.05)
	require.Zero(t, rep.Recovery.Flaps)
}

func TestASecondFaultInTheMiddleOfTheFirstOutage(t *testing.T) {
	sc := twice("c")
	sc.events = nil
	sc.again(25*sec, "b")
	sc.cuts = []cut{{20 * sec, 40 * sec, refused}}
	sc.heirAt, sc.leaders = 39900*ms, nil
	rep := sc.report()
	require.Nil(t, rep.Faults[0].Recovery)
	require.InDelta(t, 15, float64(rep.Faults[1].Recovery.Estimate), 0.05)
	require.InDelta(t, 20, float64(rep.Recovery.Estimate.Estimate), 0.05)
	var sum drill.Seconds
	for _, p := range rep.Recovery.Phases {
		sum += p.Seconds
		require.False(t, p.Name == "promoted" && p.Fault == "kill_primary orders", "that came after the second fault")
	}
	require.InDelta(t, float64(*rep.Recovery.Redundancy), float64(sum), 1e-6)
}

func TestASecondFaultWithoutImpact(t *testing.T) {
	sc := twice("b")
	sc.cuts, sc.leaders, sc.silent = sc.cuts[:1], nil, nil
	rep := sc.report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.InDelta(t, 8, float64(rep.Recovery.Estimate.Estimate), 0.05)
	require.Zero(t, rep.Faults[1].Recovery.Estimate)
	require.Greater(t, rep.Faults[1].Recovery.Upper, drill.Seconds(0))
	for _, p := range rep.Recovery.Phases {
		require.NotEqual(t, "next_fault", p.Name, "the recovery was over by then")
		require.NotEqual(t, "kill_primary again", p.Fault)
	}
}

// TestOnlyTheSecondFaultHasAnImpact: what the first one did not do is not told of it.
func TestOnlyTheSecondFaultHasAnImpact(t *testing.T) {
	sc := twice("c")
	sc.cuts, sc.heirAt, sc.back = sc.cuts[1:], 0, 0
	rep := sc.report()
	require.Zero(t, rep.Faults[0].Recovery.Estimate)
	require.InDelta(t, 6, float64(rep.Faults[1].Recovery.Estimate), 0.05)
	require.InDelta(t, 46, float64(rep.Recovery.Estimate.Estimate), 0.05)
	require.Equal(t, "next_fault", rep.Recovery.Phases[0].Name)
	require.InDelta(t, 40, float64(rep.Recovery.Phases[0].Seconds), 0.05)
}

func TestAFaultThatNeverCameIsInvalid(t *testing.T) {
	sc := twice("c")
	sc.events = sc.events[:1] // planned, and no more
	rep := sc.report()
	require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
	require.Equal(t, []drill.Reason{{Code: "fault_not_injected", Text: `The fault kill_primary "again" was never injected.`}}, rep.Run.Reasons)
	require.Nil(t, rep.Faults[1].InjectedOffset)
	require.Nil(t, rep.Faults[0].Recovery, "of one fault the headline tells")
}

// TestTheLastFaultIsWatchedForAsLong as a single one is.
func TestTheLastFaultIsWatchedForAsLong(t *testing.T) {
	sc := twice("c")
	sc.end = 100 * sec // 80 s after the first, 40 s after the second
	rep := sc.report()
	require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
	require.Equal(t, "observation_too_short", rep.Run.Reasons[0].Code)
}

// TestAPreparationThatWasTakenAwayIsNoRevert: a later fault that was planned anew was reverted before it was injected.
func TestAPreparationThatWasTakenAwayIsNoRevert(t *testing.T) {
	sc := twice("c")
	early := drill.Event{At: drill.Offset(50 * sec), Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill_primary", Name: "again", State: drill.FaultReverted}}
	sc.events = append([]drill.Event{early}, sc.events[:len(sc.events)-1]...) // and not reverted after it
	rep := sc.report()
	require.False(t, rep.Faults[1].Reverted)
	require.Nil(t, rep.Faults[1].RevertedOffset)
}

// TestTheNewestPlanCounts: who is hurt is whom the last plan names.
func TestTheNewestPlanCounts(t *testing.T) {
	sc := twice("c")
	sc.events = append([]drill.Event{{Type: drill.EventPlan, Plans: []drill.FaultPlan{{Kind: "kill_primary", Name: "again", Victims: []drill.Member{{Name: "a"}}}}}}, sc.events...)
	rep := sc.report()
	require.Len(t, rep.Faults, 2)
	require.Len(t, rep.Faults[1].Victims, 1)
	require.Equal(t, "b", rep.Faults[1].Victims[0].Name)
}

// TestDoomedWritesOfTheSecondVictim: it may not know that it was cut off any more than the first.
func TestDoomedWritesOfTheSecondVictim(t *testing.T) {
	sc := twice("c")
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Scheduled >= drill.Offset(61*sec) && s.Scheduled < drill.Offset(62*sec) {
			s.Outcome, s.Signal, s.By, s.Epoch, s.Write = drill.OutcomeOK, "", "b", 2, true
		}
	}
	sc.lost = func(seq int64) bool { return seq >= 61*50 && seq < 62*50 }
	rep := sc.report()
	var doomed []drill.Finding
	for _, f := range rep.Findings {
		if f.Code == "doomed_writes" {
			doomed = append(doomed, f)
		}
	}
	require.Len(t, doomed, 1)
	require.Contains(t, doomed[0].Text, "b went on acknowledging writes until 1.981 s after the fault: 50 acknowledged writes of that time are lost.")
}

// TestTheSecondVictimsZombieTail, where no epoch tells the two apart.
func TestTheSecondVictimsZombieTail(t *testing.T) {
	sc := twice("c")
	sc.leaders[0].epoch, sc.epoch = 0, 0
	sc.edit = func(s *drill.Sample) {
		s.Epoch = 0
		if s.Member == "b" && s.Scheduled >= drill.Offset(60*sec) && s.Scheduled < drill.Offset(70*sec) {
			s.Outcome, s.Signal, s.By, s.Role, s.Write = drill.OutcomeOK, "", "b", drill.RolePrimary, true
		}
	}
	sc.silent = nil
	require.InDelta(t, 4, float64(sc.report().Primaries.ZombieTail), 0.2, "from c's first to b's last")
}

// TestAServiceThatIsHitTwice: all three go at 20 s, and at 50 s those who came in their place.
func TestAServiceThatIsHitTwice(t *testing.T) {
	s := killedAll()
	s.end = 120 * sec
	s.cuts = append(s.cuts, cut{50 * sec, 53200 * ms, refused})
	at := func(t time.Duration, st drill.FaultState) drill.Event {
		return drill.Event{At: drill.Offset(t), Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "pod_kill", Name: "again", State: st, From: drill.Offset(50 * sec)}}
	}
	s.events = []drill.Event{{Type: drill.EventPlan, Plans: []drill.FaultPlan{{Kind: "pod_kill", Name: "again", Victims: people("d e f")}}},
		at(50*sec+10*ms, drill.FaultInjected), at(51*sec, drill.FaultConfirmed), at(51*sec, drill.FaultReverted)}
	s.present = append(s.present, serving(50100*ms, "", ""), serving(53*sec, "g", "g"), serving(54*sec, "g h i", "g h i"))
	rep := s.report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, rep.Run.Reasons)
	require.InDelta(t, 33.2, float64(rep.Recovery.Estimate.Estimate), 0.1)
	require.InDelta(t, 34, float64(*rep.Recovery.Redundancy), 1e-9)
	require.InDelta(t, 4.2, float64(rep.Faults[0].Recovery.Estimate), 0.1)
	require.InDelta(t, 3.2, float64(rep.Faults[1].Recovery.Estimate), 0.1)
	require.InDelta(t, 4, float64(rep.Endpoints.NewMember.First), 1e-9)
	require.InDelta(t, 34, float64(rep.Endpoints.NewMember.All), 1e-9, "those who were hurt in their turn have replaced nobody")
	require.InDelta(t, 3.9+2.9, float64(*rep.Endpoints.NoEndpoints), 1e-9)
	names, total := phaseNames(rep.Recovery.Phases)
	require.Equal(t, []string{"impact", "detected", "ready", "routed", "first_success", "sustained", "next_fault",
		"impact", "detected", "ready", "routed", "first_success", "sustained", "redundant"}, names)
	require.InDelta(t, float64(*rep.Recovery.Redundancy), total, 1e-6, "the phases sum to the total")
	require.Equal(t, "pod checkout-g is Ready", rep.Recovery.Phases[9].Signal, "not one that was there before the second fault")
}

// TestAWriteUnderWayWhenTheSecondFaultComes belongs to that one, and not to the first.
func TestAWriteUnderWayWhenTheSecondFaultComes(t *testing.T) {
	sc := twice("c")
	sc.cuts[1].from -= 30 * ms
	rep := sc.report()
	require.NotNil(t, rep.Faults[0].Recovery)
	require.InDelta(t, 8, float64(rep.Faults[0].Recovery.Estimate), 0.05)
	require.InDelta(t, 6, float64(rep.Faults[1].Recovery.Estimate), 0.05)
}

// TestWhatIsSeenLateIsOfTheFaultInWhoseTimeItIs: a watch that was away shows nothing of the first failover until the second.
func TestWhatIsSeenLateIsOfTheFaultInWhoseTimeItIs(t *testing.T) {
	sc := twice("c")
	sc.events = append(sc.events, views(sc.steady, "a", "a", "a"), views(62*sec, "b", "b", "b"), views(65900*ms, "c", "c", "c"))
	for _, p := range sc.report().Recovery.Phases {
		if p.Fault == "kill_primary orders" {
			require.NotEqual(t, "routed", p.Name)
			if p.Name == "detected" {
				require.Contains(t, p.Signal, "inferred")
			}
		}
	}
}

// TestTheFirstVictimsZombieTail is told also when it leads again in the end.
func TestTheFirstVictimsZombieTail(t *testing.T) {
	sc := twice("a")
	sc.leaders[0].epoch, sc.epoch = 0, 0
	sc.edit = func(s *drill.Sample) {
		s.Epoch = 0
		if s.Member == "a" && s.Scheduled >= drill.Offset(20*sec) && s.Scheduled < drill.Offset(33*sec) {
			s.Outcome, s.Signal, s.By, s.Role, s.Write = drill.OutcomeOK, "", "a", drill.RolePrimary, true
		}
	}
	require.InDelta(t, 5, float64(sc.report().Primaries.ZombieTail), 0.2, "from b's first to a's last")
}

// TestWhoLeadsAgainIsNotDoomed: it knew what it did.
func TestWhoLeadsAgainIsNotDoomed(t *testing.T) {
	sc := twice("a")
	sc.lost = func(seq int64) bool { return seq >= 70*50 && seq < 71*50 }
	rep := sc.report()
	require.Equal(t, 50, *rep.Writes.Lost)
	for _, f := range rep.Findings {
		require.NotEqual(t, "doomed_writes", f.Code)
	}
}

// TestLiveHurtsWhomTheNewestPlanNames: a member that was spared by the new plan still serves.
func TestLiveHurtsWhomTheNewestPlanNames(t *testing.T) {
	l := NewLive(drill.Settings{NoLedger: true})
	plan := func(victim string) drill.Event {
		return drill.Event{Type: drill.EventPlan, Plans: []drill.FaultPlan{{Kind: "pod_kill", Name: "again", Victims: people(victim)}}}
	}
	l.Event(plan("a"))
	l.Event(plan("b"))
	l.Event(drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "pod_kill", Name: "again", State: drill.FaultInjected}})
	l.Event(serving(sec, "a c d", "a c d"))
	require.True(t, l.Redundant("checkout", drill.Offset(sec)))
	l.Event(serving(sec, "b c d", "b c d"))
	require.False(t, l.Redundant("checkout", drill.Offset(sec)))
}
