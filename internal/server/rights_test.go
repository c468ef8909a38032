package server

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
	"github.com/failoverdrill/drill/test/bubble"
)

// revocable answers questions about rights: yes until they are taken away.
type revocable struct {
	gone   bool
	failed error
	times  int
}

func (w *world) revocable() *revocable {
	var rights revocable
	w.api.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		rights.times++
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		review.Status.Allowed = !rights.gone
		return true, review, rights.failed
	})
	return &rights
}

// ahead is a running run that has injected nothing.
func ahead(faults ...kube.FaultRecord) kube.Status {
	s := running()
	s.Faults = faults
	return s
}

// TestT21ARightThatIsTakenAwayEndsTheRun: its first injection may be hours after its admission.
func TestT21ARightThatIsTakenAwayEndsTheRun(t *testing.T) {
	for name, prepared := range map[string][]kube.FaultRecord{"nothing is there": nil,
		"its agents are there": {{Kind: "network_partition", Name: "a", State: json.RawMessage(`{}`), Phase: kube.FaultPreparing}}} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld(t)
				rights := w.revocable()
				w.create(ahead(prepared...))
				w.setPod(func(*corev1.Pod) {})
				_, _ = w.step(50 * time.Second)
				require.Zero(t, rights.times, "right after its admission they are known")
				run, _ := w.step(3 * time.Minute)
				require.False(t, run.CancelRequested())
				require.InDelta(t, 3, rights.times, 1, "about once a minute")
				rights.gone = true
				run, _ = w.step(70 * time.Second)
				require.True(t, run.CancelRequested())
				require.Equal(t, "the server cancelled the run: a right was taken from its requester. alice may no longer inject faults.failoverdrill.io kill_primary in namespace shop", run.CancelledBecause())
				asked := rights.times
				_, _ = w.step(5 * time.Minute)
				require.Equal(t, asked, rights.times, "it is ending")
			})
		})
	}
}

// TestT21RightsAreAskedWhileTheyMatter: not once something is injected, of which the end is to be seen; and who cannot
// answer takes nothing away.
func TestT21RightsAreAskedWhileTheyMatter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rights := w.revocable()
		rights.gone = true
		w.create(running())
		w.setPod(func(*corev1.Pod) {})
		run, _ := w.step(5 * time.Minute)
		require.False(t, run.CancelRequested())
		require.Zero(t, rights.times)
	})
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rights := w.revocable()
		rights.gone, rights.failed = true, errors.New("the API server is away")
		w.create(ahead())
		w.setPod(func(*corev1.Pod) {})
		run, _ := w.step(3 * time.Minute)
		require.False(t, run.CancelRequested())
		require.InDelta(t, 3, rights.times, 1)
	})
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rights := w.revocable()
		rights.gone = true
		w.create(ahead(), func(r *kube.DrillRun) { r.Spec.Local = true })
		run, _ := w.step(3 * time.Minute)
		require.False(t, run.CancelRequested(), "it has its own process's rights")
		require.Zero(t, rights.times)
	})
}

// TestT21ARunThatWaitsForItsRunnerLosesItsRights: its pod goes, and the record says why.
func TestT21ARunThatWaitsForItsRunnerLosesItsRights(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rights := w.revocable()
		w.create(kube.Status{})
		_, err := w.reconcile(t.Context(), "r1")
		require.NoError(t, err)
		require.Equal(t, kube.PhaseAdmitted, w.read("r1").Status.Phase)
		rights.gone = true
		run, took := w.step(startWithin)
		require.Equal(t, drill.VerdictInterrupted, run.Status.Verdict)
		require.Contains(t, run.Status.Message, "alice may no longer inject")
		require.InDelta(t, 60, took.Seconds(), 5)
	})
}

// TestT19ASweepSaysWhatMayBeInTheDatabase: the server has no way into it, so nothing there is reverted, and nothing is
// said to be untouched.
func TestT19ASweepSaysWhatMayBeInTheDatabase(t *testing.T) {
	for name, c := range map[string]struct {
		ledgers []string
		err     error
		want    string
	}{
		"a ledger":           {[]string{"orders", "stock"}, nil, "Drill's ledger, schema failoverdrill, may still be in the database of orders and of stock:"},
		"none":               {nil, nil, ""},
		"a file gone unread": {nil, errors.New("it cannot be read"), "If a target of it keeps drill's ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.o.Check = func(kube.Spec, drill.Inputs) (Request, error) { return Request{Ledgers: c.ledgers}, c.err }
				w.create(ahead())
				run, _ := w.step(5 * time.Minute) // its pod is gone
				require.Equal(t, drill.VerdictError, run.Status.Verdict)
				require.Contains(t, run.Status.Message, "No fault had been injected.")
				require.NotContains(t, run.Status.Message, "ouched")
				require.Contains(t, run.Status.Message, c.want)
				require.Equal(t, c.want != "", len(run.Status.Message) > len("The runner died: its pod was deleted. No fault had been injected."))
			})
		})
	}
}
