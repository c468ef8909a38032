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

// writer is one probe of a member that acknowledges from one moment to another.
type writer struct {
	by       string
	class    drill.Class
	epoch    int64
	from, to time.Duration
}

// acksOf are the acknowledgements, each a little after its turn, in the order of Sent. Phases and latencies are random:
// slots may well end around a multiple of Δ.
func acksOf(random *rand.Rand, writers ...writer) []slot {
	var all []slot
	shared := traits{}
	for i, w := range writers {
		delta := map[drill.Class]time.Duration{drill.ClassPooled: 20 * ms, drill.ClassPinned: 100 * ms}[w.class]
		phase := time.Duration(random.Int64N(int64(delta)))
		if random.IntN(4) == 0 {
			phase = delta - 3*ms // answers come right before and right after a multiple of Δ
		}
		for k := int64(0); ; k++ {
			due := phase + time.Duration(k)*delta
			sent := due + time.Duration(random.Int64N(int64(2*ms)))
			done := sent + ms/2 + time.Duration(random.Int64N(int64(5*ms)))
			if done > w.to {
				break
			}
			if sent >= w.from {
				all = append(all, shared.slot(drill.Sample{Probe: fmt.Sprint(i), Class: w.class, Slot: k, By: w.by, Epoch: w.epoch, Write: true,
					Outcome: drill.OutcomeOK, Scheduled: drill.Offset(due), Sent: drill.Offset(sent), Done: drill.Offset(done)}))
			}
		}
	}
	slices.SortFunc(all, bySending)
	return all
}

// dualPrimary is the time in which two members acknowledged writes.
func dualPrimary(acks []slot, delta time.Duration) time.Duration {
	both, _ := together(tenures((&run{}).writes(acks), gapLimit*delta), delta)
	return both
}

// TestDualPrimaryIsWithinDelta: two writable members for X seconds, whatever the phases of the probes; and a handover is
// none, however quick.
func TestDualPrimaryIsWithinDelta(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	var worst time.Duration
	for range 2000 {
		x := 300*ms + time.Duration(random.Int64N(int64(4700*ms)))
		begin := 2*sec + time.Duration(random.Int64N(int64(sec)))
		end := begin + x
		writers := []writer{
			{"a", drill.ClassPinned, 1, 0, end}, {"b", drill.ClassPinned, 2, begin, 12 * sec},
		}
		// The Service leads to a, and to b from some time on; or nowhere.
		if moved := begin + time.Duration(random.Int64N(int64(2*x))); random.IntN(3) > 0 {
			writers = append(writers, writer{"a", drill.ClassPooled, 1, 0, min(moved, end)}, writer{"b", drill.ClassPooled, 2, moved, 12 * sec})
		}
		acks := acksOf(random, writers...)
		got := dualPrimary(acks, 100*ms)
		worst = max(worst, (got - x).Abs())
		require.InDelta(t, x.Seconds(), got.Seconds(), 0.107, "Δ and the latency")
		require.NotZero(t, regressions(acks, supersededEpochs(acks)))

		clean := acksOf(random, writer{"a", drill.ClassPinned, 1, 0, begin}, writer{"a", drill.ClassPooled, 1, 0, begin},
			writer{"b", drill.ClassPinned, 2, begin, 12 * sec}, writer{"b", drill.ClassPooled, 2, begin, 12 * sec})
		require.Zero(t, dualPrimary(clean, 100*ms))
		require.Zero(t, regressions(clean, supersededEpochs(clean)))
	}
	t.Logf("worst error: %v", worst)
}

// TestDualPrimaryOfABriefRevival: one acknowledgement of the old primary among those of the new one counts as one Δ.
func TestDualPrimaryOfABriefRevival(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	got := dualPrimary(acksOf(random, writer{"a", drill.ClassPinned, 1, 0, 2 * sec}, writer{"b", drill.ClassPooled, 2, 2 * sec, 9 * sec},
		writer{"a", drill.ClassPinned, 1, 5 * sec, 5*sec + 106*ms}), 100*ms)
	require.InDelta(t, 0.1, got.Seconds(), 0.01)
}

func TestEpochForks(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	forks := func(lost func(a slot) bool, writers ...writer) int {
		acks := acksOf(random, writers...)
		held := map[string]drill.Numbers{}
		for _, a := range acks {
			n := held[a.Probe]
			if !lost(a) {
				n.Add(a.Slot)
			}
			held[a.Probe] = n
		}
		r := &run{readBack: &drill.ReadBack{Primary: "p", Streams: map[string]map[string]drill.Numbers{"p": held}}}
		return r.forks(acks, supersededEpochs(acks))
	}
	kept := func(slot) bool { return false }
	a, b := writer{"a", drill.ClassPooled, 1, 0, 2 * sec}, writer{"b", drill.ClassPooled, 2, 3 * sec, 5 * sec}
	c := writer{"c", drill.ClassPooled, 3, 6 * sec, 8 * sec}
	require.Zero(t, forks(kept, a, b, c))
	require.Zero(t, forks(func(s slot) bool { return s.Epoch == 1 && s.Done > drill.Offset(sec) }, a, b, c), "a tail is lost: no fork")
	require.Equal(t, 1, forks(func(s slot) bool { return s.Epoch == 2 }, a, b, c), "epoch 3 did not go on from epoch 2")
	twin := c
	twin.epoch = 2
	require.Equal(t, 1, forks(kept, a, b, twin), "two members in one epoch")
	again := a
	again.from, again.to = 3*sec, 4*sec
	require.Zero(t, forks(kept, a, again), "a restart in place")
	nameless := c
	nameless.epoch = 0
	require.Zero(t, forks(kept, nameless, writer{"a", drill.ClassPooled, 0, 6 * sec, 8 * sec}))
}

func TestMostPrimaries(t *testing.T) {
	sc := failover()
	sc.events = []drill.Event{views(5*sec, "a", "b", "a"), views(6*sec, "a", "a", "a"), views(22*sec, "", "", ""), views(28*sec, "b", "b", "b")}
	two := views(4*sec, "a", "a", "a")
	two.Views.Label = []string{"a", "b", "c"} // before the fault
	three := views(60*sec, "b", "b", "b")
	three.Views.Member = []string{"b", "a"}
	sc.events = append(sc.events, two, three)
	require.Equal(t, map[string]int{"label": 1, "service": 1, "member": 2}, sc.report().Primaries.Most)
}
