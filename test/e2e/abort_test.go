//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// patroniConfig is where Patroni keeps what all members agree on.
const patroniConfig = "orders-config"

// configure changes what Patroni's members agree on; nil takes a key away.
func configure(t *testing.T, c *kube.Client, change map[string]any) {
	t.Helper()
	ctx := context.Background()
	configs := c.CoreV1().ConfigMaps(shop)
	cm, err := configs.Get(ctx, patroniConfig, metav1.GetOptions{})
	require.NoError(t, err)
	var config map[string]any
	require.NoError(t, json.Unmarshal([]byte(cm.Annotations["config"]), &config))
	for key, value := range change {
		config[key] = value
		if value == nil {
			delete(config, key)
		}
	}
	text, err := json.Marshal(config)
	require.NoError(t, err)
	cm.Annotations["config"] = string(text)
	_, err = configs.Update(ctx, cm, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// pause tells Patroni to leave the leadership alone, or no longer to: while it is paused, no replica is promoted.
func pause(t *testing.T, c *kube.Client, paused bool) {
	t.Helper()
	if paused {
		configure(t, c, map[string]any{"pause": true})
	} else {
		configure(t, c, map[string]any{"pause": nil})
	}
}

// TestAbort: the primary dies, and nobody takes over. After 3 s the abort condition ends the run, which puts the node
// back at once, 40 s before hold_down would have. It goes red when a fired condition does not end the run, when Revert
// is emptied, and when the latency is not measured.
func TestAbort(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	file := patched(t, "drills/kill-primary.hcl", `duration("120s")`, `duration("3s")`)
	pause(t, c, true)
	resumed := false
	t.Cleanup(func() {
		if !resumed {
			pause(t, c, false)
		}
	})
	since := time.Now()
	path := filepath.Join(outDir(t), t.Name()+".json")
	cmd := start(t, "run", file, "--report", "json="+path)
	run := newest(t, c, since)
	eventually(t, 2*time.Minute, "the fault is injected and reverted", func() (bool, string) {
		r := record(t, c, run.Name)
		for _, f := range r.Status.Faults {
			if f.Phase == kube.FaultReverted {
				return true, ""
			}
		}
		return r.Finished(), string(r.Status.Phase) + " " + r.Status.Message
	})
	pause(t, c, false) // so that the run's own clean-up finds a primary again
	resumed = true
	require.Equal(t, 12, cmd.wait(t, 2*time.Minute))
	rep := readReport(t, path)
	require.Equal(t, drill.VerdictAborted, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.True(t, rep.Abort.Fired)
	require.Equal(t, "outage", rep.Abort.Rule)
	require.Contains(t, rep.Abort.Text, "Writes have failed for 3")
	require.NotNil(t, rep.Abort.Decision)
	require.NotNil(t, rep.Abort.Latency)
	t.Logf("decision after %.4f s, everything put back after %.3f s", float64(*rep.Abort.Decision), float64(*rep.Abort.Latency))
	require.Less(t, float64(*rep.Abort.Decision), 0.5)
	require.Less(t, float64(*rep.Abort.Latency), 10.0)
	require.True(t, rep.Faults[0].Confirmed)
	require.True(t, rep.Faults[0].Reverted)
	require.Empty(t, rep.Faults[0].Residue)
	require.Equal(t, drill.OutcomeNotRecovered, rep.Recovery.Outcome)
	for _, o := range rep.Objectives {
		require.False(t, o.Name == drill.ObjectiveRecoveryTime && o.Met)
	}
	nothingLeft(t, c)
}

// TestWatched: the drill's own probes work in the cluster, from the runner's pod, and its assertions are judged.
func TestWatched(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	code, rep := drillRun(t, "drills/kill-primary-watched.hcl")
	require.Contains(t, []int{0, 10}, code, "%+v", rep.Run.Reasons)
	probes := map[string]drill.ProbeReport{}
	for _, p := range rep.Probes {
		probes[p.Name] = p
	}
	require.Greater(t, probes["checkout"].OK, 300)
	require.NotNil(t, probes["checkout"].Outage)
	require.Greater(t, float64(*probes["checkout"].Outage), 0.5, "checkout cannot write while nobody leads")
	require.Greater(t, probes["orders-port"].OK, 300)
	require.Equal(t, 3.0, *probes["checkout-endpoints"].ValueMin)
	require.Equal(t, 0.0, *probes["orders-endpoints"].ValueMin, "for a while nobody led")
	require.Equal(t, 1.0, *probes["orders-endpoints"].ValueLast)
	require.Greater(t, probes["orders/fresh"].OK, 300)
	require.Contains(t, rep.Recovery.ByClass, drill.ClassFresh)
	pooled, fresh := rep.Recovery.ByClass[drill.ClassPooled], rep.Recovery.ByClass[drill.ClassFresh]
	t.Logf("pooled %+v, fresh %+v", pooled, fresh)
	if rep.Recovery.Flaps == 0 {
		require.InDelta(t, float64(pooled.Estimate), float64(fresh.Estimate), 10)
	}
	judged := map[string]drill.ObjectiveReport{}
	for _, o := range rep.Objectives {
		judged[o.Name] = o
	}
	require.True(t, judged["assert_1"].Met, "%+v", judged)
	require.True(t, judged["assert_2"].Met, "%+v", judged)
	require.NotContains(t, rep.Unknown, "recovery.by_class.fresh")
	nothingLeft(t, c)
}
