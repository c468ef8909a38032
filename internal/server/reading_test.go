package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// asked counts how often the cluster was asked for a right.
func (w *world) asked() int {
	n := 0
	for _, a := range w.api.Actions() {
		if a.Matches("create", "subjectaccessreviews") {
			n++
		}
	}
	return n
}

func (w *world) another(name, user string) {
	w.Helper()
	w.create(kube.Status{}, func(r *kube.DrillRun) {
		r.Name, r.UID, r.Spec.File, r.Spec.Requester.User = name, types.UID(name), "d.hcl", user
	})
}

// TestT1AFileThatEndsItsReaderIsRefused: three times over all servers, noted before each, and never again. A run beside
// it is admitted.
func TestT1AFileThatEndsItsReaderIsRefused(t *testing.T) {
	w := newWorld(t)
	good := w.o.Check
	reads := 0
	w.o.Check = func(spec kube.Spec, in drill.Inputs) (Request, error) {
		if spec.Requester.User != "mallory" {
			return good(spec, in)
		}
		run, err := w.runs.Get(t.Context(), "bad")
		require.NoError(t, err)
		reads++
		require.Equal(t, reads, run.Status.Reads, "it is noted before it is read")
		return Request{}, &UnreadableError{Why: "it could not be read within 96 MiB"}
	}
	w.another("bad", "mallory")
	w.another("good", "alice")
	_, err := w.reconcile(t.Context(), "bad")
	require.NoError(t, err)
	_, err = w.reconcile(t.Context(), "good")
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "good")
	require.NoError(t, err)
	require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)

	w.reading = newReading() // another server leads
	for range 5 {
		_, err = w.reconcile(t.Context(), "bad")
		require.NoError(t, err)
	}
	require.Equal(t, maxReads, reads)
	run, err = w.runs.Get(t.Context(), "bad")
	require.NoError(t, err)
	require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
	require.Contains(t, run.Status.Message, "could not be read in 3 attempts: refused, not tried again. it could not be read within 96 MiB.")
}

// TestT1AServerThatDiedReadingCounts: of what kills the whole server the note alone is left.
func TestT1AServerThatDiedReadingCounts(t *testing.T) {
	w := newWorld(t)
	w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) {
		t.Error("read once more")
		return Request{}, nil
	}
	w.another("bad", "mallory")
	for range maxReads {
		_, err := w.runs.NoteRead(t.Context(), "bad")
		require.NoError(t, err)
	}
	_, err := w.reconcile(t.Context(), "bad")
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "bad")
	require.NoError(t, err)
	require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
	require.Contains(t, run.Status.Message, "not tried again")
}

// TestAFileIsReadOnce: a run that waits for something else is not read again, and one file at a time keeps no worker.
func TestAFileIsReadOnce(t *testing.T) {
	w := newWorld(t)
	good, reads := w.o.Check, 0
	w.o.Check = func(spec kube.Spec, in drill.Inputs) (Request, error) { reads++; return good(spec, in) }
	broken := true
	w.api.PrependReactor("create", "pods", failing(&broken))
	w.another("r2", "alice")
	for range 5 {
		_, err := w.reconcile(t.Context(), "r2")
		require.Error(t, err)
	}
	require.Equal(t, 1, reads)
	broken = false
	_, err := w.reconcile(t.Context(), "r2")
	require.NoError(t, err)
	_, err = w.reconcile(t.Context(), "r2")
	require.NoError(t, err)
	require.Empty(t, w.reading.known, "of a run that waits no more nothing is kept")
	require.Empty(t, w.reading.waiting)

	w.another("r3", "alice")
	w.reading.turn <- struct{}{}
	again, err := w.reconcile(t.Context(), "r3")
	require.NoError(t, err)
	require.Equal(t, whileReading, again)
	<-w.reading.turn

	w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) {
		return Request{}, &LaterError{Err: errors.New("no process can be started")}
	}
	_, err = w.reconcile(t.Context(), "r3")
	require.ErrorContains(t, err, "no process", "which is not the file's fault")
}

// TestT2ManyWaitingRunsAreRefused: one requester's runs do not take everybody's turn.
func TestT2ManyWaitingRunsAreRefused(t *testing.T) {
	w := newWorld(t)
	broken := true
	w.api.PrependReactor("create", "pods", failing(&broken))
	for i := range maxWaiting + 5 {
		w.another(fmt.Sprint("m-", i), "mallory")
		_, _ = w.reconcile(t.Context(), fmt.Sprint("m-", i))
	}
	refused := 0
	for i := range maxWaiting + 5 {
		run, err := w.runs.Get(t.Context(), fmt.Sprint("m-", i))
		require.NoError(t, err)
		if run.Status.Verdict == drill.VerdictRefused {
			require.Contains(t, run.Status.Message, "20 runs of mallory wait")
			require.Zero(t, run.Status.Reads)
			refused++
		}
	}
	require.Equal(t, 5, refused)
	broken = false
	w.another("good", "alice")
	_, err := w.reconcile(t.Context(), "good")
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "good")
	require.NoError(t, err)
	require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)
}

// TestT2TooMuchIsRefusedUnasked: a file within its own bounds may still need more than is asked for.
func TestT2TooMuchIsRefusedUnasked(t *testing.T) {
	w := newWorld(t)
	w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) {
		var q Request
		for i := range 3000 {
			q.Namespaces, q.FaultKinds = append(q.Namespaces, fmt.Sprint("ns-", i)), append(q.FaultKinds, "pod_kill")
		}
		return q, nil
	}
	w.another("bad", "mallory")
	began := time.Now()
	_, err := w.reconcile(t.Context(), "bad")
	require.NoError(t, err)
	require.Less(t, time.Since(began), time.Second)
	require.Zero(t, w.asked())
	run, err := w.runs.Get(t.Context(), "bad")
	require.NoError(t, err)
	require.Equal(t, drill.VerdictRefused, run.Status.Verdict)
	require.Contains(t, run.Status.Message, "rights")
}

func failing(broken *bool) clienttesting.ReactionFunc {
	return func(clienttesting.Action) (bool, runtime.Object, error) {
		return *broken, nil, errors.New("the webhook does not answer")
	}
}

// TestABusyReaderCountsForNothing: what keeps the server from reading is no fault of the file.
func TestABusyReaderCountsForNothing(t *testing.T) {
	w := newWorld(t)
	good, busy := w.o.Check, true
	w.o.Check = func(spec kube.Spec, in drill.Inputs) (Request, error) {
		if busy {
			return Request{}, &LaterError{Err: errors.New("no process can be started")}
		}
		return good(spec, in)
	}
	w.another("waits", "alice")
	for range 2 * maxReads {
		_, err := w.reconcile(t.Context(), "waits")
		require.ErrorContains(t, err, "no process can be started")
	}
	busy = false
	_, err := w.reconcile(t.Context(), "waits")
	require.NoError(t, err)
	run, err := w.runs.Get(t.Context(), "waits")
	require.NoError(t, err)
	require.Equal(t, kube.PhaseAdmitted, run.Status.Phase)
}
