//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestInvariants: a real failover, while clients read, write, move amounts and use registers. What they were told made
// sense, as far as nothing was lost; and all of it was recorded, for the same judgement comes out of the detail.
func TestInvariants(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	forgetTheKilled(t, c)
	_, rep := drillRun(t, "drills/invariants.hcl")
	// Asynchronous replication may lose writes, and then clients were told what no longer holds.
	require.Contains(t, []drill.Verdict{drill.VerdictPassed, drill.VerdictFailed}, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.False(t, rep.Abort.Fired)
	require.Equal(t, drill.OutcomeFailedOver, rep.Recovery.Outcome)

	i := rep.Invariants
	require.NotNil(t, i)
	for check, least := range map[drill.Check]int{drill.CheckReads: 500, drill.CheckOwn: 100, drill.CheckSum: 100, drill.CheckRegister: 500} {
		require.Greater(t, i.Checked[check], least, check)
	}
	require.NotNil(t, i.Sum)
	require.Zero(t, *i.Sum)
	require.NotNil(t, i.ReadOutage)
	require.Zero(t, i.ReadOutage.Lower, "two replicas were there all the time")
	require.NotNil(t, i.Staleness)
	require.Less(t, float64(i.Staleness.Lower), 60.0)
	require.NotNil(t, rep.Writes.Lost)
	if *rep.Writes.Lost == 0 {
		require.Equal(t, []int{0, 0, 0}, []int{*i.MonotonicReads, *i.ReadYourWrites, *i.Register})
	}
	for _, wanted := range drill.Invariants() {
		require.True(t, slices.ContainsFunc(rep.Objectives, func(o drill.ObjectiveReport) bool { return o.Name == wanted.Objective }), wanted.Objective)
	}

	recomputed(t, rep)
	for _, kind := range []string{"register", "bank", "set"} {
		export := start(t, "export", rep.Run.ID, "--history", kind)
		require.NoError(t, export.Wait(), export.stderr.String())
		history := export.stdout.String()
		require.Greater(t, strings.Count(history, ":type :invoke"), 100, kind)
		require.Greater(t, strings.Count(history, ":type :ok"), 100, kind)
	}
	ownRole(t, c)
	nothingLeft(t, c)
}
