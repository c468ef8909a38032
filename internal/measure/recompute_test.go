package measure

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
)

// randomScene is any failover, or what looks like one, with whatever may go wrong with it and with the measuring.
func randomScene(rng *rand.Rand) scene {
	sc := failover()
	between := func(from, to time.Duration) time.Duration { return from + time.Duration(rng.Int64N(int64(to-from))) }
	maybe := func(percent int) bool { return rng.IntN(100) < percent }
	hows := []string{blackHole, reset, refused, hang, slow, readOnly}
	sc.delta, sc.pinned, sc.phase = between(15*ms, 60*ms), between(80*ms, 300*ms), between(0, 10*ms)
	sc.end, sc.impact = between(45*sec, 70*sec), 20*sec
	sc.cuts = []cut{{sc.from, sc.from + between(50*ms, 15*sec), hows[rng.IntN(len(hows))]}}
	if maybe(30) {
		again := between(36*sec, 40*sec)
		sc.cuts = append(sc.cuts, cut{again, again + between(50*ms, 3*sec), hows[rng.IntN(len(hows))]})
	}
	if maybe(30) {
		sc.fresh = between(80*ms, 200*ms)
	}
	switch rng.IntN(5) {
	case 0:
		sc.heirAt = 0
	case 1:
		sc.heirAt, sc.epoch = between(sc.from, sc.from+15*sec), int64(rng.IntN(3))
	}
	if maybe(40) {
		first := int64(sc.from/sc.delta) - rng.Int64N(40)
		sc.lost = func(seq int64) bool { return seq >= first && time.Duration(seq)*sc.delta < sc.from }
	}
	if maybe(40) {
		delay, from := between(0, 3*sec), between(5*sec, 40*sec)
		sc.replication = func(m string, at time.Duration) time.Duration {
			if m == "c" && at > from {
				return delay
			}
			return 0
		}
	}
	if maybe(30) {
		from := between(5*sec, 40*sec)
		sc.silent = func(m string, at time.Duration) drill.Outcome {
			if m == "b" && at > from && at < from+3*sec {
				return []drill.Outcome{drill.OutcomeBlocked, drill.OutcomeIndeterminate, drill.OutcomeUnsent}[int(at/(100*ms))%3]
			}
			return ""
		}
	}
	noise := rand.New(rand.NewPCG(rng.Uint64(), 0))
	sc.edit = func(s *drill.Sample) {
		if s.Outcome != drill.OutcomeUnsent && s.Outcome != drill.OutcomeBlocked {
			late := drill.Offset(noise.ExpFloat64() * 1e5)
			s.Sent, s.Done = s.Sent+late, s.Done+late+drill.Offset(noise.ExpFloat64()*1e6)
		}
		if s.Reading != nil && noise.IntN(2) == 0 {
			s.Reading.EngineLag = noise.ExpFloat64()
		}
		if noise.IntN(500) == 0 {
			s.Outcome, s.Signal = drill.OutcomeIndeterminate, drill.SignalError
		}
	}
	sc.unconfirmed, sc.noReadBack = maybe(10), maybe(10)
	if maybe(30) {
		sc.end_ = &drill.End{Cause: []drill.EndCause{drill.EndAborted, drill.EndInterrupted, drill.EndError}[rng.IntN(3)], Code: "c", Text: "t"}
	}
	if maybe(50) {
		sc.readBack = func(b *drill.ReadBack) { b.Complete = maybe(50) }
	}
	sc.objectives = []drill.Objective{{Name: drill.ObjectiveRecoveryTime, Limit: 5 + 10*rng.Float64()}, {Name: drill.ObjectiveLostWrites}}
	sc.events = []drill.Event{views(sec, "a", "a", "a"), views(sc.from+between(0, sec), "a", "", "a"), views(sc.from+between(sec, 3*sec), "b", "a", "b"),
		{At: drill.Offset(sc.end), Type: drill.EventFinding, Finding: &drill.Finding{Severity: "info", Code: "c", Text: fmt.Sprint(rng.Int())}}}
	return sc
}

func jsonOf(t *testing.T, rep drill.Report) string {
	t.Helper()
	raw, err := json.Marshal(rep)
	require.NoError(t, err)
	return string(raw)
}

// TestRecomputedIsTheSame: what is read back from a run's detail has the same report, byte by byte, and so has the same run
// in many small batches between its other events instead of one at its end, in the order in which they happened.
func TestRecomputedIsTheSame(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 9))
		rec := randomScene(rng).recording()
		rec.Run = drill.RunReport{ID: "r", Started: time.Date(2026, 11, 21, 10, 4, 5, 123456789, time.UTC), Finished: time.Now().UTC()}
		rec.Earlier = []drill.Trial{{Run: "q", Verdict: drill.VerdictPassed, Recovery: &drill.Estimate{Estimate: drill.Seconds(1 + rng.Float64()), Upper: drill.Never()}}}
		want := Report(rec)
		outcomes[string(want.Run.Verdict)]++

		again, err := logged(rec, rec.Events)
		require.NoError(t, err)
		require.Equal(t, jsonOf(t, want), jsonOf(t, Report(again)), "seed %d", seed)
		require.Equal(t, want, Report(again), "seed %d", seed)

		small := batched(rng, slices.Collect(rec.Events))
		rec.Events = slices.Values(small)
		require.Equal(t, jsonOf(t, want), jsonOf(t, Report(rec)), "seed %d, in %d events", seed, len(small))
		again, err = logged(rec, rec.Events)
		require.NoError(t, err)
		require.Equal(t, jsonOf(t, want), jsonOf(t, Report(again)), "seed %d, in %d events", seed, len(small))
	}
	require.GreaterOrEqual(t, len(outcomes), 5, "%v: the scenes differ", outcomes)
}

func logged(head drill.Recording, events func(func(drill.Event) bool)) (drill.Recording, error) {
	w := detail.NewWriter(drill.Recording{})
	for e := range events {
		w.Append(e)
	}
	return w.Recording(head)
}

// batched cuts each batch of samples into small ones, and puts everything into the order of a real stream.
func batched(rng *rand.Rand, events []drill.Event) []drill.Event {
	var out []drill.Event
	for _, e := range events {
		samples := e.Samples
		if len(samples) == 0 {
			out = append(out, e)
			continue
		}
		for len(samples) > 0 {
			n := min(len(samples), 1+rng.IntN(int(math.Pow(10, 3*rng.Float64()))))
			part := e
			part.Samples = samples[:n]
			for _, s := range part.Samples {
				part.At = min(e.At, max(s.Done, s.Scheduled))
			}
			samples = samples[n:]
			out = append(out, part)
			e.Stalls = nil // what was told once is not told again
		}
	}
	slices.SortStableFunc(out, func(a, b drill.Event) int { return cmp.Compare(a.At, b.At) })
	return out
}
