package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// What the plain definition was found to differ in from the product, each as a scene of its own.

// TestABlipOfTheFaultItself: what the fault brings about at once is too short for an outage, and the upper bound
// covers it all the same. It read as [0, 0.06]: nobody looked at the last answer before the fault.
func TestABlipOfTheFaultItself(t *testing.T) {
	for _, length := range []time.Duration{60 * ms, 100 * ms, 200 * ms} {
		for _, how := range []string{blackHole, reset, hang, slow, readOnly} {
			sc := failover()
			sc.heirAt, sc.cuts = 0, []cut{{20 * sec, 20*sec + length, how}}
			rec := sc.report().Recovery
			require.Equal(t, drill.OutcomeNoImpact, rec.Outcome, "%s of %v", how, length)
			assert.GreaterOrEqual(t, float64(rec.Upper), length.Seconds(), "%s of %v", how, length)
			assert.LessOrEqual(t, float64(rec.Upper), (length + 4*sc.delta).Seconds(), "%s of %v", how, length)
		}
	}
}

// blindAt40 is a failover of 2 s, after which drill cannot probe from 40 s on for 0.5 s.
func blindAt40() scene {
	sc := failover()
	sc.cuts = []cut{{20 * sec, 22 * sec, refused}}
	sc.edit = func(s *drill.Sample) {
		if s.Class == drill.ClassPooled && s.Scheduled >= drill.Offset(40*sec) && s.Scheduled < drill.Offset(40500*ms) {
			*s = drill.Sample{Probe: s.Probe, Class: s.Class, Slot: s.Slot, Scheduled: s.Scheduled, Done: s.Scheduled,
				Outcome: drill.OutcomeUnsent, Write: true}
		}
	}
	return sc
}

// TestAHiddenRelapseEndsWithATimelyAnswer: when drill can probe again the target may still be down, for less than a
// blip.
func TestAHiddenRelapseEndsWithATimelyAnswer(t *testing.T) {
	sc := blindAt40()
	sc.cuts = append(sc.cuts, cut{40100 * ms, 40600 * ms, refused}) // seen from 40.5 s on: five slots, a blip
	rec := sc.report().Recovery
	require.Len(t, rec.Outages, 1)
	assert.InDelta(t, 2, float64(rec.Estimate.Estimate), .03)
	assert.GreaterOrEqual(t, float64(rec.Upper), 20.6, "the relapse ended at 40.6 s")
	assert.Less(t, float64(rec.Upper), 20.65)
}

// TestAHiddenRelapseAtTheEnd: the run ends while drill cannot probe.
func TestAHiddenRelapseAtTheEnd(t *testing.T) {
	sc := blindAt40()
	sc.end = 40500 * ms
	rec := sc.report().Recovery
	assert.InDelta(t, 2, float64(rec.Estimate.Estimate), .03)
	assert.InDelta(t, 20.48, float64(rec.Upper), .03, "until the last slot's turn")
}

// TestWhoseFaultAnOutageIs: the first down slot was under way when the second fault came. Where that is all that was
// known, the outage is the second's; where other slots had failed before, the first's.
func TestWhoseFaultAnOutageIs(t *testing.T) {
	for name, c := range map[string]struct {
		from time.Duration
		want string
	}{
		"of the second": {59990 * ms, "freeze orders"},
		"of the first":  {59950 * ms, "kill_primary orders"},
	} {
		sc := failover()
		sc.cuts = append(sc.cuts, cut{c.from, 62 * sec, hang})
		fault := drill.FaultChange{Kind: "freeze", Name: "orders", State: drill.FaultInjected,
			From: drill.Offset(60 * sec), By: "stopped"}
		sc.events = []drill.Event{{At: drill.Offset(60 * sec), Type: drill.EventFault, Fault: &fault}}
		sc.edit = func(s *drill.Sample) {
			if s.Class == drill.ClassPooled && c.from < 59980*ms && s.Scheduled == drill.Offset(59980*ms) {
				s.Done = s.Scheduled.Add(10 * ms) // it has failed before the second fault
			}
		}
		out := sc.report().Recovery.Outages
		require.Len(t, out, 2, name)
		assert.Equal(t, "kill_primary orders", out[0].Fault, name)
		assert.Equal(t, c.want, out[1].Fault, name)
	}
}
