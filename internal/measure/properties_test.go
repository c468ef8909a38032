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

// anyScene is a failover with one to three outages of any sort, at any phase, seen by a prober that is a little late.
func anyScene(random *rand.Rand) scene {
	sc := failover()
	up := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
	sc.fresh = 100 * ms
	sc.phase = up(sc.delta)
	sc.from = 5*sec + up(sec)
	sc.at = sc.from + up(30*ms)
	sc.impact = 2 * sec
	sc.cuts = nil
	at := sc.at + up(sec)
	for range 1 + random.IntN(3) {
		c := cut{from: at, how: []string{blackHole, reset, refused, hang, slow, readOnly}[random.IntN(6)]}
		c.to = at + 60*ms + up(3*sec)
		at = c.to + 100*ms + up(2*sec)
		sc.cuts = append(sc.cuts, c)
	}
	last := sc.cuts[len(sc.cuts)-1].to
	sc.heirAt = sc.from + up(last-sc.from)
	sc.back = last + up(3*sec)
	sc.end = max(last, sc.back) + 12*sec
	late := make([]time.Duration, 5000)
	for k := range late {
		late[k] = up(5 * ms)
	}
	sc.late = func(k int64) time.Duration { return late[k] }
	return sc
}

// shifted is the recording as it would be, had the run's clock been started earlier.
func shifted(rec drill.Recording, d time.Duration) drill.Recording {
	var events []drill.Event
	for e := range rec.Events {
		e.At = e.At.Add(d)
		if e.Fault != nil {
			f := *e.Fault
			f.From = f.From.Add(d)
			e.Fault = &f
		}
		e.Samples = slices.Clone(e.Samples)
		for i := range e.Samples {
			s := &e.Samples[i]
			s.Scheduled, s.Sent, s.Done = s.Scheduled.Add(d), s.Sent.Add(d), s.Done.Add(d)
		}
		events = append(events, e)
	}
	rec.Events = slices.Values(events)
	return rec
}

// TestPropertiesOfARecovery holds for every scene, whatever its numbers are.
func TestPropertiesOfARecovery(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 1))
	for i := range 60 {
		sc := anyScene(random)
		name := fmt.Sprintf("%d: %+v", i, sc.cuts)
		rec := sc.recording()
		want := Report(rec)
		back := want.Recovery
		require.NotEqual(t, drill.OutcomeNotRecovered, back.Outcome, name)

		// Phases follow on each other, and sum to the total.
		total, next := drill.Seconds(0), drill.Seconds(0)
		for _, p := range back.Phases {
			require.InDelta(t, float64(next), float64(p.Start), 1e-9, name)
			require.GreaterOrEqual(t, float64(p.Seconds), 0.0, name)
			total += p.Seconds
			next = p.Start + p.Seconds
		}
		require.Equal(t, phaseRedundant, back.Phases[len(back.Phases)-1].Name, name)
		require.InDelta(t, float64(*back.Redundancy), float64(total), sc.delta.Seconds(), name)
		sustained := slices.IndexFunc(back.Phases, func(p drill.Phase) bool { return p.Name == phaseSustained })
		require.InDelta(t, float64(back.Estimate.Estimate), float64(back.Phases[sustained].Start+back.Phases[sustained].Seconds), sc.delta.Seconds(), name)

		// The order in which samples and batches arrive does not matter.
		events := slices.Collect(rec.Events)
		for k, e := range events {
			events[k].Samples = slices.Clone(e.Samples)
			random.Shuffle(len(e.Samples), func(x, y int) {
				s := events[k].Samples
				s[x], s[y] = s[y], s[x]
			})
		}
		mixed := rec
		mixed.Events = slices.Values(events)
		require.Equal(t, want, Report(mixed), name)

		// Neither does one batch against many.
		var parts []drill.Event
		for _, e := range slices.Collect(rec.Events) {
			for chunk := range slices.Chunk(e.Samples, 97) {
				part := e
				part.Samples = chunk
				parts = append(parts, part)
			}
			if len(e.Samples) == 0 {
				parts = append(parts, e)
			}
		}
		mixed.Events = slices.Values(parts)
		require.Equal(t, want, Report(mixed), name)

		// When the clock was started does not matter.
		moved := Report(shifted(rec, 1234567891*time.Nanosecond)).Recovery
		require.InDelta(t, float64(back.Lower), float64(moved.Lower), 1e-9, name)
		require.InDelta(t, float64(back.Upper), float64(moved.Upper), 1e-9, name)
		require.InDelta(t, float64(*back.Redundancy), float64(*moved.Redundancy), 1e-9, name)
		require.Equal(t, back.Unavailable, moved.Unavailable, name)
		require.Equal(t, back.Flaps, moved.Flaps, name)

		// Watching a healthy target for longer changes nothing.
		longer := sc
		longer.end += 3 * sec
		require.Equal(t, back, longer.report().Recovery, name)
	}
}
