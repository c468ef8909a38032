package runner

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/measure"
	"github.com/failoverdrill/drill/test/bubble"
)

// both keeps the events as they are beside the detail.
type both struct {
	*detail.Writer
	plain plain
}

func (b *both) Append(e drill.Event) {
	b.Writer.Append(e)
	b.plain.Append(e)
}

// TestTheDetailGivesTheSameReport: the run's own, the one of its events in memory, and the one that anybody computes later.
func TestTheDetailGivesTheSameReport(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		recorder := &both{Writer: detail.NewWriter(drill.Recording{})}
		c := w.config()
		c.Recorder, c.Source = recorder, "0123"
		c.Drill.Asserts = []drill.Rule{{Name: "up", Condition: above{"outage_seconds", -1}}}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)

		rec, err := detail.Read(recorder.Bytes())
		require.NoError(t, err)
		require.Equal(t, "0123", rec.Source)
		same(t, rep, measure.Report(rec))
		rec.Events = func(yield func(drill.Event) bool) {
			for _, e := range recorder.plain.events {
				if !yield(e) {
					return
				}
			}
		}
		same(t, rep, measure.Report(rec))
	})
}

func same(t *testing.T, want, got drill.Report) {
	t.Helper()
	a, err := json.Marshal(want)
	require.NoError(t, err)
	b, err := json.Marshal(got)
	require.NoError(t, err)
	require.Equal(t, string(a), string(b))
}

// broken is a recorder whose recording cannot be read.
type broken struct{ plain }

func (*broken) Recording(drill.Recording) (drill.Recording, error) {
	return drill.Recording{}, errors.New("boom")
}

// TestARecorderThatFailsHidesNoResidue: without what was measured there is no verdict, but whom somebody must help is told.
func TestARecorderThatFailsHidesNoResidue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hooks["revert"] = func(context.Context) error { return errors.New("no way back") }
		c := w.config()
		c.Recorder = &broken{}
		rep := Run(t.Context(), c)
		require.Equal(t, drill.VerdictError, rep.Run.Verdict)
		require.Equal(t, "no_detail", rep.Run.Reasons[0].Code)
		require.Contains(t, rep.Run.Reasons[0].Text, "boom")
		require.Len(t, rep.Faults[0].Residue, 1)
		require.Equal(t, "orders-0", rep.Faults[0].Victims[0].Name)
	})
}
