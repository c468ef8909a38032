package probes

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a probe whose slots do what the test says.
type fake struct {
	info drill.ProbeInfo
	do   func(ctx context.Context, s *drill.Sample)
}

func (f fake) Info() drill.ProbeInfo                       { return f.info }
func (f fake) Sample(ctx context.Context, s *drill.Sample) { f.do(ctx, s) }
func answer(d time.Duration) func(context.Context, *drill.Sample) {
	return func(ctx context.Context, s *drill.Sample) {
		s.Write = true
		select {
		case <-time.After(d):
			s.Outcome = drill.OutcomeOK
		case <-ctx.Done():
			s.Outcome, s.Signal = drill.OutcomeIndeterminate, drill.SignalTimeout
		}
	}
}

// hang never answers; it returns when its context ends.
var hang = answer(1000 * time.Hour)

func pooled(do func(context.Context, *drill.Sample)) fake {
	return fake{do: do, info: drill.ProbeInfo{
		Name: "orders", Class: drill.ClassPooled, Interval: 20 * time.Millisecond, Deadline: 900 * time.Millisecond, Sessions: 50,
	}}
}

func pinned(do func(context.Context, *drill.Sample)) fake {
	return fake{do: do, info: drill.ProbeInfo{
		Name: "orders/orders-0", Class: drill.ClassPinned, Member: "orders-0",
		Interval: 100 * time.Millisecond, Deadline: time.Second, Sessions: 1,
	}}
}

// record samples the probes for d and returns each probe's samples by slot.
func record(t *testing.T, d time.Duration, probes ...drill.Probe) map[string][]drill.Sample {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(d, cancel)
	got := map[string][]drill.Sample{}
	var inside atomic.Int32
	Sample(ctx, drill.Sampling{Clock: drill.StartClock(), Probes: probes, Sample: func(s drill.Sample) {
		if inside.Add(1) != 1 {
			t.Error("emit is called by two goroutines at once")
		}
		got[s.Probe] = append(got[s.Probe], s)
		inside.Add(-1)
	}})
	for name, samples := range got {
		slices.SortFunc(samples, func(a, b drill.Sample) int { return int(a.Slot - b.Slot) })
		for i, s := range samples {
			require.EqualValues(t, i, s.Slot, "%s: every slot is there, once", name)
		}
	}
	return got
}

func outcomes(samples []drill.Sample) map[drill.Outcome]int {
	n := map[drill.Outcome]int{}
	for _, s := range samples {
		n[s.Outcome]++
	}
	return n
}

func TestRateIsKeptWhileEverySlotHangs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		got := record(t, 10*time.Second-time.Millisecond, pooled(hang))["orders"]
		require.Len(t, got, 500)
		for i, s := range got {
			assert.Equal(t, drill.Offset(i)*drill.Offset(20*time.Millisecond), s.Scheduled)
			assert.Equal(t, s.Scheduled, s.Sent)
			assert.Equal(t, s.Scheduled.Add(900*time.Millisecond), s.Done, "its own deadline")
			assert.Equal(t, drill.OutcomeIndeterminate, s.Outcome)
		}
	})
}

func TestFullPoolIsUnsent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := pooled(hang)
		p.info.Sessions = 10
		got := record(t, 900*time.Millisecond-time.Millisecond, p)["orders"]
		assert.Equal(t, map[drill.Outcome]int{drill.OutcomeIndeterminate: 10, drill.OutcomeUnsent: 35}, outcomes(got))
		for _, s := range got[10:] {
			assert.Zero(t, s.Sent)
			assert.False(t, s.Write)
			assert.Zero(t, s.Lateness())
		}
	})
}

func TestPinnedSlotBlocksLaterOnesAndIsNeverCancelled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var n atomic.Int32
		got := record(t, 10*time.Second-time.Millisecond, pinned(func(ctx context.Context, s *drill.Sample) {
			if _, has := ctx.Deadline(); has {
				t.Error("a pinned slot has a deadline")
			}
			if n.Add(1) == 11 { // slot 10 waits for a network that is away for 3.05 s
				answer(3050*time.Millisecond)(ctx, s)
				return
			}
			answer(time.Millisecond)(ctx, s)
		}))["orders/orders-0"]
		require.Len(t, got, 100)
		assert.Equal(t, map[drill.Outcome]int{drill.OutcomeOK: 70, drill.OutcomeBlocked: 30}, outcomes(got))
		assert.Equal(t, drill.OutcomeOK, got[10].Outcome)
		assert.Equal(t, 3050*time.Millisecond, got[10].Done.Sub(got[10].Sent))
		for _, s := range got[11:41] {
			assert.Equal(t, drill.OutcomeBlocked, s.Outcome)
			assert.Equal(t, "orders-0", s.Member)
		}
	})
}

func TestSlotsUnderWayAreSeenHomeWhenTheScheduleEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		got := record(t, time.Second+time.Millisecond, pooled(answer(300*time.Millisecond)), pinned(hang))
		assert.Equal(t, map[drill.Outcome]int{drill.OutcomeOK: 51}, outcomes(got["orders"]), "none is cut off")
		last := got["orders/orders-0"][0]
		assert.Equal(t, drill.OutcomeIndeterminate, last.Outcome)
		assert.Equal(t, drill.Offset(2001*time.Millisecond), last.Done, "a hung session is cancelled one deadline after the end")
	})
}

func TestProbeThatIgnoresItsContextIsGivenUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		deaf := pooled(func(_ context.Context, s *drill.Sample) {
			s.Write = true
			if s.Slot == 3 {
				<-release
			}
			s.Outcome = drill.OutcomeOK
		})
		began := time.Now()
		got := record(t, 99*time.Millisecond, deaf)["orders"]
		assert.Equal(t, 99*time.Millisecond+900*time.Millisecond+grace, time.Since(began), "bounded")
		assert.Equal(t, map[drill.Outcome]int{drill.OutcomeOK: 4, drill.OutcomeIndeterminate: 1}, outcomes(got))
		assert.True(t, got[3].Write, "it may have been sent")
		close(release)
		synctest.Wait() // its late answer goes nowhere and its worker ends
	})
}

func TestLateSchedulerRecordsEverySlot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		clock := drill.StartClock()
		time.Sleep(time.Second)
		var mu sync.Mutex
		var got []drill.Sample
		out := newOutbox(func(s drill.Sample) { mu.Lock(); got = append(got, s); mu.Unlock() })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		// As if the process had been stopped for 985 ms: slots 0 to 48 are older than one interval.
		newLane(pooled(answer(0)), clock, out).run(ctx, drill.Offset(15*time.Millisecond))
		out.close()

		require.Equal(t, map[drill.Outcome]int{drill.OutcomeUnsent: 49, drill.OutcomeOK: 3}, outcomes(got))
		slices.SortFunc(got, func(a, b drill.Sample) int { return int(a.Slot - b.Slot) })
		assert.Equal(t, drill.OutcomeOK, got[49].Outcome)
		assert.Equal(t, 5*time.Millisecond, got[49].Lateness(), "sent at once, and said to be late")
		assert.Equal(t, drill.Offset(1015*time.Millisecond), got[50].Scheduled, "the schedule did not move")
		assert.Zero(t, got[50].Lateness())
	})
}

func TestSlotsDoNotDependOnTheOrderOfReplies(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var n atomic.Int64
		got := record(t, time.Second-time.Millisecond, pooled(func(ctx context.Context, s *drill.Sample) {
			n.Add(1)
			answer(time.Duration(s.Slot%7)*30*time.Millisecond)(ctx, s)
		}))["orders"]
		require.Len(t, got, 50)
		for _, s := range got {
			assert.Equal(t, drill.OutcomeOK, s.Outcome)
			assert.Equal(t, time.Duration(s.Slot%7)*30*time.Millisecond, s.Done.Sub(s.Scheduled))
		}
	})
}

func TestProbesStartAtDifferentPhases(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var probes []drill.Probe
		for i := range 4 {
			p := pinned(answer(0))
			p.info.Name = fmt.Sprint(i)
			probes = append(probes, p)
		}
		got := record(t, time.Second, probes...)
		for i := range 4 {
			assert.Equal(t, drill.Offset(i)*drill.Offset(25*time.Millisecond), got[fmt.Sprint(i)][0].Scheduled)
		}
	})
}

// TestIdleUntilMeasuring: before the measuring rate begins few slots are due, all of them on the schedule.
func TestIdleUntilMeasuring(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second-time.Millisecond)
		defer cancel()
		measure := make(chan struct{})
		time.AfterFunc(1033*time.Millisecond, func() { close(measure) })
		seldom := pinned(answer(0))
		seldom.info.Name, seldom.info.Interval = "seldom", 700*time.Millisecond
		turns := map[string][]time.Duration{}
		Sample(ctx, drill.Sampling{
			Clock: drill.StartClock(), Measure: measure, Probes: []drill.Probe{pooled(answer(0)), pinned(answer(0)), seldom},
			Sample: func(s drill.Sample) {
				assert.EqualValues(t, len(turns[s.Probe]), s.Slot, "slots that are not due have no number")
				assert.Zero(t, s.Lateness())
				turns[s.Probe] = append(turns[s.Probe], time.Duration(s.Scheduled))
			},
		})
		from := func(first, step time.Duration, n int) (all []time.Duration) {
			for i := range n {
				all = append(all, first+time.Duration(i)*step)
			}
			return all
		}
		const ms = time.Millisecond
		phase := 100 * ms / 3
		assert.Equal(t, append(from(0, 200*ms, 6), from(1040*ms, 20*ms, 48)...), turns["orders"])
		assert.Equal(t, append(from(phase, 200*ms, 5), from(phase+1000*ms, 100*ms, 10)...), turns["orders/orders-0"])
		assert.Equal(t, from(2*700*ms/3, 700*ms, 3), turns["seldom"], "its own rate is lower than the idle one")
	})
}

func TestSlowReaderHoldsUpNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second-time.Millisecond)
		defer cancel()
		n := 0
		Sample(ctx, drill.Sampling{Clock: drill.StartClock(), Probes: []drill.Probe{pooled(answer(0))}, Sample: func(s drill.Sample) {
			n++
			assert.Zero(t, s.Lateness())
			time.Sleep(200 * time.Millisecond)
		}})
		assert.Equal(t, 50, n)
	})
}

// TestLatenessInRealTime prints how late slots are sent here; it asserts only that nothing is lost and that lateness is
// measured, because the machine may be busy.
func TestLatenessInRealTime(t *testing.T) {
	p := pooled(answer(time.Millisecond))
	probes := []drill.Probe{p}
	for i := range 3 {
		q := pinned(answer(time.Millisecond))
		q.info.Name = fmt.Sprint(i)
		probes = append(probes, q)
	}
	got := record(t, 2*time.Second, probes...)["orders"]
	var late []time.Duration
	for _, s := range got {
		late = append(late, s.Lateness())
	}
	slices.Sort(late)
	require.GreaterOrEqual(t, len(got), 90)
	t.Logf("lateness of %d slots: p50 %v, p99 %v, max %v", len(late), late[len(late)/2], late[len(late)*99/100], late[len(late)-1])
	require.GreaterOrEqual(t, late[0], time.Duration(0))
}

func BenchmarkSlot(b *testing.B) {
	clock := drill.StartClock()
	out := newOutbox(func(drill.Sample) {})
	l := newLane(pooled(func(_ context.Context, s *drill.Sample) { s.Outcome = drill.OutcomeOK }), clock, out)
	b.ReportAllocs()
	var s drill.Sample
	for b.Loop() {
		s.Slot++
		s.Scheduled = clock.Now()
		l.take(b.Context(), &s)
		l.home(s)
	}
	out.close()
}
