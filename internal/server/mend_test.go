package server

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

func finished(phase kube.FaultPhase) kube.Status {
	status := running()
	status.Phase, status.Verdict, status.Message = kube.PhaseFinished, drill.VerdictInterrupted, "It was stopped."
	status.Faults[0].Phase = phase
	if phase == kube.FaultResidue {
		status.Faults[0].Residue = []string{"the API server was away"}
	}
	return status
}

func held(r *kube.DrillRun) { r.Finalizers = []string{kube.Finalizer} }

// T5: a runner that was cut off from the API server for three minutes wrote "residue", and nobody ever tried again.
func TestT5ResidueIsTriedAgainUntilItIsGone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.failing = errors.New("node n7 is away")
		w.create(finished(kube.FaultResidue), held)
		run, _ := w.letGo(5 * time.Hour)
		require.Contains(t, run.Finalizers, kube.Finalizer, "the record is the only way back")
		require.Equal(t, []string{"the API server was away"}, run.Residue())
		require.InDelta(t, 14, len(w.reverted), 2, "after 5 s, then twice as long each time, up to an hour")

		w.failing = nil
		run, took := w.letGo(5 * time.Hour)
		require.LessOrEqual(t, took, residueLast+time.Minute)
		require.Empty(t, run.Finalizers)
		require.Empty(t, run.Residue())
		require.True(t, run.HadResidue(), "it ends a series all the same")
		fault := run.Status.Faults[0]
		require.Equal(t, kube.FaultReverted, fault.Phase)
		require.Equal(t, "the server", fault.By)
		require.WithinDuration(t, time.Now(), fault.Cleared.Time, 10*time.Second)
		require.Equal(t, drill.VerdictInterrupted, run.Status.Verdict, "it stays what it was")
		require.Equal(t, `It was stopped. The residue of fault "kill_primary" "a" was put back at `+
			fault.Cleared.UTC().Format(time.RFC3339)+` by the server.`, run.Status.Message)
	})
}

// T5: residue that the runner wrote right before the API server came back is gone within seconds.
func TestT5ResidueIsTriedAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(finished(kube.FaultResidue), held)
		run, took := w.letGo(time.Hour)
		require.Empty(t, run.Unreverted())
		require.Less(t, took, 10*time.Second)
	})
}

// T5: also a finished run's fault that nobody could note as reverted becomes residue only after two minutes of trying.
func TestT5AFaultWithoutANoteIsNoResidueAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.failing = errors.New("node n7 is away")
		w.create(finished(kube.FaultInjecting), held)
		run, _ := w.letGo(revertWithin - 10*time.Second)
		require.Empty(t, run.Residue())
		run, _ = w.letGo(5 * time.Minute)
		require.Equal(t, []string{"node n7 is away"}, run.Residue())
		require.Contains(t, run.Finalizers, kube.Finalizer)
	})
}

// T21: reverting held one of four workers for two minutes for each fault, so that four dead runs stopped every admission.
func TestT21ARevertThatHangsKeepsNoWorker(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hangs := make(chan struct{})
		calls := 0
		w.o.Revert = func(ctx context.Context, _ kube.FaultRecord, _ string) error {
			calls++
			select {
			case <-hangs:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		status := running()
		status.Runner.UID = "an older pod"
		status.Faults = append(status.Faults, kube.FaultRecord{Kind: "kill_primary", Name: "b", State: json.RawMessage(`{}`), Phase: kube.FaultInjecting})
		w.create(status)
		began := time.Now()
		again, err := w.reconcile(t.Context(), "r1")
		require.NoError(t, err)
		require.NotZero(t, again)
		synctest.Wait()
		again, err = w.reconcile(t.Context(), "r1")
		require.NoError(t, err)
		require.NotZero(t, again)
		require.Zero(t, time.Since(began), "the worker is free")
		require.Equal(t, 1, calls, "one job for each run")
		close(hangs)
		run, _ := w.step(time.Minute)
		require.Equal(t, drill.VerdictError, run.Status.Verdict)
		require.Empty(t, run.Unreverted())
	})
}

// A leader that stops leaves the rest to the next one, and does not call residue what it had no time for.
func TestAServerThatStopsCallsNothingResidue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.failing = errors.New("no answer")
		status := running()
		status.Runner.UID = "an older pod"
		w.create(status)
		ctx, stop := context.WithCancel(t.Context())
		_, err := w.reconcile(ctx, "r1")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		stop()
		w.jobs.Wait()
		run, err := w.runs.Get(t.Context(), "r1")
		require.NoError(t, err)
		require.Empty(t, run.Residue())
		require.Len(t, run.Unreverted(), 1)
		require.False(t, run.Finished())
	})
}
