//go:build e2e

package kube_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestT20ARecordHoldsCleanText: kubectl -o jsonpath writes status.message to the terminal as it is.
func TestT20ARecordHoldsCleanText(t *testing.T) {
	const hostile = "pg: \x1b]0;owned\x07\nPASSED \u202egnp"
	_, runs, create := store(t)
	run := admitted(t, runs, create())
	run, err := runs.Claim(t.Context(), run.Name, kube.Runner{Pod: "p", UID: "u"})
	require.NoError(t, err)
	journal := runs.Journal(run.Name, run.Status.Generation)
	require.NoError(t, journal.Injecting(t.Context(), "kill_primary", "x", state))
	require.NoError(t, journal.Reverted(t.Context(), "kill_primary", "x", []string{hostile}))
	require.NoError(t, journal.Finish(t.Context(), kube.Outcome{Verdict: drill.VerdictError, Message: hostile}))
	run, err = runs.Get(t.Context(), run.Name)
	require.NoError(t, err)
	require.Equal(t, "pg: ]0;owned PASSED gnp", run.Status.Message)
	require.Equal(t, []string{"pg: ]0;owned PASSED gnp"}, run.Residue())
}
