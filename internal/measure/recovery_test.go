package measure

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func secs(d time.Duration) float64 { return d.Seconds() }

// TestOutages measures scripted outages whose end is known.
func TestOutages(t *testing.T) {
	for _, tc := range []struct {
		name    string
		cuts    []cut
		edit    func(*scene)
		truth   time.Duration // from the injection to the end of the last outage; -1 never
		outcome drill.RecoveryOutcome
		flaps   int
		down    time.Duration // unavailable, within two slots
	}{
		{name: "black hole", cuts: []cut{{20 * sec, 23 * sec, blackHole}}, truth: 3 * sec, down: 3 * sec},
		// A 500 ms black hole heals within the deadline of every slot: only slowness shows it.
		{name: "short black hole", cuts: []cut{{20 * sec, 20500 * ms, blackHole}}, truth: 500 * ms, down: 500 * ms},
		{name: "reset", cuts: []cut{{20 * sec, 22 * sec, reset}}, truth: 2 * sec, down: 2 * sec},
		{name: "hang", cuts: []cut{{20 * sec, 21 * sec, hang}}, truth: sec, down: sec},
		{name: "slow", cuts: []cut{{20 * sec, 24 * sec, slow}}, truth: 4 * sec, down: 4 * sec},
		{name: "late impact", cuts: []cut{{40 * sec, 43 * sec, refused}}, truth: 23 * sec, down: 3 * sec},
		{name: "an outage by the revert", cuts: []cut{{20 * sec, 22 * sec, refused}, {50 * sec, 51 * sec, reset}}, truth: 31 * sec, flaps: 1, down: 3 * sec},
		{name: "flapping", cuts: []cut{{20 * sec, 22 * sec, refused}, {23 * sec, 24 * sec, refused}, {26 * sec, 27 * sec, reset}}, truth: 7 * sec, flaps: 2, down: 4 * sec},
		{name: "never", cuts: []cut{{20 * sec, 200 * sec, refused}}, truth: -1, outcome: drill.OutcomeNotRecovered, down: 70 * sec},
		{name: "no window at the end", cuts: []cut{{20 * sec, 22 * sec, refused}, {85 * sec, 86 * sec, refused}}, truth: -1, outcome: drill.OutcomeNotRecovered, flaps: 1, down: 3 * sec},
		{name: "still down at the end", cuts: []cut{{88 * sec, 200 * sec, blackHole}}, truth: -1, outcome: drill.OutcomeNotRecovered, down: 2 * sec},
		{name: "unsent around the end", cuts: []cut{{20 * sec, 22 * sec, refused}}, truth: 2 * sec, down: 1940 * ms, edit: func(sc *scene) {
			sc.edit = func(s *drill.Sample) {
				if s.Class == drill.ClassPooled && s.Scheduled > drill.Offset(21950*ms) && s.Scheduled < drill.Offset(22100*ms) {
					s.Outcome, s.Sent, s.Signal, s.Write = drill.OutcomeUnsent, 0, "", false
				}
			}
		}},
		{name: "restarted", cuts: []cut{{20 * sec, 26 * sec, refused}}, truth: 6 * sec, down: 6 * sec, outcome: drill.OutcomeRestartedInPlace,
			edit: func(sc *scene) { sc.heirAt = 0 }},
		{name: "before the fault does not count", cuts: []cut{{10 * sec, 11 * sec, refused}, {20 * sec, 21 * sec, refused}}, truth: sec, down: sec},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sc := failover()
			sc.cuts, sc.heirAt = tc.cuts, 20*sec
			if tc.edit != nil {
				tc.edit(&sc)
			}
			rec := sc.report().Recovery
			if tc.outcome == "" {
				tc.outcome = drill.OutcomeFailedOver
			}
			require.Equal(t, tc.outcome, rec.Outcome)
			require.Equal(t, tc.flaps, rec.Flaps)
			require.InDelta(t, secs(tc.down), float64(rec.Unavailable), 0.045)
			if tc.truth < 0 {
				require.Equal(t, drill.Never(), rec.Estimate.Estimate)
				require.Equal(t, drill.Never(), rec.Upper)
				return
			}
			require.LessOrEqual(t, float64(rec.Lower), secs(tc.truth))
			require.GreaterOrEqual(t, float64(rec.Upper), secs(tc.truth))
			require.GreaterOrEqual(t, rec.Estimate.Estimate, rec.Lower)
			require.LessOrEqual(t, rec.Estimate.Estimate, rec.Upper)
			require.InDelta(t, secs(tc.truth), float64(rec.Estimate.Estimate), 0.1)
		})
	}
}

func TestUnsentSlotsWidenTheBounds(t *testing.T) {
	sc := failover()
	plain := sc.report().Recovery
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Scheduled > drill.Offset(27900*ms) && s.Scheduled < drill.Offset(28200*ms) {
			s.Outcome, s.Sent = drill.OutcomeUnsent, 0
		}
	}
	wide := sc.report().Recovery
	require.Less(t, wide.Lower, plain.Lower)
	require.Greater(t, wide.Upper, plain.Upper)
}

func TestNoImpact(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	rep := sc.report()
	require.Equal(t, drill.OutcomeNoImpact, rep.Recovery.Outcome)
	require.Equal(t, drill.Estimate{Upper: 0.06}, rep.Recovery.Estimate, "Δ + L: what a missed outage can have lasted")
	require.Zero(t, rep.Recovery.Unavailable)
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict)

	sc.edit = func(s *drill.Sample) { // a second in which nothing could be sent may hide an outage of a second
		if s.Class == drill.ClassPooled && s.Scheduled >= drill.Offset(30*sec) && s.Scheduled < drill.Offset(31*sec) {
			s.Outcome, s.Sent = drill.OutcomeUnsent, 0
		}
	}
	require.InDelta(t, 1.06, float64(sc.report().Recovery.Upper), 0.001)
}

func TestOurOwnLatenessIsNoOutage(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.late = func(k int64) time.Duration {
		if k == 1500 {
			return 300 * ms
		}
		return 0
	}
	require.Equal(t, drill.OutcomeNoImpact, sc.report().Recovery.Outcome)
	sc.late = nil
	sc.edit = func(s *drill.Sample) { // the same delay, by the target
		if s.Class == drill.ClassPooled && s.Slot == 1500 {
			s.Done = s.Done.Add(300 * ms)
		}
	}
	rec := sc.report().Recovery
	require.Equal(t, drill.OutcomeNoImpact, rec.Outcome)
	require.Equal(t, drill.BlipsReport{Count: 1, Seconds: 0.02, Longest: 0.02}, rec.Blips)
}

func TestLateAcknowledgementIsDownAndAnAck(t *testing.T) {
	sc := failover()
	sc.cuts = []cut{{20 * sec, 20500 * ms, blackHole}}
	rep := sc.report()
	require.Zero(t, rep.Writes.Failed)
	require.InDelta(t, 0.5, float64(rep.Recovery.Unavailable), 0.045)
	require.InDelta(t, 0.5, float64(rep.Recovery.Slow), 0.045, "every answer came, too late")
	require.Zero(t, rep.Recovery.Failed)
	require.Equal(t, drill.OutageSlow, rep.Recovery.Outages[0].Kind)
	require.Equal(t, rep.Writes.Sent, rep.Writes.Acked)
}

func TestReadOnlyIsDegradedNotRecovered(t *testing.T) {
	sc := failover()
	sc.cuts = []cut{{20 * sec, 24 * sec, refused}, {24 * sec, 30 * sec, readOnly}}
	rec := sc.report().Recovery
	require.InDelta(t, 10, float64(rec.Estimate.Estimate), 0.05)
	require.InDelta(t, 10, float64(rec.Failed), 0.05)
	require.Equal(t, drill.OutageReadOnly, rec.Outages[0].Kind, "that is most of it")
	require.Zero(t, rec.Flaps)
}

func TestUpWithinFollowsTheBaseline(t *testing.T) {
	sc := failover()
	require.Equal(t, drill.Seconds(0.04), sc.report().Recovery.UpWithin)
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Outcome == drill.OutcomeOK {
			s.Done = s.Done.Add(30 * ms)
		}
	}
	require.InDelta(t, 5*0.0314, float64(sc.report().Recovery.UpWithin), 0.0001)
}

// TestTheFaultDoesNotStretchTheBaseline: slots in flight at the injection end late because of it.
func TestTheFaultDoesNotStretchTheBaseline(t *testing.T) {
	sc := failover()
	sc.steady = 19 * sec
	sc.cuts = []cut{{19900 * ms, 20500 * ms, blackHole}}
	require.Equal(t, drill.Seconds(0.04), sc.report().Recovery.UpWithin)
}

func TestClassesAreMeasuredByTheirOwnRate(t *testing.T) {
	sc := failover()
	sc.fresh = 100 * ms
	rec := sc.report().Recovery
	require.Equal(t, rec.Estimate, rec.ByClass[drill.ClassPooled])
	fresh := rec.ByClass[drill.ClassFresh]
	require.Greater(t, fresh.Upper-fresh.Lower, rec.Upper-rec.Lower)
	require.InDelta(t, 8, float64(fresh.Estimate), 0.1)
}

// TestTheIntervalContainsTheTruth is the promise of the product: whatever the phase, the length and the jitter, the
// truth lies in the interval, and the interval is no wider than 2Δ + L + lateness and the injection's own length.
func TestTheIntervalContainsTheTruth(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	hows := []string{blackHole, reset, refused, hang, slow, readOnly}
	for i := range 800 {
		sc := failover()
		sc.pinned, sc.impact = 0, 0
		sc.phase = time.Duration(random.Int64N(int64(sc.delta)))
		length := 60*ms + time.Duration(random.Int64N(int64(8*sec)))
		impact := time.Duration(random.Int64N(int64(3 * sec)))
		sc.from = 6*sec + time.Duration(random.Int64N(int64(sec)))
		sc.at = sc.from + time.Duration(random.Int64N(int64(50*ms)))
		truthFrom := sc.from + time.Duration(random.Int64N(int64(sc.at-sc.from)+1))
		how := hows[random.IntN(len(hows))]
		sc.cuts = []cut{{truthFrom + impact, truthFrom + impact + length, how}}
		most := []time.Duration{0, 5 * ms, 19 * ms, 60 * ms}[i%4]
		if most > sc.delta { // L follows the latency that our own lateness makes, and what is answered within L is up
			sc.cuts[0].to += 300 * ms
		}
		sc.steady, sc.end = sec, sc.cuts[0].to+12*sec
		jitter := make([]time.Duration, sc.end/sc.delta+1)
		for k := range jitter {
			if most > 0 && random.IntN(3) == 0 {
				jitter[k] = time.Duration(random.Int64N(int64(most)))
			}
		}
		sc.late = func(k int64) time.Duration { return jitter[k] }
		name := fmt.Sprintf("%d: %s for %s, %s after the fault, jitter %s", i, how, length, impact, most)

		r := newRun(sc.recording())
		c := r.recovery()
		if len(c.outages) == 0 { // what was seen of it is no more than a blip
			require.Less(t, length, c.probe.criterion.blip+2*sc.delta+r.headline.gauge.within, name)
			require.GreaterOrEqual(t, float64(c.estimate.Upper), length.Seconds(), name)
			continue
		}
		require.False(t, c.never, name)
		truth := (sc.cuts[0].to - truthFrom).Seconds()
		require.LessOrEqual(t, float64(c.estimate.Lower), truth+1e-9, name)
		require.GreaterOrEqual(t, float64(c.estimate.Upper), truth-1e-9, name)
		last := c.outages[len(c.outages)-1]
		worst := lateness(c.slots, last.last, last.up+1)
		widest := 2*sc.delta + r.headline.gauge.within + worst + (sc.at - sc.from)
		require.LessOrEqual(t, float64(c.estimate.Upper-c.estimate.Lower), widest.Seconds()+1e-9, name)
		require.GreaterOrEqual(t, c.estimate.Estimate, c.estimate.Lower, name)
		require.LessOrEqual(t, c.estimate.Estimate, c.estimate.Upper, name)
	}
}

func TestTheOrderOfArrivalDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	sc := failover()
	sc.fresh = 100 * ms
	sc.cuts = []cut{{20 * sec, 23 * sec, blackHole}, {25 * sec, 27 * sec, reset}}
	sc.lost = func(seq int64) bool { return seq >= 990 && seq < 1000 }
	want := sc.report()
	for range 3 {
		rec := sc.recording()
		events := slices.Collect(rec.Events)
		for i, e := range events {
			random.Shuffle(len(e.Samples), func(x, y int) { events[i].Samples[x], events[i].Samples[y] = e.Samples[y], e.Samples[x] })
		}
		require.Equal(t, want, Report(rec))
	}
}

func TestRedundancy(t *testing.T) {
	sc := failover()
	require.InDelta(t, 21, float64(*sc.report().Recovery.Redundancy), 0.11, "a is back 21 s after the fault")

	sc.back = 200 * sec
	require.Equal(t, drill.Never(), *sc.report().Recovery.Redundancy)

	sc = failover()
	sc.replication = func(m string, at time.Duration) time.Duration {
		if m == "c" && at > 20*sec && at < 60*sec {
			return 3 * sec // more than the objective's second
		}
		return 0
	}
	require.InDelta(t, 40, float64(*sc.report().Recovery.Redundancy), 0.11)

	sc = failover()
	sc.edit = func(s *drill.Sample) {
		if s.Member == "c" && s.Scheduled < drill.Offset(50*sec) && s.Scheduled > drill.Offset(20*sec) {
			s.Reading.Streaming = false
		}
	}
	require.InDelta(t, 30, float64(*sc.report().Recovery.Redundancy), 0.11)

	sc = failover()
	sc.edit = func(s *drill.Sample) { // whole for one second only, then not until 60 s
		if s.Member == "c" && s.Scheduled > drill.Offset(42*sec) && s.Scheduled < drill.Offset(60*sec) {
			s.Reading.Streaming = false
		}
	}
	require.InDelta(t, 40, float64(*sc.report().Recovery.Redundancy), 0.11)

	sc = failover()
	sc.cuts, sc.heirAt = nil, 0
	require.Zero(t, *sc.report().Recovery.Redundancy, "nothing was ever missing")
	sc.edit = func(s *drill.Sample) {
		if s.Member == "c" && s.Scheduled > drill.Offset(80*sec) {
			s.Reading.Streaming = false
		}
	}
	require.Equal(t, drill.Never(), *sc.report().Recovery.Redundancy)

	sc = failover()
	sc.pinned = 0
	rep := sc.report()
	require.Nil(t, rep.Recovery.Redundancy)
	require.Contains(t, rep.Unknown, "recovery.redundancy_seconds")
	require.Contains(t, rep.Unknown, "replication_lag")
}

// TestLostWritesAreNotLagForever: a write that only the dead primary had can be shown by nobody, and must not keep the
// target from being whole again.
func TestLostWritesAreNotLagForever(t *testing.T) {
	sc := failover()
	sc.lost = func(seq int64) bool { return seq >= 990 && seq < 1000 }
	rep := sc.report()
	require.Equal(t, 10, *rep.Writes.Lost)
	require.InDelta(t, 21, float64(*rep.Recovery.Redundancy), 0.11)
	require.InDelta(t, 8.1, float64(rep.ReplicationLag.Peak.Upper), 0.3, "until the promotion their age is lag")
}

func TestPhases(t *testing.T) {
	sc := failover()
	sc.events = []drill.Event{
		views(5*sec, "a", "a", "a"),
		views(21*sec, "a", "", ""),
		views(27950*ms, "b", "", "b"),
		views(28500*ms, "b", "b", "b"), // the watch is late: writes came back before
	}
	rec := sc.report().Recovery
	var names []string
	var sum drill.Seconds
	for _, p := range rec.Phases {
		names = append(names, p.Name)
		require.InDelta(t, float64(sum), float64(p.Start), 1e-6)
		require.GreaterOrEqual(t, p.Seconds, drill.Seconds(0))
		require.NotEmpty(t, p.Signal)
		sum += p.Seconds
	}
	require.Equal(t, []string{"impact", "detected", "promoted", "routed", "first_success", "sustained", "redundant"}, names)
	require.InDelta(t, float64(*rec.Redundancy), float64(sum), 0.02)
	require.InDelta(t, 1, float64(rec.Phases[1].Start+rec.Phases[1].Seconds), 0.001)
	require.Equal(t, "the Service dropped a", rec.Phases[1].Signal)
	require.InDelta(t, 7.95, float64(rec.Phases[2].Start+rec.Phases[2].Seconds), 0.1)

	require.InDelta(t, float64(rec.Estimate.Estimate), float64(rec.Phases[5].Start+rec.Phases[5].Seconds), 1e-6, "a late watch does not delay it")

	sc.cuts[0].from = 22 * sec // detected before a client noticed: clamped to order
	rec = sc.report().Recovery
	require.InDelta(t, 2, float64(rec.Phases[0].Seconds), 0.021)
	require.Zero(t, rec.Phases[1].Seconds)

	sc.events = nil // nothing was announced
	rec = sc.report().Recovery
	i := slices.IndexFunc(rec.Phases, func(p drill.Phase) bool { return p.Name == "detected" })
	require.Contains(t, rec.Phases[i].Signal, "inferred")
	require.False(t, slices.ContainsFunc(rec.Phases, func(p drill.Phase) bool { return p.Name == "routed" }))

	sc.back = 200 * sec // without redundancy they sum to the recovery
	rec, sum = sc.report().Recovery, 0
	for _, p := range rec.Phases {
		sum += p.Seconds
	}
	require.InDelta(t, float64(rec.Estimate.Estimate), float64(sum), 0.02)
}

func TestABlindStretchIsTold(t *testing.T) {
	sc := failover()
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Scheduled >= drill.Offset(50*sec) && s.Scheduled < drill.Offset(52*sec) {
			s.Outcome, s.Sent = drill.OutcomeUnsent, 0
		}
	}
	rep := sc.report()
	require.Equal(t, "blind_stretch", rep.Findings[0].Code)
	require.Contains(t, rep.Findings[0].Text, "for 2 s, from 29.98 s after the fault")
}
