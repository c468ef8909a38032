package measure

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// unread lets pinned slots of members bring nothing for a while.
func unread(members string, from, to time.Duration) func(string, time.Duration) drill.Outcome {
	return func(m string, at time.Duration) drill.Outcome {
		if slices.Contains([]byte(members), m[0]) && at >= from && at < to {
			return drill.OutcomeFail
		}
		return ""
	}
}

// TestLagOfWhatNobodyReadIsUnknown (W10): the worst lag after the fault is known only where it was watched.
func TestLagOfWhatNobodyReadIsUnknown(t *testing.T) {
	too := []drill.FaultPlan{{Kind: "pod_kill", Name: "too", Victims: []drill.Member{{Name: "c"}}}}
	hurt := []drill.Event{{Type: drill.EventPlan, Plans: too}} // c is a victim as well
	for name, c := range map[string]struct {
		change func(*scene)
		known  bool
	}{
		"the victim is away for 21 s":      {func(*scene) {}, true},
		"nobody from the fault to the end": {func(sc *scene) { sc.silent = unread("abc", 20*sec, sc.end) }, false},
		"a survivor for 0.9 s":             {func(sc *scene) { sc.silent = unread("c", 50*sec, 50900*ms) }, true},
		"a survivor for 1.2 s":             {func(sc *scene) { sc.silent = unread("c", 50*sec, 51200*ms) }, false},
		"a survivor from the fault on":     {func(sc *scene) { sc.silent = unread("c", 20*sec, 22*sec) }, false},
		"a survivor before the fault":      {func(sc *scene) { sc.silent = unread("c", 15*sec, 20*sec) }, true},
		"a survivor's last 2 s":            {func(sc *scene) { sc.silent = unread("c", 88*sec, sc.end) }, false},
		"the second victim as well":        {func(sc *scene) { sc.silent, sc.events = unread("c", 20*sec, 60*sec), hurt }, true},
		"no replica is left: all were hurt": {func(sc *scene) {
			sc.silent, sc.events, sc.back = unread("c", 20*sec, sc.end), hurt, sc.end
		}, false},
		"one of two victims is back, of all": {func(sc *scene) { sc.silent, sc.events = unread("c", 20*sec, sc.end), hurt }, true},
		"the new primary, before it was one": {func(sc *scene) { sc.silent = unread("b", 21*sec, 23*sec) }, false},
		"now and then, but never for a second": {func(sc *scene) {
			sc.silent = func(m string, at time.Duration) drill.Outcome {
				return unread(m, 0, 500*ms)(m, at%(2*sec))
			}
		}, true},
	} {
		sc := failover()
		c.change(&sc)
		rec := sc.recording()
		rep := Report(rec)
		require.Equal(t, c.known, rep.ReplicationLag.Peak != nil, name)
		_, final := Final(rec)["target"]["orders"]["lag_seconds"]
		require.Equal(t, c.known, final, name)
		require.Equal(t, !c.known, slices.Contains(rep.Unknown, "replication_lag.peak_seconds"), name)
	}
}

// TestAnEndlessEngineFigureIsADisagreement (W27).
func TestAnEndlessEngineFigureIsADisagreement(t *testing.T) {
	sc := failover()
	sc.edit = func(s *drill.Sample) {
		if s.Member == "c" && s.Reading != nil && between(s, 50*sec, 51*sec) {
			s.Reading.EngineLag = math.Inf(1)
		}
	}
	rep := sc.report()
	require.Equal(t, drill.Never(), *rep.ReplicationLag.EngineDisagreement)
	require.Len(t, rep.Findings, 1)
	require.Equal(t, "lag_metric_lies", rep.Findings[0].Code)
	require.Contains(t, rep.Findings[0].Text, "your dashboard's query said +Inf.")
}

// TestANewPodHasShownNothing (W23): from 60 s on the name c is that of another pod, which is empty until 75 s.
func TestANewPodHasShownNothing(t *testing.T) {
	sc := failover()
	full := sc.end
	sc.edit = func(s *drill.Sample) {
		if s.Member != "c" || !between(s, 60*sec, sc.end) {
			return
		}
		s.Reading.UID = "new"
		switch {
		case s.Scheduled < drill.Offset(full):
			s.Reading.Seen = nil
		case s.Scheduled < drill.Offset(full+100*ms):
			s.Reading.Seen = nil
			for seq := range int64(75*50 - 5) {
				s.Reading.Seen = append(s.Reading.Seen, seq)
			}
		}
	}
	rep := sc.report()
	require.InDelta(t, 90, float64(rep.ReplicationLag.ByMember["c"].Upper), 0.2, "it does not show the very first write")
	require.InDelta(t, 90, float64(rep.ReplicationLag.ByMember["c"].Lower), 0.2)

	full = 75 * sec
	rep = sc.report()
	require.InDelta(t, 75, float64(rep.ReplicationLag.Peak.Upper), 0.2)
	whole := newRun(sc.recording()).replay().whole
	require.Equal(t, span{drill.Offset(41*sec + 4*ms), drill.Offset(60*sec + 3*ms)}, whole[1])
	require.InDelta(t, 75, whole[2].from.Seconds(), 0.3, "it has everything")

	stale := rep.Writes.Stale["c"]
	require.InDelta(t, 75*50-400, stale.Writes, 20, "the new pod came late with all of them")
	require.InDelta(t, 75, float64(stale.Max.Upper), 0.2)

	// A new pod that lacks one write in the middle, which everybody had shown: its lag is not less than the truth.
	edit := sc.edit
	sc.edit = func(s *drill.Sample) {
		edit(s)
		if s.Member == "c" && s.Reading != nil && s.Reading.UID == "new" {
			s.Reading.Seen = slices.DeleteFunc(s.Reading.Seen, func(seq int64) bool { return seq == 500 })
		}
	}
	lags := newRun(sc.recording()).replay().lags
	last := lags[slices.IndexFunc(lags, func(l reading) bool { return l.member == "c" && l.sent > drill.Offset(89*sec) })]
	require.Greater(t, float64(last.bounds.Upper), 79.0)
	require.Less(t, float64(last.bounds.Lower), 79.0)
}

// replaced is a failover after which the operator gives up the victim's volume: d comes in its place at 41 s, and e in
// that of d at 60 s.
func replaced() scene {
	sc := failover()
	asked := map[string]bool{}
	sc.edit = func(s *drill.Sample) {
		if s.Member != "a" || s.Reading == nil || s.Scheduled < drill.Offset(sc.back) {
			return
		}
		s.By = "d"
		if s.Scheduled >= drill.Offset(60*sec) {
			s.By = "e"
		}
		s.Reading.UID = "uid-" + s.By
		if !asked[s.By] { // it was made from a base backup
			asked[s.By], s.Reading.Seen = true, nil
			for seq := range int64(time.Duration(s.Sent)/sc.delta) + 1 {
				s.Reading.Seen = append(s.Reading.Seen, seq)
			}
		}
	}
	return sc
}

// TestAMemberIsReplacedUnderAnotherName (W26): as many as before are back, by whatever name.
func TestAMemberIsReplacedUnderAnotherName(t *testing.T) {
	rep := replaced().report()
	require.InDelta(t, 21, float64(*rep.Recovery.Redundancy), 0.2)
	lag := rep.ReplicationLag
	require.InDelta(t, 41-27.9, float64(lag.Unknown), 0.2, "a is gone, and nobody waits for it")
	require.ElementsMatch(t, []string{"b", "c", "d", "e"}, sorted(lag.ByMember))
	require.NotNil(t, lag.Peak)
	require.Less(t, float64(lag.Peak.Upper), 0.2)
	require.ElementsMatch(t, []string{"b", "c", "d", "e"}, sorted(rep.Writes.Stale))

	l := NewLive(settings)
	sc := replaced()
	for e := range sc.recording().Events {
		l.Event(e)
		for _, s := range e.Samples {
			l.Sample(s)
		}
	}
	now := drill.Offset(sc.end)
	require.True(t, l.Redundant("orders", now))
	require.ElementsMatch(t, []string{"c", "e"}, sorted(l.Lags("orders", now)))
	require.LessOrEqual(t, len(l.targets["orders"].cluster.acks), 20, "what the new ones show is let go")

	sc = replaced()
	edit := sc.edit
	sc.edit = func(s *drill.Sample) {
		edit(s)
		if s.By == "d" || s.By == "e" {
			s.Reading.Seen = nil
		}
	}
	require.Equal(t, drill.Never(), *sc.report().Recovery.Redundancy, "they are empty")

	sc = replaced()
	edit = sc.edit
	sc.edit = func(s *drill.Sample) {
		edit(s)
		if s.Member == "a" && s.Scheduled > drill.Offset(70*sec) {
			s.Outcome, s.Role, s.By, s.Reading = drill.OutcomeBlocked, drill.RoleUnknown, "", nil
		}
	}
	l = NewLive(settings)
	for e := range sc.recording().Events {
		l.Event(e)
		for _, s := range e.Samples {
			l.Sample(s)
		}
	}
	_, why := l.targets["orders"].cluster.whole(now)
	require.Equal(t, "e does not answer", why, "a slot that brought nothing is about the member that its probe asks now")
}

// TestTheSpanOfALossIsThatOfEachFault (W11).
func TestTheSpanOfALossIsThatOfEachFault(t *testing.T) {
	sc := twice("c")
	sc.lost = func(seq int64) bool { return seq >= 995 && seq < 1000 || seq >= 2995 && seq < 3000 }
	w := sc.report().Writes
	require.Equal(t, 10, *w.Lost)
	require.InDelta(t, 0.2, float64(*w.LostSpan), 0.01)
	require.InDelta(t, 0.2, float64(*w.ByClass[drill.ClassPooled].LostSpan), 0.01)

	at := func(delta time.Duration, offsets ...time.Duration) (all []loss) {
		for _, o := range offsets {
			all = append(all, loss{drill.Offset(o), delta})
		}
		return all
	}
	require.Zero(t, lostSpan(nil))
	require.Equal(t, 20*ms, lostSpan(at(20*ms, 5*sec)))
	require.Equal(t, sec+20*ms, lostSpan(at(20*ms, 6*sec, 5*sec)), "a second apart is one loss, in whatever order")
	require.Equal(t, 40*ms, lostSpan(at(20*ms, 5*sec, 6*sec+ms)), "more is two")
	require.InDelta(t, 3*sec, lostSpan(at(sec, 5*sec, 6*sec+ms, 7*sec)), float64(ms), "at 1 Hz each stands for its second")
	both := append(at(20*ms, 5*sec), at(100*ms, 5050*ms)...)
	require.Equal(t, 70*ms, lostSpan(both), "of two probes the finer one counts")
}
