package metrics

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

func newMetrics() (*Metrics, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	d := &drill.Drill{Name: "kill", Faults: []drill.FaultSpec{{Kind: "kill_primary", Name: "orders"}}}
	return New(registry, d, drill.Settings{Window: 10 * time.Second, RedundancyLag: 1}), registry
}

func ms(n int) drill.Offset { return drill.Offset(time.Duration(n) * time.Millisecond) }

func TestNamesPassPromlint(t *testing.T) {
	_, registry := newMetrics()
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestUnknownLagIsNaN: a replica that cannot be read has no lag of 0.
func TestUnknownLagIsNaN(t *testing.T) {
	m, _ := newMetrics()
	probe := func(name string, class drill.Class, member string) {
		m.Observe(drill.Event{Type: drill.EventProbe, Probe: &drill.ProbeInfo{Name: name, Target: "orders", Class: class, Member: member,
			Interval: 20 * time.Millisecond, Deadline: time.Second, Sessions: 1}})
	}
	m.Observe(drill.Event{Type: drill.EventPlan, Members: []drill.Member{{Name: "a", Role: drill.RolePrimary}, {Name: "b", Role: drill.RoleReplica}}})
	probe("orders", drill.ClassPooled, "")
	probe("orders/a", drill.ClassPinned, "a")
	probe("orders/b", drill.ClassPinned, "b")
	slot := func(n int, probe string, class drill.Class, member string, role drill.Role, reading *drill.Reading) drill.Sample {
		s := drill.Sample{Probe: probe, Class: class, Member: member, Slot: int64(n), Scheduled: ms(20 * n), Sent: ms(20 * n), Done: ms(20*n + 1),
			Outcome: drill.OutcomeOK, By: member, Role: role, Reading: reading, Write: class == drill.ClassPooled}
		if class == drill.ClassPooled {
			s.By = "a"
		}
		return s
	}
	m.Observe(drill.Event{At: ms(60), Type: drill.EventSamples, Samples: []drill.Sample{
		slot(1, "orders", drill.ClassPooled, "", drill.RolePrimary, nil),
		slot(2, "orders/a", drill.ClassPinned, "a", drill.RolePrimary, &drill.Reading{UID: "a", Seen: []int64{1}}),
		slot(2, "orders/b", drill.ClassPinned, "b", drill.RoleReplica, &drill.Reading{UID: "b", Streaming: true, Seen: []int64{1}}),
	}})
	known := func() float64 { return testutil.ToFloat64(m.lagKnown.WithLabelValues("orders", "b")) }
	lag := func() float64 { return testutil.ToFloat64(m.lag.WithLabelValues("orders", "b", "ledger")) }
	require.InDelta(t, 1, known(), 0)
	require.Less(t, lag(), 0.1)

	failed := slot(5, "orders/b", drill.ClassPinned, "b", "", nil)
	failed.Outcome, failed.Signal, failed.By = drill.OutcomeFail, drill.SignalTimeout, ""
	m.Observe(drill.Event{At: ms(200), Type: drill.EventSamples, Samples: []drill.Sample{failed}})
	require.InDelta(t, 0, known(), 0)
	require.True(t, math.IsNaN(lag()), "got %v", lag())
}

// TestAFaultIsActiveAsLongAsOneOfItsKindIs: a drill may have several.
func TestAFaultIsActiveAsLongAsOneOfItsKindIs(t *testing.T) {
	m, _ := newMetrics()
	see := func(name string, state drill.FaultState) float64 {
		m.Observe(drill.Event{Type: drill.EventFault, Fault: &drill.FaultChange{Kind: "kill_primary", Name: name, State: state}})
		return testutil.ToFloat64(m.faultActive.WithLabelValues("kill", "kill_primary"))
	}
	require.Equal(t, 1.0, see("orders", drill.FaultInjected))
	require.Equal(t, 1.0, see("again", drill.FaultInjecting))
	require.Equal(t, 1.0, see("orders", drill.FaultReverted))
	require.Equal(t, 0.0, see("again", drill.FaultReverted))
}
