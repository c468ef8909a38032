package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// handover is a planned one: b leads from 20.5 s on, and no write fails.
func handover() scene {
	sc := failover()
	sc.cuts, sc.heirAt, sc.back = nil, 20500*ms, 20500*ms
	return sc
}

// unfenced is a failover that fences nobody: pooled sessions stay with a, and new clients come to b.
func unfenced() scene {
	sc := failover()
	sc.cuts, sc.heirAt, sc.fresh, sc.end = nil, 0, 100*ms, 37*sec
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassFresh && s.Scheduled >= drill.Offset(20*sec) {
			s.By, s.Epoch = "b", 2
		}
	}
	return sc
}

// between reports whether the slot's turn is in a stretch.
func between(s *drill.Sample, from, to time.Duration) bool {
	return s.Scheduled >= drill.Offset(from) && s.Scheduled < drill.Offset(to)
}

// says lets a pinned slot answer with its member's own word.
func says(s *drill.Sample, o drill.Outcome, epoch int64) {
	s.Outcome, s.Signal, s.By, s.Role, s.Epoch, s.Write = o, "", s.Member, drill.RolePrimary, epoch, true
	s.Reading = &drill.Reading{UID: s.Member}
}

// TestLateRepliesAreNoChange (W8): five writes that a had executed before the handover are answered 0.6 s later.
func TestLateRepliesAreNoChange(t *testing.T) {
	for _, epoch := range []int64{2, 1, 0} {
		sc := handover()
		sc.epoch = epoch
		sc.edit = func(s *drill.Sample) {
			if epoch == 0 {
				s.Epoch = 0
			}
			if s.Class == drill.ClassPooled && between(s, 20400*ms, 20500*ms) {
				s.Done = s.Done.Add(600 * ms)
			}
		}
		p := sc.report().Primaries
		require.Equal(t, 1, p.LeaderChanges, "epoch %d", epoch)
		require.Zero(t, p.ZombieTail)
		require.Zero(t, p.DualPrimary)
		require.Zero(t, p.EpochRegressions)
	}
}

// TestLeaderChanges (W9): whoever shows that it led counts, by whichever probe, and nobody counts twice.
func TestLeaderChanges(t *testing.T) {
	pinned := func(member string, from, to time.Duration, o drill.Outcome, epoch int64) func(*drill.Sample) {
		return func(s *drill.Sample) {
			if s.Member == member && between(s, from, to) {
				says(s, o, epoch)
			}
		}
	}
	const doubt = drill.OutcomeIndeterminate
	inPlace := func(sc *scene) { sc.heir, sc.epoch = "a", 1 }
	for name, c := range map[string]struct {
		change func(*scene)
		want   int
	}{
		"a failover":              {func(*scene) {}, 1},
		"timeline 1 to 4":         {func(sc *scene) { sc.epoch = 4 }, 3},
		"a restart in place":      {inPlace, 0},
		"no epochs":               {func(sc *scene) { sc.edit = func(s *drill.Sample) { s.Epoch = 0 } }, 1},
		"c led for 2 s":           {func(sc *scene) { sc.edit = pinned("c", 24*sec, 26*sec, drill.OutcomeOK, 1) }, 2},
		"c said that it did":      {func(sc *scene) { sc.edit = pinned("c", 24*sec, 26*sec, doubt, 1) }, 2},
		"c said so in one answer": {func(sc *scene) { sc.edit = pinned("c", 24*sec, 24100*ms, doubt, 1) }, 2},
		"no client can reach b":   {func(sc *scene) { sc.cuts[0].to = sc.end }, 1},
		"nor can b finish a write": {func(sc *scene) {
			sc.cuts[0].to, sc.edit = sc.end, pinned("b", 28*sec, sc.end, doubt, 2)
		}, 1},
		"a quick overlap":           {func(sc *scene) { sc.edit = pinned("a", 27*sec, 28200*ms, doubt, 1) }, 1},
		"a thaws and does not know": {func(sc *scene) { sc.edit = pinned("a", 33*sec, 36*sec, drill.OutcomeOK, 1) }, 1},
		"there and back": {func(sc *scene) {
			sc.epoch, sc.leaders = 1, []reign{{50 * sec, "a", 1}}
		}, 2},
		"there and back, with an overlap": {func(sc *scene) {
			sc.epoch, sc.leaders = 1, []reign{{50 * sec, "a", 1}}
			sc.edit = pinned("b", 50*sec, 50300*ms, drill.OutcomeOK, 1)
		}, 2},
		"by the view alone": {func(sc *scene) {
			inPlace(sc)
			sc.events = []drill.Event{views(5*sec, "a", "a", "a"), views(22*sec, "a", "a", ""), views(24*sec, "a", "a", "b"),
				views(26*sec, "a", "a", ""), views(28*sec, "a", "a", "a")}
		}, 2},
		"a view of a restart": {func(sc *scene) {
			inPlace(sc)
			sc.events = []drill.Event{views(5*sec, "a", "a", "a"), views(22*sec, "a", "a", ""), views(28*sec, "a", "a", "a")}
		}, 0},
		"a view in which an old word stands": {func(sc *scene) {
			sc.cuts = append(sc.cuts, cut{34 * sec, 37 * sec, refused})
			sc.silent = func(m string, at time.Duration) drill.Outcome {
				if at >= 34*sec && at < 37*sec {
					return drill.OutcomeFail
				}
				return ""
			}
			sc.events = []drill.Event{views(5*sec, "a", "a", "a"), views(35500*ms, "b", "a", "a")}
		}, 1},
		"a view that is late": {func(sc *scene) {
			both := views(28*sec, "a", "a", "a")
			both.Views.Member = []string{"a", "b"}
			sc.events = []drill.Event{views(5*sec, "a", "a", "a"), both, views(29*sec, "b", "b", "b")}
		}, 1},
	} {
		sc := failover()
		c.change(&sc)
		require.Equal(t, c.want, sc.report().Primaries.LeaderChanges, name)
	}
}

// TestASplitBrainIsOneChange (W5): two members that go on side by side are two writers; the leader has changed once,
// not with every write.
func TestASplitBrainIsOneChange(t *testing.T) {
	sc := unfenced()
	rep := sc.report()
	require.Equal(t, drill.OutcomeNoImpact, rep.Recovery.Outcome)
	require.Equal(t, 1, rep.Primaries.LeaderChanges)
	require.InDelta(t, 17, float64(rep.Primaries.DualPrimary), 0.1)
	require.Equal(t, []string{"a", "b"}, newRun(sc.recording()).writers())
	require.Equal(t, 1, rep.Primaries.EpochForks, "W24: epoch 1 went on after epoch 2 had begun")

	stall := sc.edit
	sc.edit = func(s *drill.Sample) {
		stall(s)
		if (s.By == "a" && between(s, 25*sec, 28*sec) || s.By == "b" && between(s, 30*sec, 32*sec)) && s.Write {
			s.Outcome, s.Signal, s.By, s.Role, s.Reading = drill.OutcomeFail, drill.SignalTimeout, "", drill.RoleUnknown, nil
		}
	}
	rep = sc.report()
	require.Equal(t, 2, rep.Primaries.LeaderChanges, "a goes on alone for 2 s, and then b is heard as a zombie of it")
	require.InDelta(t, 12, float64(rep.Primaries.DualPrimary), 0.3)

	require.Empty(t, newRun(handover().recording()).writers())
}

// TestWhatWasBeforeTheHoldDoesNotCount (W21): there and back and two writers for 3 s, all over before the steady state
// held.
func TestWhatWasBeforeTheHoldDoesNotCount(t *testing.T) {
	sc := failover()
	sc.steady = 15 * sec
	sc.edit = func(s *drill.Sample) {
		switch {
		case s.Class == drill.ClassPooled && between(s, 4*sec, 6*sec):
			s.By, s.Epoch = "b", 2
		case s.Member == "c" && between(s, 8*sec, 11*sec):
			says(s, drill.OutcomeOK, 1)
		}
	}
	p := sc.report().Primaries
	require.Equal(t, 1, p.LeaderChanges)
	require.Zero(t, p.DualPrimary)
	require.Zero(t, p.EpochForks)
	require.Zero(t, p.ZombieTail)

	sc.steady = 2 * sec
	p = sc.report().Primaries
	require.Greater(t, p.LeaderChanges, 2, "the scene has what it is about")
	require.NotZero(t, p.DualPrimary)
	require.NotZero(t, p.EpochForks)
}

// TestTwoPodsOfOneName (W23): the node of a is cut off, its pod is replaced, and clients of the old one are served on.
func TestTwoPodsOfOneName(t *testing.T) {
	sc := failover()
	sc.cuts, sc.heirAt, sc.end = nil, 0, 60*sec
	sc.edit = func(s *drill.Sample) {
		if s.Member == "a" && between(s, 30*sec, 40*sec) {
			s.Reading.UID = "another-pod"
		}
		if s.Class == drill.ClassPooled {
			s.ByUID = "a"
		}
	}
	rep := sc.report()
	require.InDelta(t, 10, float64(rep.Primaries.DualPrimary), 0.2)
	require.Equal(t, []string{"a (pod a)", "a (pod another-)"}, newRun(sc.recording()).writers())
	require.Zero(t, rep.Primaries.LeaderChanges, "a is a")

	edit := sc.edit
	sc.edit = func(s *drill.Sample) {
		edit(s)
		s.ByUID = ""
	}
	require.Zero(t, sc.report().Primaries.DualPrimary, "an answer that names no pod is of the one that has the name")
}
