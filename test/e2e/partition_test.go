//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const partitionDrill = "drills/partition-primary.hcl"

// window is a look into a pod's network namespace by the test itself: what it sees is not drill's word.
type window struct{ container string }

func lookInto(t *testing.T, c *kube.Client, pod string) window {
	t.Helper()
	p, err := c.CoreV1().Pods(shop).Get(context.Background(), pod, metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, p.Status.ContainerStatuses)
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	return window{id}
}

// run runs a command in the pod's network. The process by which the network is found may be gone a moment later, so it
// is looked for each time; the lab's nodes are containers, and their processes are seen here.
func (w window) run(command string) (string, error) {
	enter := "p=$(grep -ls " + w.container + " /proc/[0-9]*/cgroup | head -1 | cut -d/ -f3) && [ -n \"$p\" ] && exec nsenter --net=/proc/$p/ns/net " + command
	out, err := asRoot("bash", "-c", enter).CombinedOutput()
	return string(out), err
}

// ruleset is what nft lists there.
func (w window) ruleset(t *testing.T) string {
	t.Helper()
	var out string
	var err error
	for range 5 {
		if out, err = w.run("nft list ruleset"); err == nil {
			return out
		}
	}
	require.NoError(t, err, out)
	return ""
}

// flows tries to connect to PostgreSQL at an address.
func (w window) flows(ip string) bool {
	_, err := w.run("timeout 0.3 bash -c 'exec 3<>/dev/tcp/" + ip + "/5432'")
	return err == nil
}

func asRoot(name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("sudo", append([]string{name}, args...)...)
}

// cutPods are the primary, and one replica with its address.
func cutPods(t *testing.T, c *kube.Client) (primary, replica, replicaIP string) {
	t.Helper()
	pods, err := c.CoreV1().Pods(shop).List(context.Background(), metav1.ListOptions{LabelSelector: members})
	require.NoError(t, err)
	for _, p := range pods.Items {
		if p.Labels["role"] == "replica" {
			replica, replicaIP = p.Name, p.Status.PodIP
		} else {
			primary = p.Name
		}
	}
	require.NotEmpty(t, primary)
	require.NotEmpty(t, replica)
	return primary, replica, replicaIP
}

func noAgents(t *testing.T, c *kube.Client) {
	t.Helper()
	eventually(t, 90*time.Second, "no agent and no certificate is left", func() (bool, string) {
		pods, err := c.CoreV1().Pods(kube.AgentNamespace).List(context.Background(), metav1.ListOptions{LabelSelector: kube.LabelComponent + "=agent"})
		require.NoError(t, err)
		secrets, err := c.CoreV1().Secrets(kube.AgentNamespace).List(context.Background(), metav1.ListOptions{LabelSelector: kube.LabelRun})
		require.NoError(t, err)
		var left bytes.Buffer
		for _, p := range pods.Items {
			left.WriteString(" " + p.Name)
		}
		for _, s := range secrets.Items {
			left.WriteString(" " + s.Name)
		}
		return left.Len() == 0, left.String()
	})
}

// TestPartitionPrimary isolates the primary. It goes red when the fault's Inject is emptied (the run is invalid) and
// when its Revert is (rules and agents stay). Whether the database loses writes is the report's to say, not ours.
func TestPartitionPrimary(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	primary, replica, _ := cutPods(t, c)
	ofPrimary, ofReplica := lookInto(t, c, primary), lookInto(t, c, replica)
	before := ofPrimary.ruleset(t) + ofReplica.ruleset(t)
	code, rep := drillRun(t, partitionDrill)
	require.Contains(t, []drill.Verdict{drill.VerdictPassed, drill.VerdictFailed}, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.Contains(t, []int{0, 10}, code)

	f := rep.Faults[0]
	require.Equal(t, "network_partition", f.Kind)
	require.True(t, f.Confirmed)
	require.Contains(t, f.ConfirmedBy, "timed out")
	require.True(t, f.Reverted)
	require.Empty(t, f.Residue)
	require.Equal(t, primary, f.Victims[0].Name)

	require.Equal(t, drill.OutcomeFailedOver, rep.Recovery.Outcome)
	require.NotNil(t, rep.Recovery.FirstSuccess)
	// Patroni's leadership must run out before another may take it.
	require.Greater(t, float64(*rep.Recovery.FirstSuccess), 5.0)
	require.Greater(t, float64(*rep.Recovery.Redundancy), 44.0, "the old primary cannot be back before the heal")
	require.NotNil(t, rep.Writes.Lost)
	require.Zero(t, rep.Writes.Phantom+rep.Writes.Fabricated+rep.Writes.Duplicate)
	require.Equal(t, 1, rep.Primaries.LeaderChanges)

	require.Equal(t, before, ofPrimary.ruleset(t)+ofReplica.ruleset(t))
	noAgents(t, c)
	nothingLeft(t, c)
}

// TestPartitionRunnerKilled takes the runner away in the middle of the cut. A pinger of the test's own, in the primary's
// network namespace, sees when the traffic flows again.
func TestPartitionRunnerKilled(t *testing.T) {
	const ttl = 5 * time.Second
	c := cluster(t)
	whole(t, c)
	primary, replica, replicaIP := cutPods(t, c)
	ofPrimary, ofReplica := lookInto(t, c, primary), lookInto(t, c, replica)
	before := ofPrimary.ruleset(t) + ofReplica.ruleset(t)
	require.True(t, ofPrimary.flows(replicaIP))
	since := time.Now()
	cmd := start(t, "run", partitionDrill)
	r := newest(t, c, since)
	injected(t, c, r.Name)
	require.False(t, ofPrimary.flows(replicaIP), "the pinger sees the cut")
	require.Contains(t, ofPrimary.ruleset(t), "flags owner")

	running := record(t, c, r.Name)
	killed := time.Now()
	killRunner(t, running)
	healed := time.Duration(0)
	for healed == 0 && time.Since(killed) < 3*ttl {
		if ofPrimary.flows(replicaIP) {
			healed = time.Since(killed)
		}
	}
	t.Logf("traffic flows again %s after the runner was killed", healed)
	require.Positive(t, healed, "the cut outlived its runner")
	require.Less(t, healed, ttl+time.Second)

	require.Equal(t, 1, cmd.wait(t, 2*time.Minute))
	done := finished(t, c, r.Name, 2*time.Minute)
	require.Equal(t, drill.VerdictError, done.Status.Verdict)
	require.Equal(t, kube.FaultReverted, done.Status.Faults[0].Phase, done.Status.Message)
	require.Equal(t, before, ofPrimary.ruleset(t)+ofReplica.ruleset(t))
	noAgents(t, c)
	nothingLeft(t, c)
}

// TestACutThatEndsEarlyIsInvalid takes the agent away in the middle of the cut, whose rules the kernel then removes: from
// there on nothing is broken, and whatever the database does proves nothing. It passes everything that it is asked for,
// and is invalid.
func TestACutThatEndsEarlyIsInvalid(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	primary, _, _ := cutPods(t, c)
	before := lookInto(t, c, primary).ruleset(t)
	since := time.Now()
	path := filepath.Join(outDir(t), t.Name()+".json")
	cmd := start(t, "run", patched(t, "drills/late-impact.hcl", `"45s"`, `"15s"`), "--report", "json="+path)
	r := newest(t, c, since)
	injected(t, c, r.Name)
	pod, err := c.CoreV1().Pods(shop).Get(context.Background(), primary, metav1.GetOptions{})
	require.NoError(t, err)
	killOn(t, pod.Spec.NodeName, "agent --run "+r.Name)
	require.Equal(t, 15, cmd.wait(t, 2*time.Minute))
	rep := readReport(t, path)
	require.Equal(t, drill.VerdictInvalid, rep.Run.Verdict)
	require.Equal(t, "fault_unconfirmed", rep.Run.Reasons[0].Code)
	require.Contains(t, rep.Run.Reasons[0].Text, "did not last")
	require.False(t, rep.Faults[0].Confirmed)
	require.True(t, rep.Faults[0].Reverted)
	require.Empty(t, rep.Faults[0].Residue)
	require.Equal(t, before, lookInto(t, c, primary).ruleset(t))
	noAgents(t, c)
	nothingLeft(t, c)
}
