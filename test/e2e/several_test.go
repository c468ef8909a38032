//go:build e2e

package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

const twiceDrill = "drills/kill-primary-twice.hcl"

// TestTwoFaults: the primary dies, and its successor after it. It goes red when the second fault keeps to its first plan
// (it would find no victim), when it does not wait for its turn, and when the first one stays held down. The abort
// condition is true in the first outage, and over before its grace is: without grace it would end the run at once.
func TestTwoFaults(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	first, _, _ := cutPods(t, c)
	code, rep := drillRun(t, patched(t, twiceDrill, `recovery_time = "120s"`, `recovery_time = "180s"`, `outage_seconds < 90`, `outage_seconds < 150`,
		`condition     = target.orders.outage_seconds > duration("100s")`, `condition     = target.orders.outage_seconds > 0.5 && run.fault_seconds < 55`,
		`for           = "5s"`, `for           = "0s"`, `grace         = "30s"`, `grace         = "58s"`))
	require.Len(t, rep.Faults, 2)
	for _, f := range rep.Faults {
		require.True(t, f.Confirmed, f.Name)
		require.True(t, f.Reverted, f.Name)
		require.Empty(t, f.Residue)
		require.Len(t, f.Victims, 1)
		require.NotNil(t, f.Recovery, f.Name)
		require.Positive(t, float64(f.Recovery.Estimate), f.Name)
	}
	one, two := rep.Faults[0], rep.Faults[1]
	require.Equal(t, "orders", one.Name)
	require.Equal(t, first, one.Victims[0].Name)
	require.NotEqual(t, first, two.Victims[0].Name, "the second victim is the successor, which nobody knew at the start")
	require.Equal(t, drill.RolePrimary, two.Victims[0].Role)
	apart := float64(*two.InjectedOffset - *one.InjectedOffset)
	require.GreaterOrEqual(t, apart, 60.0)
	require.Less(t, apart, 70.0)
	t.Logf("%.2f s apart; back after %+v and %+v", apart, *one.Recovery, *two.Recovery)
	for f, hold := range map[*drill.FaultReport]float64{&one: 90, &two: 45} {
		lasted := float64(*f.RevertedOffset - *f.InjectedOffset)
		require.GreaterOrEqual(t, lasted, hold, f.Name)
		require.Less(t, lasted, hold+10, f.Name)
	}

	rec := rep.Recovery
	require.Equal(t, drill.OutcomeFailedOver, rec.Outcome)
	require.InDelta(t, apart+float64(two.Recovery.Estimate), float64(rec.Estimate.Estimate), 0.2, "the headline ends with the last outage")
	require.Equal(t, 2, rep.Primaries.LeaderChanges)
	total := 0.0
	names := map[string]int{}
	for _, p := range rec.Phases {
		total += float64(p.Seconds)
		names[p.Name]++
	}
	require.InDelta(t, float64(*rec.Redundancy), total, 0.02, "the phases sum to the total")
	require.Equal(t, 2, names["impact"])
	require.Equal(t, 1, names["next_fault"])

	require.False(t, rep.Abort.Fired)
	heldInGrace := false
	for e := range recording(t, c, rep.Run.ID).Events {
		if e.Rule != nil && e.Rule.Kind == drill.RuleAbort && e.Rule.Truth == drill.True {
			heldInGrace = heldInGrace || e.Rule.Since < e.Rule.Grace
		}
	}
	require.True(t, heldInGrace, "the abort condition was true within its grace")
	recomputed(t, rep)
	nothingLeft(t, c)
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.Zero(t, code)
}

// TestRefusedByGuardOrPrecondition: nothing is touched, and the reason says what to do.
func TestRefusedByGuardOrPrecondition(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	for name, tc := range map[string]struct {
		replace []string
		code    string
		says    string
	}{
		"too many members": {[]string{`max_targets = 2`, `max_targets = 1`}, "guard", "would touch 2 members"},
		"Prometheus cannot be asked": {[]string{`max_targets = 2`, "no_alert = [\"DatabaseDown\"]\n    prometheus = \"http://nobody.monitoring.svc:9090\""},
			"guard", "Whether the alert DatabaseDown fires is not known"},
		"a precondition": {[]string{`target.orders.lag_seconds < 60`, `target.orders.lag_seconds > 60`},
			"precondition", "The precondition replicas does not hold: A replica is "},
	} {
		t.Run(name, func(t *testing.T) {
			code, rep := drillRun(t, patched(t, twiceDrill, tc.replace...))
			require.Equal(t, 11, code)
			require.Equal(t, drill.VerdictRefused, rep.Run.Verdict)
			require.Equal(t, tc.code, rep.Run.Reasons[0].Code)
			require.Contains(t, rep.Run.Reasons[0].Text, tc.says)
			for _, f := range rep.Faults {
				require.Nil(t, f.InjectedOffset)
			}
			nothingLeft(t, c)
		})
	}
}
