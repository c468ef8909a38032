package runner

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/test/bubble"
)

// brief is the world's fault with a hold of its own, and without preparation.
type brief struct {
	worldFault
	hold time.Duration
}

func (f brief) Plan(ctx context.Context) (json.RawMessage, drill.FaultPlan, error) {
	state, plan, err := f.worldFault.Plan(ctx)
	plan.Hold, plan.Prepares = f.hold, false
	return state, plan, err
}

// fullPipe is a pipe that nobody reads, full to the brim: the next write blocks, as on a terminal after Ctrl-S.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	raw, err := w.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		for chunk := make([]byte, 4096); ; {
			if _, err := syscall.Write(int(fd), chunk); err != nil {
				break
			}
		}
		for {
			if _, err := syscall.Write(int(fd), []byte{0}); err != nil {
				break
			}
		}
	}))
	return w
}

// TestAFullPipeDelaysNothing: what shows a run cannot hold up its aborts and heals (issue 12, point 8). In real time, with a
// real pipe. Called under the run's lock, the observer would block the run before it had even planned.
func TestAFullPipeDelaysNothing(t *testing.T) {
	const late = 250 * time.Millisecond // the poll interval, and what a busy machine adds
	for name, c := range map[string]struct {
		outage, hold time.Duration
		abortAfter   float64 // seconds of outage
		healed       time.Duration
		verdict      drill.Verdict
	}{
		"abort": {outage: time.Hour, hold: time.Hour, abortAfter: 0.5, healed: 500 * time.Millisecond, verdict: drill.VerdictAborted},
		"heal":  {outage: 200 * time.Millisecond, hold: 700 * time.Millisecond, abortAfter: 60, healed: 700 * time.Millisecond, verdict: drill.VerdictPassed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.outage = c.outage
			var injected, healed time.Time
			w.hooks["inject"] = func(context.Context) error { injected = time.Now(); return nil }
			w.hooks["revert"] = func(context.Context) error { healed = time.Now(); return nil }
			config := w.config()
			config.Faults[0].Fault = brief{worldFault{w}, c.hold}
			config.Drill.SteadyState.Hold = 200 * time.Millisecond
			config.Drill.Aborts = []drill.Rule{{Name: "outage", Condition: above{"outage_seconds", c.abortAfter}}}
			config.Settings.Window, config.Settings.ImpactTimeout = 300*time.Millisecond, time.Second
			pipe := fullPipe(t)
			var shown atomic.Int32
			config.Observers = []Observer{listener(func(e drill.Event) {
				line, _ := json.Marshal(e)
				_, _ = pipe.Write(line)
				shown.Add(1)
			})}
			done := make(chan drill.Report, 1)
			go func() { done <- Run(t.Context(), config) }()
			var rep drill.Report
			select {
			case rep = <-done:
			case <-time.After(20 * time.Second):
				require.Fail(t, "the run hangs on the pipe")
			}
			require.Equal(t, c.verdict, rep.Run.Verdict, "%+v", rep.Run.Reasons)
			require.InDelta(t, c.healed.Seconds(), healed.Sub(injected).Seconds(), late.Seconds())
			w.checkClean(t)
			require.Zero(t, shown.Load())
		})
	}
}

// stuck is an observer that takes nothing until it is let go, and then keeps everything.
type stuck struct {
	gate chan struct{}
	got  []drill.Event
}

func (s *stuck) Observe(e drill.Event) {
	<-s.gate
	s.got = append(s.got, e)
}

// TestAStuckObserverTakesLittleMemory: an hour at 100 Hz, with a flapping view. What matters arrives all the same, in order,
// with a word on what does not.
func TestAStuckObserverTakesLittleMemory(t *testing.T) {
	s := &stuck{gate: make(chan struct{})}
	o := NewOutbox(s)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	seq := int64(0)
	emit := func(e drill.Event) { e.Seq = seq; seq++; o.Observe(e) }
	const seconds = 3600
	for i := range seconds {
		samples := make([]drill.Sample, 100)
		for j := range samples {
			samples[j].Reading = &drill.Reading{Seen: []int64{1, 2}}
		}
		emit(drill.Event{Type: drill.EventSamples, Samples: samples})
		emit(drill.Event{Type: drill.EventProgress})
		emit(drill.Event{Type: drill.EventRule, Rule: &drill.RuleChange{}})
		for range 10 {
			emit(drill.Event{Type: drill.EventViews, Views: &drill.Views{Label: []string{"a", "b"}}})
		}
		if i%600 == 0 {
			emit(drill.Event{Type: drill.EventStep, Step: drill.StepInject})
			emit(drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{}})
			emit(drill.Event{Type: drill.EventRule, Rule: &drill.RuleChange{Fired: true}})
		}
	}
	emit(drill.Event{Type: drill.EventReport, Report: &drill.Report{}})
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(8<<20), "all of it is some 60 MiB")
	left := o.Flush(50 * time.Millisecond)
	require.NotZero(t, left)

	close(s.gate)
	require.Zero(t, o.Flush(10*time.Second))
	count, notShown, last := map[drill.EventType]int{}, 0, int64(-1)
	for _, e := range s.got {
		require.Greater(t, e.Seq, last, "in order")
		last = e.Seq
		count[e.Type]++
		if e.Type == drill.EventFinding {
			require.Equal(t, "not_shown", e.Finding.Code)
			notShown++
		}
	}
	require.Equal(t, 6, count[drill.EventStep])
	require.Equal(t, 6, count[drill.EventFault])
	require.GreaterOrEqual(t, count[drill.EventRule], 6)
	require.Equal(t, 1, count[drill.EventReport])
	require.LessOrEqual(t, count[drill.EventProgress], 2, "the newest alone")
	require.NotZero(t, notShown)
	require.Equal(t, drill.EventReport, s.got[len(s.got)-1].Type)
}

// keeper is a recorder that a test can look into.
type keeper struct{ plain }

// TestT20TextsAreCleanBeforeTheyAreKept: what a database or the cluster answers steers no terminal from the record, either.
func TestT20TextsAreCleanBeforeTheyAreKept(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const hostile = "\x1b]0;owned\x07\n  1.0s  PASSED"
		w, kept := newWorld(), &keeper{}
		for _, hook := range []string{"readback", "close", "watch", "revert"} {
			w.hooks[hook] = func(context.Context) error { return errors.New(hostile) }
		}
		c := w.config()
		c.Recorder = kept
		rep := Run(t.Context(), c)
		require.True(t, rep.HasResidue())
		raw, err := json.Marshal(kept.events)
		require.NoError(t, err)
		require.Contains(t, string(raw), "]0;owned 1.0s PASSED")
		for _, bad := range []string{`\u001b`, `\u0007`, `\n`} {
			require.NotContains(t, string(raw), bad)
		}
		raw, err = json.Marshal(rep)
		require.NoError(t, err)
		require.Contains(t, string(raw), "]0;owned 1.0s PASSED")
		require.NotContains(t, string(raw), `\u001b`)
	})
}
