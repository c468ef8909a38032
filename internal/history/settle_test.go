package history

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// T5: the record knows what became of the faults after the report was computed.
func TestT5TheRecordKnowsWhatBecameOfTheFaults(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 11, 30, 20, 15, 3, 0, time.UTC))
	for name, c := range map[string]struct {
		record   kube.FaultRecord
		reported drill.FaultReport
		reverted bool
		residue  []string
		reasons  int
	}{
		"residue that was put back": {kube.FaultRecord{Phase: kube.FaultReverted, Cleared: &at, By: "the server"},
			drill.FaultReport{Residue: []string{"n1 is cordoned"}}, true, []string{}, 1},
		"reverted when the API server was back": {kube.FaultRecord{Phase: kube.FaultReverted}, drill.FaultReport{Residue: []string{}}, true, []string{}, 1},
		"not reverted even then": {kube.FaultRecord{Phase: kube.FaultResidue, Residue: []string{"n1 is away"}},
			drill.FaultReport{Reverted: true, Residue: []string{}}, false, []string{"n1 is away"}, 1},
	} {
		c.record.Kind, c.record.Name, c.reported.Kind, c.reported.Name = "kill_primary", "a", "kill_primary", "a"
		reasons := []drill.Reason{{Code: "lock_lost"}}
		if len(c.reported.Residue) > 0 {
			reasons = []drill.Reason{{Code: "residue"}}
		}
		raw, err := json.Marshal(drill.Report{Run: drill.RunReport{Verdict: drill.VerdictInterrupted, Reasons: reasons}, Faults: []drill.FaultReport{c.reported}})
		require.NoError(t, err)
		rep, err := Report(&kube.DrillRun{Status: kube.Status{Report: raw, Faults: []kube.FaultRecord{c.record}}})
		require.NoError(t, err, name)
		require.Equal(t, c.reverted, rep.Faults[0].Reverted, name)
		require.Equal(t, c.residue, rep.Faults[0].Residue, name)
		require.Len(t, rep.Run.Reasons, c.reasons, name)
		require.Equal(t, drill.VerdictInterrupted, rep.Run.Verdict, name)
		if c.record.Cleared != nil {
			require.Equal(t, `The residue of fault "kill_primary" "a" was put back at 2026-11-30T20:15:03Z by the server.`, rep.Run.Reasons[0].Text)
		}
	}
}
