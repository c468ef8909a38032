package targets

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/test/postgres"
)

// at is a moment of this process on the run's clock.
func (r *recorder) at(t time.Time) drill.Offset { return drill.Offset(t.Sub(r.clock.Started())) }

// recording is what a runner would have recorded: the target's members, its probes, every slot and view, one fault,
// and what was read back. The steady state began after warmUp.
func (r *recorder) recording(members []drill.Member, probes []drill.Probe, fault postgres.Moment, back *drill.ReadBack) drill.Recording {
	const warmUp = 500 * time.Millisecond
	change := func(at, from time.Time, state drill.FaultState) drill.Event {
		return drill.Event{At: r.at(at), Type: drill.EventFault, Fault: &drill.FaultChange{
			Kind: "kill_primary", Name: "orders", State: state, From: r.at(from), By: "killed by the test"}}
	}
	events := []drill.Event{{Type: drill.EventPlan, Members: members,
		Plans: []drill.FaultPlan{{Kind: "kill_primary", Name: "orders", Victims: members[:1]}}}}
	for _, p := range probes {
		events = append(events, drill.Event{Type: drill.EventProbe, Probe: new(p.Info())})
	}
	events = append(events, drill.Event{At: drill.Offset(warmUp), Type: drill.EventStep, Step: drill.StepSteady})
	if !fault.Before.IsZero() {
		events = append(events, change(fault.After, fault.Before, drill.FaultInjected), change(fault.After, fault.Before, drill.FaultConfirmed),
			change(fault.After, fault.Before, drill.FaultReverted))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, v := range r.views {
		events = append(events, drill.Event{At: r.viewed[i], Type: drill.EventViews, Views: &v})
	}
	now := r.clock.Now()
	events = append(events, drill.Event{At: now, Type: drill.EventSamples, Samples: slices.Clone(r.samples)})
	if back != nil {
		events = append(events, drill.Event{At: now, Type: drill.EventReadBack, ReadBack: back})
	}
	events = append(events, drill.Event{At: now, Type: drill.EventEnd, End: &drill.End{Cause: drill.EndFinished, Code: "finished"}})
	return drill.Recording{
		Settings: drill.Settings{Window: time.Second, ImpactTimeout: time.Second, RedundancyLag: 1},
		Events:   slices.Values(events),
	}
}

// report is what drill would publish.
func (r *recorder) report(t *testing.T, members []drill.Member, probes []drill.Probe, fault postgres.Moment, back *drill.ReadBack) drill.Report {
	t.Helper()
	rep := measure.Report(r.recording(members, probes, fault, back))
	require.NotNil(t, rep.Writes)
	require.NotNil(t, rep.Primaries)
	return rep
}

// vouched fails when the prober was starved: a run of which drill itself would say that it is invalid proves nothing.
func vouched(t *testing.T, rep drill.Report) {
	t.Helper()
	for _, reason := range rep.Run.Reasons {
		require.NotContains(t, []string{"late_prober", "unsent_slots"}, reason.Code, reason.Text)
	}
}

// outcomes are the last outcomes of a probe's slots that were sent, by number.
func (r *recorder) outcomes(probe string) map[int64]drill.Sample {
	all := map[int64]drill.Sample{}
	for _, s := range r.of(probe, 0, 0) {
		if s.Outcome != drill.OutcomeUnsent && s.Outcome != drill.OutcomeBlocked {
			all[s.Slot] = s
		}
	}
	return all
}
