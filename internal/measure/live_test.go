package measure

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// play feeds a scene to Live as a run would, and calls at every 50 ms of it.
func play(sc scene, at func(l *Live, now drill.Offset)) {
	rec := sc.recording()
	l := NewLive(rec.Settings)
	var samples []drill.Sample
	events := slices.Collect(rec.Events)
	for _, e := range events {
		samples = append(samples, e.Samples...)
	}
	slices.SortStableFunc(events, func(a, b drill.Event) int { return int(a.At - b.At) })
	for now := drill.Offset(0); now < drill.Offset(sc.end); now = now.Add(50 * ms) {
		for len(events) > 0 && events[0].At <= now {
			l.Event(events[0])
			events = events[1:]
		}
		for len(samples) > 0 && samples[0].Done <= now {
			l.Sample(samples[0])
			samples = samples[1:]
		}
		at(l, now)
	}
}

// TestLiveAtTheIdleRate: slots that are few because few are due are no outage, and one that is missing is.
func TestLiveAtTheIdleRate(t *testing.T) {
	l := NewLive(settings)
	info := drill.ProbeInfo{Name: "orders", Kind: "postgresql", Target: "orders", Class: drill.ClassPooled, Interval: 20 * ms, Deadline: sec}
	l.Event(drill.Event{Type: drill.EventProbe, Probe: &info})
	slot := int64(0)
	answer := func(at time.Duration) {
		due := drill.Offset(at)
		l.Sample(drill.Sample{Probe: "orders", Class: drill.ClassPooled, Slot: slot, Scheduled: due, Sent: due, Done: due.Add(ms), Outcome: drill.OutcomeOK, Write: true})
		slot++
	}
	outage := func(at time.Duration) float64 {
		return l.Values(drill.Offset(at))["target"]["orders"]["outage_seconds"]
	}
	for at := time.Duration(0); at <= 2*sec; at += 200 * ms {
		answer(at)
	}
	require.InDelta(t, 1, l.Values(drill.Offset(2439 * ms))["target"]["orders"]["success_ratio"], 0)
	require.Zero(t, outage(2639*ms), "two slots are missing: a blip")
	require.Equal(t, 2*sec, l.UpFor("orders", drill.Offset(2639*ms)))
	require.InDelta(t, 0.461, outage(2661*ms), 0.0001, "three slots are missing, the first since 2.2 s")
	require.Zero(t, l.UpFor("orders", drill.Offset(2661*ms)))

	for at := 2200 * ms; at <= 3*sec; at += 20 * ms { // the measuring rate
		answer(at)
	}
	require.Zero(t, outage(3299*ms))
	require.NotZero(t, outage(3320*ms))
}

func TestLiveValues(t *testing.T) {
	sc := failover()
	sc.cuts[0].how = hang // every slot hangs for a second: the values must not wait for it
	var redundant drill.Offset
	play(sc, func(l *Live, now drill.Offset) {
		v := l.Values(now)["target"]["orders"]
		whole := l.Redundant("orders", now)
		switch at := time.Duration(now); {
		case at > 3*sec && at < 20*sec:
			require.Zero(t, v["outage_seconds"], at.String())
			require.Zero(t, v["lag_seconds"], at.String())
			require.InDelta(t, 1, v["success_ratio"], 0)
			require.InDelta(t, 1, v["primaries"], 0)
			ok, why := l.Steady("orders", now)
			require.True(t, ok, why)
		case at > 20100*ms && at < 20250*ms:
			require.Zero(t, v["outage_seconds"], "no more than a blip so far")
		case at > 20320*ms && at < 28*sec:
			require.InDelta(t, (at - 20*sec).Seconds(), v["outage_seconds"], 0.03)
			require.Less(t, v["success_ratio"], 1.0)
			require.Zero(t, l.UpFor("orders", now))
			require.False(t, whole)
		case at > 28100*ms:
			require.Zero(t, v["outage_seconds"], at.String())
			require.InDelta(t, (at - 28*sec).Seconds(), l.UpFor("orders", now).Seconds(), 0.07)
		}
		if whole && time.Duration(now) > 20100*ms && redundant == 0 {
			redundant = now
		}
	})
	rep := sc.report()
	require.InDelta(t, float64(*rep.Recovery.Redundancy), (time.Duration(redundant) - sc.from).Seconds(), 0.051, "live and report agree")
}

func TestLiveLagIsAbsentWhenUnknown(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.silent = func(m string, t time.Duration) drill.Outcome {
		if m == "c" && t >= 30*sec && t < 40*sec {
			return drill.OutcomeBlocked
		}
		return ""
	}
	sc.replication = func(m string, at time.Duration) time.Duration {
		if m == "c" && at > 60*sec {
			return min(at-60*sec, 5*sec)
		}
		return 0
	}
	var why string
	play(sc, func(l *Live, now drill.Offset) {
		lag, known := l.Values(now)["target"]["orders"]["lag_seconds"]
		at := time.Duration(now)
		require.Equal(t, known, l.Lags("orders", now)["c"].Known && l.Lags("orders", now)["b"].Known, at.String())
		switch {
		case at > 30100*ms && at < 40*sec:
			require.False(t, known, at.String())
			_, why = l.Steady("orders", now)
			require.Equal(t, "c does not answer", why)
		case at > 66*sec:
			require.InDelta(t, 5, lag, 0.15)
			_, why = l.Steady("orders", now)
			require.Contains(t, why, "c is 4.98")
		case at > sec && at < 30*sec:
			require.True(t, known, at.String())
		}
		_, primary := l.Lags("orders", now)["a"]
		require.False(t, primary && at > sec)
	})
}

func TestLiveWordsGrowStale(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	var last *Live
	play(sc, func(l *Live, now drill.Offset) { last = l })
	end := drill.Offset(sc.end)
	require.True(t, last.Redundant("orders", end))
	require.False(t, last.Redundant("orders", end.Add(2*sec)), "nothing was heard for longer than a slot may take")
	require.Zero(t, last.UpFor("orders", end.Add(sec)))
	require.InDelta(t, 60, last.Values(end.Add(60 * sec))["target"]["orders"]["outage_seconds"], 0.05)
}

func TestLiveStarvationIsNoOutage(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt = nil, 0
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Scheduled >= drill.Offset(30*sec) && s.Scheduled < drill.Offset(40*sec) {
			s.Outcome, s.Sent, s.Done = drill.OutcomeUnsent, 0, s.Scheduled
		}
	}
	play(sc, func(l *Live, now drill.Offset) {
		require.Zero(t, l.Values(now)["target"]["orders"]["outage_seconds"], time.Duration(now).String())
	})

	sc.cuts = []cut{{29900 * ms, 40 * sec, refused}} // but a target that hangs also keeps slots unsent
	play(sc, func(l *Live, now drill.Offset) {
		if at := time.Duration(now); at > 31*sec && at < 40*sec {
			require.InDelta(t, (at - 29900*ms).Seconds(), l.Values(now)["target"]["orders"]["outage_seconds"], 0.05)
		}
	})
}

// TestLiveHungSlotsCountBeforeTheyEnd: a target that hangs fills every session, so that what follows is unsent.
func TestLiveHungSlotsCountBeforeTheyEnd(t *testing.T) {
	l := NewLive(settings)
	l.Event(drill.Event{Type: drill.EventProbe, Probe: &drill.ProbeInfo{Name: "orders", Target: "orders", Class: drill.ClassPooled, Interval: 20 * ms}})
	sample := func(k int64, o drill.Outcome) {
		due := drill.Offset(time.Duration(k) * 20 * ms)
		l.Sample(drill.Sample{Probe: "orders", Class: drill.ClassPooled, Slot: k, Scheduled: due, Sent: due, Done: due.Add(ms), Outcome: o})
	}
	for k := range int64(10) {
		sample(k, drill.OutcomeOK)
	}
	for k := range int64(40) {
		sample(12+k, drill.OutcomeUnsent) // 10 and 11 hang
	}
	require.InDelta(t, 0.8, l.Values(drill.Offset(sec))["target"]["orders"]["outage_seconds"], 0.001)
}

func TestLiveBeforeAnything(t *testing.T) {
	l := NewLive(settings)
	require.Zero(t, l.UpFor("orders", 0))
	require.False(t, l.Redundant("orders", 0))
	ok, why := l.Steady("orders", 0)
	require.False(t, ok)
	require.Contains(t, why, "not probed yet")
	l.Sample(drill.Sample{Probe: "nobody"})
	require.Empty(t, l.Values(0)["target"])
	l.Event(drill.Event{Type: drill.EventProbe, Probe: &drill.ProbeInfo{Name: "orders", Target: "orders", Class: drill.ClassPooled, Interval: 20 * ms}})
	require.Empty(t, l.Values(0)["target"]["orders"])
	require.InDelta(t, 5, l.Values(drill.Offset(5 * sec))["target"]["orders"]["outage_seconds"], 1e-9, "it never answered")
}

// TestLiveJudgesAsTheReportDoes: the same slots are up, and the window is believed at the same time.
func TestLiveJudgesAsTheReportDoes(t *testing.T) {
	for _, how := range []string{blackHole, reset, slow, hang} {
		sc := failover()
		sc.cuts = []cut{{20 * sec, 23 * sec, how}, {30 * sec, 31 * sec, how}}
		var believed drill.Offset
		var g gauge
		play(sc, func(l *Live, now drill.Offset) {
			if believed == 0 && time.Duration(now) > 20350*ms && l.UpFor("orders", now) >= settings.Window {
				believed = now
			}
			g = l.probes["orders"].gauge
		})
		r := newRun(sc.recording())
		require.Equal(t, r.headline.gauge, g)
		c := r.recovery()
		require.InDelta(t, c.at.Add(settings.Window).Seconds(), believed.Seconds(), 0.1, how)
	}
}

func BenchmarkLive(b *testing.B) {
	rec := failover().recording()
	var samples []drill.Sample
	for e := range rec.Events {
		samples = append(samples, e.Samples...)
	}
	for b.Loop() {
		l := NewLive(rec.Settings)
		for e := range rec.Events {
			l.Event(e)
		}
		for _, s := range samples {
			l.Sample(s)
			l.Values(s.Done)
		}
	}
	b.ReportMetric(float64(len(samples)), "samples/op")
}

func BenchmarkReport(b *testing.B) {
	rec := failover().recording()
	for b.Loop() {
		Report(rec)
	}
}
