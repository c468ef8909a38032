package measure

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// own are probes of the drill's own, beside a failover.
var own = []drill.ProbeInfo{
	{Name: "checkout", Kind: "http", Class: drill.ClassFresh, Interval: 100 * ms, Deadline: 500 * ms},
	{Name: "queue", Kind: "promql", Class: drill.ClassPooled, Interval: 5 * sec, Deadline: sec, Value: "value"},
	{Name: "pods", Kind: "kubernetes", Class: drill.ClassPooled, Interval: 500 * ms, Deadline: sec, Value: "ready_endpoints", Least: true},
}

// ownSlot is one slot of such a probe; queue reads the seconds of the run, and pods loses one in the outage.
func (sc scene) ownSlot(p drill.ProbeInfo, k int64) drill.Sample {
	due := time.Duration(k) * p.Interval
	s := sc.write(p.Name, p.Class, k, due, 0)
	s.Write, s.Role, s.By, s.Epoch = false, drill.RoleUnknown, "", 0
	if !p.Numeric() {
		return s
	}
	s.Outcome, s.Signal, s.Done, s.Valued = drill.OutcomeOK, "", drill.Offset(due+5*ms), true
	switch p.Value {
	case "value":
		s.Value = due.Seconds()
	case "ready_endpoints":
		s.Value = 3
		if sc.cutAt(due) != nil {
			s.Value = 2
		}
	}
	return s
}

// withOwn adds the probes to a recording; edit may change their slots.
func (sc scene) withOwn(edit func(*drill.Sample)) drill.Recording {
	rec := sc.recording()
	var events []drill.Event
	for _, p := range own {
		events = append(events, drill.Event{Type: drill.EventProbe, Probe: &p})
		var samples []drill.Sample
		for k := int64(0); time.Duration(k)*p.Interval < sc.end; k++ {
			s := sc.ownSlot(p, k)
			if edit != nil {
				edit(&s)
			}
			samples = append(samples, s)
		}
		events = append(events, drill.Event{At: drill.Offset(sc.end), Type: drill.EventSamples, Samples: samples})
	}
	rec.Events = slices.Values(slices.AppendSeq(events, rec.Events))
	return rec
}

func TestFinalValues(t *testing.T) {
	v := Final(failover().withOwn(nil))
	require.InDelta(t, 8, v["target"]["orders"]["outage_seconds"], 0.05)
	require.InDelta(t, 62.0/70, v["target"]["orders"]["success_ratio"], 0.01)
	require.Equal(t, 1.0, v["target"]["orders"]["primaries"])
	require.InDelta(t, 0.02, v["target"]["orders"]["lag_seconds"], 0.2)
	require.InDelta(t, 8, v["probe"]["checkout"]["outage_seconds"], 0.2)
	require.InDelta(t, 62.0/70, v["probe"]["checkout"]["success_ratio"], 0.01)
	require.InDelta(t, 0.0014, v["probe"]["checkout"]["latency_seconds"], 0.001)
	require.Equal(t, map[string]float64{"value": 85}, v["probe"]["queue"], "the newest")
	require.Equal(t, map[string]float64{"ready_endpoints": 2}, v["probe"]["pods"], "the least")
	require.NotContains(t, v["probe"], "orders")
}

// TestFinalOutageThatNeverEnded: its length so far would look like a recovery.
func TestFinalOutageThatNeverEnded(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = []cut{{20 * sec, time.Hour, refused}}, 0
	v := Final(sc.withOwn(nil))
	require.Equal(t, math.Inf(1), v["target"]["orders"]["outage_seconds"])
	require.Equal(t, math.Inf(1), v["probe"]["checkout"]["outage_seconds"])
}

// TestFinalValuesOfWhatWasNotRead: a number that was not known is no number in the end.
func TestFinalValuesOfWhatWasNotRead(t *testing.T) {
	from := func(after, until time.Duration, change func(*drill.Sample)) func(*drill.Sample) {
		return func(s *drill.Sample) {
			if at := time.Duration(s.Scheduled); s.Valued && at >= after && at < until {
				change(s)
			}
		}
	}
	fails := func(s *drill.Sample) { s.Outcome, s.Signal, s.Valued = drill.OutcomeFail, "refused", false }
	empty := func(s *drill.Sample) { s.Valued = false }
	for name, c := range map[string]struct {
		edit        func(*drill.Sample)
		queue, pods bool
	}{
		"all is read":                       {nil, true, true},
		"two slots fail":                    {from(40*sec, 41*sec, fails), true, true},
		"nobody answers for 5 s":            {from(40*sec, 45*sec, fails), true, false},
		"nobody answers any more":           {from(60*sec, time.Hour, fails), false, false},
		"nothing to read for once":          {from(40*sec, 40100*ms, empty), true, false},
		"nothing to read at last":           {from(84*sec, time.Hour, empty), false, false},
		"before the fault, it is no matter": {from(5*sec, 15*sec, fails), true, true},
	} {
		v := Final(failover().withOwn(c.edit))
		_, queue := v["probe"]["queue"]["value"]
		_, pods := v["probe"]["pods"]["ready_endpoints"]
		require.Equal(t, c.queue, queue, name)
		require.Equal(t, c.pods, pods, name)
	}
}

// TestNumericProbesAreNoHeadline: whatever a drill adds, recovery is what the target's clients see.
func TestNumericProbesAreNoHeadline(t *testing.T) {
	plain, more := failover().report(), Report(failover().withOwn(nil))
	require.Equal(t, plain.Recovery, more.Recovery)
	require.Equal(t, plain.Writes, more.Writes)
	require.Equal(t, plain.Primaries, more.Primaries)
	require.Equal(t, plain.Unknown, more.Unknown)
	require.Equal(t, drill.VerdictPassed, more.Run.Verdict)
	for _, p := range more.Probes {
		switch p.Name {
		case "checkout":
			require.InDelta(t, 8, float64(*p.Outage), 0.2)
			require.Empty(t, p.ValueName)
		case "queue":
			require.Nil(t, p.Outage)
			require.Equal(t, "value", p.ValueName)
			require.Equal(t, []float64{85, 5, 85}, []float64{*p.ValueLast, *p.ValueMin, *p.ValueMax}, "from the steady state on")
		case "pods":
			require.Equal(t, []float64{3, 2, 3}, []float64{*p.ValueLast, *p.ValueMin, *p.ValueMax})
		}
	}
}

func TestAssertedObjectives(t *testing.T) {
	rule := func(name string, truth drill.Truth, message string) drill.Event {
		return drill.Event{At: drill.Offset(89 * sec), Type: drill.EventRule, Rule: &drill.RuleChange{
			Kind: drill.RuleObjective, Name: name, Condition: "probe.checkout.outage_seconds < 15", Truth: truth, Message: message}}
	}
	sc := failover()
	sc.events = []drill.Event{rule("assert_1", drill.True, "Down for 8 s.")}
	rep := sc.report()
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict)
	require.Equal(t, []drill.ObjectiveReport{{Name: "assert_1", Condition: "probe.checkout.outage_seconds < 15", JudgedBy: "condition", Met: true}}, rep.Objectives)
	require.False(t, rep.Abort.Fired)

	sc.events = []drill.Event{rule("assert_1", drill.True, ""), rule("assert_2", drill.False, "Down for 18 s."), rule("assert_3", drill.Unknown, "Down for (no reading yet) s.")}
	rep = sc.report()
	require.Equal(t, drill.VerdictFailed, rep.Run.Verdict)
	require.Len(t, rep.Objectives, 3)
	require.Equal(t, []bool{true, false, false}, []bool{rep.Objectives[0].Met, rep.Objectives[1].Met, rep.Objectives[2].Met})
	require.Equal(t, drill.Reason{Code: "objective_missed", Objective: "assert_2", Cause: drill.CauseDetect, Text: "Down for 18 s."}, rep.Run.Reasons[0])
	require.Contains(t, rep.Run.Reasons[1].Text, "not known")
	require.Equal(t, "unknown", rep.Objectives[2].JudgedBy)
}

func TestLiveOwnProbes(t *testing.T) {
	l := NewLive(settings)
	for _, p := range own {
		l.Event(drill.Event{Type: drill.EventProbe, Probe: &p})
	}
	v := l.Values(0)["probe"]
	require.Empty(t, v["queue"])
	require.NotContains(t, v["checkout"], "latency_seconds")
	ok, why := l.Ready(drill.Offset(sec))
	require.False(t, ok)
	require.Contains(t, why, "the probe checkout fails")

	good := func(name string, k int64, every, took time.Duration) drill.Sample {
		due := drill.Offset(time.Duration(k) * every)
		return drill.Sample{Probe: name, Class: drill.ClassFresh, Slot: k, Scheduled: due, Sent: due, Done: due.Add(took), Outcome: drill.OutcomeOK}
	}
	read := func(name string, k int64, every time.Duration, value float64) drill.Sample {
		s := good(name, k, every, 5*ms)
		s.Value, s.Valued = value, true
		return s
	}
	failed := func(s drill.Sample, signal string) drill.Sample {
		s.Outcome, s.Signal, s.Valued = drill.OutcomeFail, signal, false
		return s
	}
	for k := range int64(20) {
		l.Sample(good("checkout", k, 100*ms, 7*ms))
	}
	_, why = l.Ready(drill.Offset(1950 * ms))
	require.Equal(t, "the probe pods has no reading", why, "the first by name that does not work")
	l.Sample(failed(read("pods", 0, 500*ms, 3), "http_403"))
	_, why = l.Ready(drill.Offset(1950 * ms))
	require.Equal(t, "the probe pods has no reading, last by http_403", why)
	l.Sample(read("pods", 3, 500*ms, 3))
	l.Sample(read("queue", 0, 5*sec, 0))
	ok, why = l.Ready(drill.Offset(1950 * ms))
	require.True(t, ok, why)
	v = l.Values(drill.Offset(1950 * ms))["probe"]
	require.Equal(t, map[string]float64{"value": 0}, v["queue"], "0 is a reading")
	require.Equal(t, map[string]float64{"ready_endpoints": 3}, v["pods"])
	require.Equal(t, map[string]float64{"outage_seconds": 0, "success_ratio": 1, "latency_seconds": 0.007}, v["checkout"])

	// What is not answered any more is not known any more.
	l.Sample(failed(read("pods", 4, 500*ms, 3), "timeout"))
	require.Contains(t, l.Values(drill.Offset(2900 * ms))["probe"]["pods"], "ready_endpoints", "three intervals old at most")
	require.NotContains(t, l.Values(drill.Offset(3100 * ms))["probe"]["pods"], "ready_endpoints")
	require.NotContains(t, l.Values(drill.Offset(13 * sec))["probe"]["checkout"], "latency_seconds")
	require.Greater(t, l.Values(drill.Offset(13 * sec))["probe"]["checkout"]["outage_seconds"], 10.0)
	// That there is nothing to read is known at once.
	l.Sample(good("queue", 1, 5*sec, 5*ms))
	require.NotContains(t, l.Values(drill.Offset(5100 * ms))["probe"]["queue"], "value")
	for k := int64(20); k < 30; k++ {
		l.Sample(failed(good("checkout", k, 100*ms, 2*ms), "refused"))
	}
	_, why = l.Ready(drill.Offset(3 * sec))
	require.Equal(t, "the probe checkout fails, last by refused", why)
}

// TestNumericProbeAloneMeasuresNoRecovery: what reads a number answers also while nobody serves.
func TestNumericProbeAloneMeasuresNoRecovery(t *testing.T) {
	rec := failover().withOwn(nil)
	events := slices.Collect(rec.Events)
	for i, e := range events {
		if e.Type == drill.EventProbe && !e.Probe.Numeric() {
			events[i].Probe = nil
		}
	}
	rec.Events = slices.Values(events)
	require.Nil(t, Report(rec).Recovery)
}

// TestFreshWritesAreInTheLedger: they are a stream of their own, and one of them can be lost like any other.
func TestFreshWritesAreInTheLedger(t *testing.T) {
	sc := failover()
	plain := sc.report().Writes
	sc.fresh = 100 * ms
	gone := int64(150)
	sc.readBack = func(b *drill.ReadBack) {
		for m := range b.Streams {
			drop(b, m, "orders/fresh", gone)
		}
	}
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassFresh && s.Slot >= 600 && s.Slot < 605 {
			s.Outcome, s.Write, s.Sent = drill.OutcomeUnsent, false, 0
		}
	}
	rep := sc.report()
	require.Equal(t, 1, *rep.Writes.Lost)
	require.Equal(t, 5, rep.Writes.Unsent)
	require.Equal(t, plain.Sent+895, rep.Writes.Sent)
	require.Zero(t, rep.Writes.Fabricated+rep.Writes.Phantom+rep.Writes.Duplicate)
	require.InDelta(t, float64(rep.Recovery.Estimate.Estimate), float64(rep.Recovery.ByClass[drill.ClassFresh].Estimate), 0.2)
	require.Zero(t, rep.Primaries.DualPrimary)
	require.Equal(t, 1, rep.Primaries.LeaderChanges)
}
