package cnpg

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// silence is a stretch in which no write was acknowledged, in seconds after the injection.
type silence struct{ from, to float64 }

func (s silence) String() string { return fmt.Sprintf("from %.3f to %.3f s", s.from, s.to) }

func (s silence) length() float64 { return s.to - s.from }

// longestSilence returns the longest stretch after the injection between two acknowledgements of the probe's writes. A
// stretch that lasts until the end of the recording ends never.
func longestSilence(rec drill.Recording, probe string) silence {
	injected := injection(rec)
	var acks []drill.Offset
	var end drill.Offset
	for s := range writes(rec, probe) {
		end = max(end, s.Done)
		if s.Outcome == drill.OutcomeOK {
			acks = append(acks, s.Done)
		}
	}
	slices.Sort(acks)
	longest := silence{}
	last := drill.Offset(0)
	for _, ack := range append(acks, end) {
		gap := silence{last.Sub(injected).Seconds(), ack.Sub(injected).Seconds()}
		if ack > injected && gap.length() > longest.length() {
			longest = gap
		}
		last = ack
	}
	if len(acks) == 0 || longest.from == acks[len(acks)-1].Sub(injected).Seconds() {
		longest.to = math.Inf(1)
	}
	return longest
}

// lastDown returns when the last write of the probe ended that failed or took longer than within, in seconds after the
// injection; 0 if there was none. In format version 1 a single one moved the recovery time.
func lastDown(rec drill.Recording, probe string, within float64) float64 {
	injected := injection(rec)
	last := injected
	for s := range writes(rec, probe) {
		if s.Outcome != drill.OutcomeOK || s.Done.Sub(s.Scheduled).Seconds() > within {
			last = max(last, s.Done)
		}
	}
	return last.Sub(injected).Seconds()
}

// injection is when the fault was injected.
func injection(rec drill.Recording) drill.Offset {
	for e := range rec.Events {
		if e.Type == drill.EventFault && e.Fault.State == drill.FaultInjected {
			return e.Fault.From
		}
	}
	return 0
}

// writes are the writes that the probe sent.
func writes(rec drill.Recording, probe string) func(func(drill.Sample) bool) {
	return func(yield func(drill.Sample) bool) {
		for e := range rec.Events {
			for _, s := range e.Samples {
				if s.Probe == probe && s.Write && s.Outcome != drill.OutcomeUnsent && !yield(s) {
					return
				}
			}
		}
	}
}

// TestLongestSilence holds the two numbers by which TestCloudNativePG judges against histories that are known. The fault
// comes at 10 s.
func TestLongestSilence(t *testing.T) {
	const within = 0.04
	never := math.Inf(1)
	other, read := slot(11, 11, drill.OutcomeOK), slot(12, 12, drill.OutcomeOK)
	other.Probe, read.Write = "fresh", false
	late, failed := slot(14, 14.06, drill.OutcomeOK), slot(14, 14.1, drill.OutcomeFail)
	unsent := slot(20, 20, drill.OutcomeUnsent)
	for name, tc := range map[string]struct {
		samples  []drill.Sample
		want     silence
		lastDown float64
	}{
		"between two acknowledgements":  {slots(9.9, 10.5, 12.7, 13), silence{0.5, 2.7}, 0},
		"the longest of several":        {slots(9.9, 11, 12, 15, 15.5), silence{2, 5}, 0},
		"it began before the injection": {slots(9.9, 12, 12.5, 13), silence{-0.1, 2}, 0},
		"a longer one before the fault": {slots(2, 9.9, 10.1, 10.4), silence{0.1, 0.4}, 0},
		"in any order":                  {slots(13, 10.5, 12.7, 9.9), silence{0.5, 2.7}, 0},
		"never again":                   {append(slots(9.9, 10.5, 11), failed), silence{1, never}, 4.1},
		"not one":                       {[]drill.Sample{failed}, silence{-10, never}, 4.1},
		"a late one at last":            {append(slots(9.9, 10.5, 12.7, 13), late), silence{0.5, 2.7}, 4.06},
		"what is no write of the probe": {append(slots(9.9, 10.5, 12.7, 13), other, read, unsent), silence{0.5, 2.7}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			fault := drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{State: drill.FaultInjected, From: at(10)}}
			samples := drill.Event{Type: drill.EventSamples, Samples: tc.samples}
			rec := drill.Recording{Events: slices.Values([]drill.Event{samples, fault})}
			got := longestSilence(rec, "orders")
			require.Equal(t, tc.want.String(), got.String())
			require.InDelta(t, tc.lastDown, lastDown(rec, "orders", within), 1e-6)
		})
	}
}

func at(seconds float64) drill.Offset { return drill.Offset(seconds * float64(time.Second)) }

// slot is a write of the pooled probe.
func slot(scheduled, done float64, outcome drill.Outcome) drill.Sample {
	return drill.Sample{Probe: "orders", Write: true, Scheduled: at(scheduled), Done: at(done), Outcome: outcome}
}

// slots are writes that were acknowledged at once.
func slots(seconds ...float64) []drill.Sample {
	all := make([]drill.Sample, 0, len(seconds))
	for _, s := range seconds {
		all = append(all, slot(s, s, drill.OutcomeOK))
	}
	return all
}
