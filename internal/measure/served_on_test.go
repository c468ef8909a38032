package measure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// servesOn lets the victim acknowledge writes for so long after the kill, over sessions that are open; b leads later.
func servesOn(more time.Duration) scene {
	sc := failover()
	sc.cuts = []cut{{sc.from + more, 28 * sec, reset}}
	sc.events = []drill.Event{{Type: drill.EventPlan, Plans: []drill.FaultPlan{{Kind: "kill_primary", Name: "orders", Method: "force_delete",
		Victims: []drill.Member{{Namespace: "shop", Name: "a", UID: "uid-a"}}}}}}
	return sc
}

// restarted lets the victim come back under its name, as another pod.
func restarted(sc scene, at time.Duration) scene {
	sc.heirAt, sc.cuts[0].to = 0, at
	sc.edit = func(s *drill.Sample) {
		if s.Member == "a" && s.Sent >= drill.Offset(sc.from) {
			s.Reading.UID = "a-again"
		}
		if s.Member == "a" && s.Sent >= drill.Offset(sc.from) && s.Sent < drill.Offset(at) {
			s.Outcome, s.Signal, s.Write, s.Reading, s.By = drill.OutcomeFail, drill.SignalRefused, false, nil, ""
		}
	}
	return sc
}

func TestVictimServedOn(t *testing.T) {
	const says = `After the injection of kill_primary "orders" (force_delete), the victim a still acknowledged `
	spared := servesOn(2 * sec)
	spared.events = append(spared.events, drill.Event{At: drill.Offset(spared.at), Type: drill.EventFault, Fault: &drill.FaultChange{
		Kind: "kill_primary", Name: "orders", State: drill.FaultInjected, From: drill.Offset(spared.from), Spared: spared.events[0].Plans[0].Victims}})
	quick := restarted(servesOn(400*ms), 21*sec)
	quick.cuts[0].to += 10 * ms // its pinned session is open first
	early := restarted(servesOn(2*sec), 28*sec)
	early.cuts[0].to -= 50 * ms // its pinned session is late
	for name, tc := range map[string]struct {
		scene scene
		want  string // empty: no finding
	}{
		// Slots every 20 ms from 20.00 s on; one that was sent before is acknowledged before.
		"two seconds":                 {servesOn(2 * sec), says + "100 writes, the last one 1.981 s after the injection: its process ended later than its pod object."},
		"a little":                    {servesOn(900 * ms), ""},
		"at once":                     {failover(), ""},
		"the new pod is another one":  {restarted(servesOn(900*ms), 28*sec), ""},
		"the new pod is quick":        {quick, ""},
		"the old pod before the new":  {restarted(servesOn(2*sec), 28*sec), says + "100 writes, the last one 1.981 s after the injection: its process ended later than its pod object."},
		"the new pod serves early":    {early, says + "100 writes, the last one 1.981 s after the injection: its process ended later than its pod object."},
		"the victim was spared":       {spared, ""},
		"nothing was injected at all": {scene{delta: 20 * ms, end: 30 * sec}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := newRun(tc.scene.recording()).servedOn()
			if tc.want == "" {
				require.Empty(t, found)
				return
			}
			require.Equal(t, []drill.Finding{{Severity: "warning", Code: "victim_served_on", Text: tc.want}}, found)
		})
	}
}

// TestVictimServedOnCountsEveryWrite: through the Service and past it.
func TestVictimServedOnCountsEveryWrite(t *testing.T) {
	sc := servesOn(2 * sec)
	sc.fresh = 100 * ms
	sc.edit = func(s *drill.Sample) {
		if s.Member == "a" && s.Sent >= drill.Offset(sc.from) && s.Sent < drill.Offset(sc.from+2*sec) {
			s.Outcome, s.Signal, s.By, s.Role, s.Write = drill.OutcomeOK, "", "a", drill.RolePrimary, true
		}
	}
	found := newRun(sc.recording()).servedOn()
	require.Len(t, found, 1)
	require.Contains(t, found[0].Text, "140 writes", "50 a second pooled, 10 fresh and 10 pinned")
}

func TestVictimServedOnIsOfKillsThatWereInjected(t *testing.T) {
	for name, change := range map[string]func(*run){
		"a partition ends no process": func(r *run) {
			r.plans[0].Kind = "network_partition"
			for i := range r.faults {
				r.faults[i].Kind = "network_partition"
			}
		},
		"a fault that never came": func(r *run) { r.plans[0].Name = "later" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(servesOn(2 * sec).recording())
			require.Len(t, r.servedOn(), 1)
			change(r)
			require.Empty(t, r.servedOn())
		})
	}
}
