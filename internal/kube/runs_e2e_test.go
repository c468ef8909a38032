//go:build e2e

package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

var state = json.RawMessage(`{"node":"worker1","uid":"u","at":1234567890123,"none":null}`)

func TestARunStartsOnce(t *testing.T) {
	_, runs, create := store(t)
	run := admitted(t, runs, create())
	var won atomic.Int32
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, err := runs.Claim(t.Context(), run.Name, kube.Runner{Pod: "p", UID: fmt.Sprint("uid-", i)})
			if errs[i] = err; err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, won.Load())
	for _, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, kube.ErrClaimed)
		}
	}
	run, err := runs.Get(t.Context(), run.Name)
	require.NoError(t, err)
	require.Equal(t, kube.PhaseRunning, run.Status.Phase)
	require.EqualValues(t, 1, run.Status.Generation)
	require.NotNil(t, run.Status.Started)

	_, err = runs.Claim(t.Context(), run.Name, kube.Runner{Pod: "p", UID: run.Status.Runner.UID})
	require.ErrorIs(t, err, kube.ErrClaimed, "a second process in the same pod is a second runner")
}

func TestAClaimWaitsForAdmission(t *testing.T) {
	_, runs, create := store(t)
	run := create()
	done := make(chan error, 1)
	go func() {
		_, err := runs.Claim(context.WithoutCancel(t.Context()), run.Name, kube.Runner{Pod: "p", UID: "u"})
		done <- err
	}()
	time.Sleep(time.Second)
	require.Empty(t, done)
	admitted(t, runs, run)
	require.NoError(t, <-done)
}

func TestAFinishedRunCannotBeClaimedNorAClaimedOneFinished(t *testing.T) {
	_, runs, create := store(t)
	run := admitted(t, runs, create())
	require.NoError(t, runs.Finish(t.Context(), run.Name, kube.Outcome{Verdict: drill.VerdictRefused, Message: "no"}))
	_, err := runs.Claim(t.Context(), run.Name, kube.Runner{Pod: "p", UID: "u"})
	require.ErrorIs(t, err, kube.ErrFinished)

	other := claimed(t, runs, create())
	require.ErrorIs(t, runs.Finish(t.Context(), other.Name, kube.Outcome{Verdict: drill.VerdictRefused}), kube.ErrClaimed)
}

func TestTheJournalRaisesTheGenerationAndLosesToWhoeverElseDoes(t *testing.T) {
	_, runs, create := store(t)
	run := claimed(t, runs, create())
	journal := runs.Journal(run.Name, run.Status.Generation)
	ctx := t.Context()
	require.NoError(t, journal.Injecting(ctx, "kill_primary", "a", state))
	require.ErrorContains(t, journal.Injecting(ctx, "kill_primary", "a", state), "not reverted yet")
	require.NoError(t, journal.Reverted(ctx, "kill_primary", "a", nil))
	require.NoError(t, journal.Injecting(ctx, "kill_primary", "a", state), "a second trial of the same fault")
	require.NoError(t, runs.Cancel(ctx, run.Name), "a change of the spec is no change of hands")
	require.NoError(t, journal.Injecting(ctx, "freeze", "b", state))

	got, err := runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.True(t, got.CancelRequested())
	require.Equal(t, run.Status.Generation+3, got.Status.Generation)
	require.Len(t, got.Unreverted(), 2)
	require.Equal(t, "freeze", got.Unreverted()[0].Kind, "the last one first")
	require.JSONEq(t, string(state), string(got.Unreverted()[0].State))

	_, sweeper, err := runs.TakeOver(ctx, run.Name)
	require.NoError(t, err)
	require.ErrorIs(t, journal.Injecting(ctx, "pause", "c", state), kube.ErrSuperseded)
	require.ErrorIs(t, journal.Reverted(ctx, "freeze", "b", nil), kube.ErrSuperseded)
	require.ErrorIs(t, journal.Finish(ctx, kube.Outcome{Verdict: drill.VerdictPassed}), kube.ErrSuperseded)
	require.NoError(t, sweeper.Reverted(ctx, "freeze", "b", []string{"a frozen process"}))
	require.NoError(t, sweeper.Finish(ctx, kube.Outcome{Verdict: drill.VerdictError, Message: "the runner died"}))
	got, err = runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.Equal(t, []string{"a frozen process"}, got.Residue())
	require.Equal(t, drill.VerdictError, got.Status.Verdict)
	require.ErrorIs(t, sweeper.Finish(ctx, kube.Outcome{Verdict: drill.VerdictPassed}), kube.ErrFinished)
}

func TestAPreparationIsReplacedByItsInjectionAndByNothingElse(t *testing.T) {
	_, runs, create := store(t)
	run := claimed(t, runs, create())
	journal := runs.Journal(run.Name, run.Status.Generation)
	ctx := t.Context()
	require.NoError(t, journal.Preparing(ctx, "network_partition", "a", state))
	require.Equal(t, run.Status.Generation+1, journal.Generation())
	got, err := runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.Equal(t, kube.FaultPreparing, got.Status.Faults[0].Phase, "the schema admits the phase")
	require.Len(t, got.Unreverted(), 1)
	require.ErrorContains(t, journal.Preparing(ctx, "network_partition", "a", state), "not reverted yet")
	require.NoError(t, journal.Injecting(ctx, "network_partition", "a", state))
	require.ErrorContains(t, journal.Preparing(ctx, "network_partition", "a", state), "not reverted yet")
	got, err = runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.Len(t, got.Status.Faults, 1)
	require.Equal(t, kube.FaultInjecting, got.Status.Faults[0].Phase)
}

// TestWhatIsInjectedLastIsRevertedFirst, whenever it was prepared.
func TestWhatIsInjectedLastIsRevertedFirst(t *testing.T) {
	_, runs, create := store(t)
	run := claimed(t, runs, create())
	journal := runs.Journal(run.Name, run.Status.Generation)
	ctx := t.Context()
	require.NoError(t, journal.Preparing(ctx, "network_partition", "second", state))
	require.NoError(t, journal.Injecting(ctx, "kill_primary", "first", state))
	require.NoError(t, journal.Injecting(ctx, "network_partition", "second", state))
	got, err := runs.Get(ctx, run.Name)
	require.NoError(t, err)
	left := got.Unreverted()
	require.Len(t, left, 2)
	require.Equal(t, []string{"second", "first"}, []string{left[0].Name, left[1].Name})
	require.NoError(t, journal.Reverted(ctx, "network_partition", "second", nil))
	require.NoError(t, journal.Preparing(ctx, "network_partition", "second", state), "a plan that was made anew")
}

func TestOfTwoInjectionsAtTheSameGenerationOneWins(t *testing.T) {
	_, runs, create := store(t)
	for range 5 {
		run := claimed(t, runs, create())
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = runs.Journal(run.Name, run.Status.Generation).Injecting(t.Context(), "kill", fmt.Sprint(i), state)
			})
		}
		wg.Wait()
		require.NotEqual(t, errs[0] == nil, errs[1] == nil, "%v", errs)
		require.ErrorIs(t, errors.Join(errs...), kube.ErrSuperseded)
	}
}

func TestALostAnswerIsNeitherAnErrorNorASecondWrite(t *testing.T) {
	c, runs, create := store(t)
	cuttable, line := overLine(t, c)
	there := kube.NewRuns(cuttable.Dynamic, runs.Namespace())
	run := admitted(t, runs, create())
	ctx := t.Context()

	line.loseAnswers.Store(1)
	run, err := there.Claim(ctx, run.Name, kube.Runner{Pod: "p", UID: "u"})
	require.NoError(t, err)
	require.EqualValues(t, 1, run.Status.Generation)

	journal := there.Journal(run.Name, 1)
	line.loseAnswers.Store(1)
	require.NoError(t, journal.Injecting(ctx, "kill", "a", state))
	line.loseAnswers.Store(1)
	require.NoError(t, journal.Reverted(ctx, "kill", "a", nil))
	line.loseAnswers.Store(1)
	require.NoError(t, journal.Finish(ctx, kube.Outcome{Verdict: drill.VerdictPassed, Message: "ok"}))
	run, err = runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.EqualValues(t, 2, run.Status.Generation)
	require.Len(t, run.Status.Faults, 1)
	require.Equal(t, kube.PhaseFinished, run.Status.Phase)
}

func TestAnInjectionOfWhichNobodyKnowsLeavesItsRunInCharge(t *testing.T) {
	c, runs, create := store(t)
	cuttable, line := overLine(t, c)
	run := claimed(t, runs, create())
	journal := kube.NewRuns(cuttable.Dynamic, runs.Namespace()).Journal(run.Name, run.Status.Generation)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	line.loseAnswers.Store(1)
	line.cutAfter.Store(true)
	require.Error(t, journal.Injecting(ctx, "kill", "a", state))
	line.cut.Store(false)
	require.NoError(t, journal.Finish(t.Context(), kube.Outcome{Verdict: drill.VerdictError, Message: "the API server went away"}))
}

func TestWatchTellsEveryChangeAndTheEnd(t *testing.T) {
	c, runs, create := store(t)
	run := create()
	create() // another one, of which it must not tell
	cuttable, line := overLine(t, c)
	phases := make(chan kube.Phase, 10)
	done := make(chan error, 1)
	go func() {
		done <- kube.NewRuns(cuttable.Dynamic, runs.Namespace()).Watch(context.WithoutCancel(t.Context()), run.Name, func(r *kube.DrillRun) bool {
			phases <- r.Status.Phase
			return !r.Finished()
		})
	}()
	require.Equal(t, kube.Phase(""), <-phases)
	admitted(t, runs, run)
	require.Equal(t, kube.PhaseAdmitted, <-phases)
	line.cut.Store(true)
	require.NoError(t, runs.Finish(t.Context(), run.Name, kube.Outcome{Verdict: drill.VerdictRefused, Message: "no"}))
	line.cut.Store(false)
	require.Equal(t, kube.PhaseFinished, <-phases)
	require.NoError(t, <-done)

	err := runs.Watch(t.Context(), "no-such-run", func(*kube.DrillRun) bool { return true })
	require.True(t, apierrors.IsNotFound(err), "%v", err)
}

func TestADeletedRecordStaysUntilItIsLetGo(t *testing.T) {
	c, runs, create := store(t)
	ctx := t.Context()
	run := create()
	require.NoError(t, runs.SetFinalizer(ctx, run, true))
	require.NoError(t, c.Dynamic.Resource(kube.Resource).Namespace(runs.Namespace()).Delete(ctx, run.Name, metav1.DeleteOptions{}))
	run, err := runs.Get(ctx, run.Name)
	require.NoError(t, err)
	require.True(t, run.CancelRequested())
	require.NoError(t, runs.SetFinalizer(ctx, run, false))
	_, err = runs.Get(ctx, run.Name)
	require.True(t, apierrors.IsNotFound(err))
}
