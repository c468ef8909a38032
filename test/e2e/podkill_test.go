//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// checkoutPods are the pods of the demo's stateless service by UID.
func checkoutPods(t *testing.T, c *kube.Client) map[string]corev1.Pod {
	t.Helper()
	pods, err := c.CoreV1().Pods(shop).List(context.Background(), metav1.ListOptions{LabelSelector: "app=checkout"})
	require.NoError(t, err)
	all := map[string]corev1.Pod{}
	for _, p := range pods.Items {
		all[string(p.UID)] = p
	}
	return all
}

// readySince is when a pod became Ready, or zero when it is not.
func readySince(p corev1.Pod) (since time.Time) {
	for _, x := range p.Status.Conditions {
		if x.Type == corev1.PodReady && x.Status == corev1.ConditionTrue {
			since = x.LastTransitionTime.Time
		}
	}
	return since
}

// checkoutWhole waits until the three pods are Ready, nothing is on its way out, and the budget allows an eviction again.
func checkoutWhole(t *testing.T, c *kube.Client) map[string]corev1.Pod {
	t.Helper()
	eventually(t, 3*time.Minute, "three pods of checkout, all Ready", func() (bool, string) {
		state := map[string]int{}
		for _, p := range checkoutPods(t, c) {
			switch {
			case p.DeletionTimestamp != nil:
				state["leaving"]++
			case !readySince(p).IsZero():
				state["ready"]++
			default:
				state["not ready"]++
			}
		}
		budget, err := c.PolicyV1().PodDisruptionBudgets(shop).Get(context.Background(), "checkout", metav1.GetOptions{})
		require.NoError(t, err)
		state["allowed"] = int(budget.Status.DisruptionsAllowed)
		said, _ := json.Marshal(state)
		return state["ready"] == 3 && state["leaving"]+state["not ready"] == 0 && state["allowed"] == 1, string(said)
	})
	return checkoutPods(t, c)
}

// podKilled asserts what every report of a pod_kill says, and that the service is whole again, with new pods in the
// place of the victims and the others untouched.
func podKilled(t *testing.T, c *kube.Client, rep drill.Report, before map[string]corev1.Pod, hurt int) {
	t.Helper()
	require.Len(t, rep.Faults, 1)
	f := rep.Faults[0]
	require.True(t, f.Confirmed)
	require.NotEmpty(t, f.ConfirmedBy)
	require.True(t, f.Reverted)
	require.Empty(t, f.Residue)
	require.Equal(t, hurt, len(f.Victims)-len(f.Spared))

	rec := rep.Recovery
	require.NotNil(t, rec)
	require.Equal(t, "checkout", rec.Target)
	require.NotNil(t, rec.Redundancy)
	require.Positive(t, float64(*rec.Redundancy))
	require.Less(t, float64(*rec.Redundancy), 120.0)
	total := 0.0
	for _, p := range rec.Phases {
		require.NotEmpty(t, p.Signal, p.Name)
		total += float64(p.Seconds)
	}
	require.InDelta(t, float64(*rec.Redundancy), total, 0.05, "the phases sum to the total")

	require.Nil(t, rep.Writes)
	require.Nil(t, rep.ReplicationLag)
	require.Nil(t, rep.Primaries)
	require.Empty(t, rep.Unknown)
	e := rep.Endpoints
	require.NotNil(t, e)
	require.Equal(t, 3, *e.Desired)
	require.Equal(t, 3-hurt, *e.LeastReady)
	require.NotNil(t, e.NewMember)
	require.Positive(t, float64(e.NewMember.First))
	require.GreaterOrEqual(t, float64(e.NewMember.All), float64(e.NewMember.First))
	require.LessOrEqual(t, float64(e.NewMember.All), float64(*rec.Redundancy)+2, "who is led to was Ready")
	require.Len(t, e.Budgets, 1)
	require.Equal(t, "checkout", e.Budgets[0].Name)
	require.Equal(t, 1, e.Budgets[0].AllowedBefore)
	require.Equal(t, 3, e.Budgets[0].Covers)

	after := checkoutWhole(t, c)
	gone := 0
	for uid := range before {
		if _, there := after[uid]; !there {
			gone++
			require.True(t, slices.ContainsFunc(f.Victims, func(m drill.Member) bool { return m.UID == uid }), "nobody else was touched")
		}
	}
	require.Equal(t, hurt, gone)
	nothingLeft(t, c)
}

// TestPodKillOne goes red when the fault's Inject is emptied (the run is invalid).
func TestPodKillOne(t *testing.T) {
	c := cluster(t)
	before := checkoutWhole(t, c)
	code, rep := drillRun(t, "drills/pod-kill-one.hcl")
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.Zero(t, code)
	podKilled(t, c, rep, before, 1)
	require.Less(t, float64(rep.Recovery.Unavailable), 2.0, "two others were there all the time")
	require.Zero(t, float64(*rep.Endpoints.NoEndpoints))
	require.Contains(t, rep.Endpoints.Budgets[0].Text, "did not matter")
}

func TestPodKillAll(t *testing.T) {
	c := cluster(t)
	before := checkoutWhole(t, c)
	code, rep := drillRun(t, "drills/pod-kill-all.hcl")
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.Zero(t, code)
	podKilled(t, c, rep, before, 3)
	require.Positive(t, float64(*rep.Endpoints.NoEndpoints))

	// A process outlives its object by two seconds, and kube-proxy takes a second to notice: new pods may be Ready before
	// any client has missed the old ones.
	refusals, answers := checkoutSlots(recording(t, c, rep.Run.ID))
	if len(refusals) == 0 {
		t.Log("nobody was refused: the new pods were Ready before the old processes were gone")
		require.Equal(t, rep.Recovery.Slow, rep.Recovery.Unavailable, "answers that came too late are all that clients missed")
		return
	}
	if rep.Recovery.Outcome == drill.OutcomeNoImpact {
		t.Logf("the old processes were gone %s before the new pods were Ready: a blip", refusals[len(refusals)-1].Sub(refusals[0]))
		require.LessOrEqual(t, rep.Recovery.Blips.Longest, rep.Recovery.Blip)
		return
	}
	require.Equal(t, drill.OutcomeReplaced, rep.Recovery.Outcome)
	// Whoever is refused was not led to an old process any more, so nobody is served until a new pod is Ready, by the
	// clock of its node, which Kubernetes writes down in whole seconds.
	var ready time.Duration
	for uid, p := range checkoutPods(t, c) {
		if _, old := before[uid]; !old {
			if at := readySince(p).Sub(rep.Run.Started); ready == 0 || at < ready {
				ready = at
			}
		}
	}
	t.Logf("refused %d times, first after %.3f s and last after %.3f s of the run; the first new pod was Ready at %.0f s, cut to whole seconds of the clock", len(refusals), refusals[0].Seconds(), refusals[len(refusals)-1].Seconds(), ready.Seconds())
	require.False(t, slices.ContainsFunc(answers, func(at drill.Offset) bool { return at > refusals[0] && at.Seconds() < ready.Seconds() }), "served before there was a new pod")
	require.Greater(t, float64(*rep.Faults[0].InjectedOffset)+float64(rep.Recovery.Upper), ready.Seconds(), "served for good before there was a new pod")
}

// checkoutSlots are when the clients' requests were refused after the fault, and when they were answered, each in its order.
func checkoutSlots(rec drill.Recording) (refused, answered []drill.Offset) {
	var injecting drill.Offset
	for e := range rec.Events {
		if e.Type == drill.EventFault && e.Fault.State == drill.FaultInjecting {
			injecting = e.Fault.From
		}
		for _, s := range e.Samples {
			switch {
			case s.Probe != "checkout" || s.Class != drill.ClassFresh:
			case s.Outcome == drill.OutcomeOK:
				answered = append(answered, s.Done)
			case s.Signal == drill.SignalRefused && injecting > 0: // what timed out may have been led to an old process
				refused = append(refused, s.Done)
			}
		}
	}
	slices.Sort(refused)
	slices.Sort(answered)
	return refused, answered
}

// TestEvictionMeetsTheBudget: of three evictions the budget allows one, and the run says so.
func TestEvictionMeetsTheBudget(t *testing.T) {
	c := cluster(t)
	before := checkoutWhole(t, c)
	// How soon clients were served again is the other tests' question.
	_, rep := drillRun(t, patched(t, "drills/pod-kill-all.hcl", `method = "force_delete"`, `method = "evict"`, "recovery_time = ", "# recovery_time = "))
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	podKilled(t, c, rep, before, 1)
	require.Len(t, rep.Faults[0].Spared, 2)
	require.Contains(t, rep.Endpoints.Budgets[0].Text, "It allowed 1 of 3 evictions")
	require.True(t, slices.ContainsFunc(rep.Findings, func(f drill.Finding) bool { return f.Code == "evictions_refused" }))
}

// TestEvictionRefused: a budget that allows nothing refuses the run, in its own words, and nothing is touched.
func TestEvictionRefused(t *testing.T) {
	c := cluster(t)
	before := checkoutWhole(t, c)
	patch := func(n string) {
		_, err := c.PolicyV1().PodDisruptionBudgets(shop).Patch(context.Background(), "checkout", "application/merge-patch+json",
			[]byte(`{"spec":{"maxUnavailable":`+n+`}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	patch("0")
	defer patch("1")
	code, rep := drillRun(t, patched(t, "drills/pod-kill-one.hcl", `method = "graceful"`, `method = "evict"`))
	require.Equal(t, 11, code)
	require.Equal(t, "evictions_refused", rep.Run.Reasons[0].Code)
	require.Contains(t, rep.Run.Reasons[0].Text, "disruption budget checkout")
	require.Equal(t, before, sameUIDs(before, checkoutPods(t, c)), "nothing was touched")
	nothingLeft(t, c)
}

// sameUIDs returns before when both hold the same objects, and after when not.
func sameUIDs(before, after map[string]corev1.Pod) map[string]corev1.Pod {
	if len(before) != len(after) {
		return after
	}
	for uid := range before {
		if _, there := after[uid]; !there {
			return after
		}
	}
	return before
}
