//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const partitionDrill = "drills/partition-primary.hcl"

// sandbox is the process id, on this machine, of a pod's first container, whose network namespace the tests look into by
// themselves: what they see is not drill's word.
func sandbox(t *testing.T, c *kube.Client, pod string) string {
	t.Helper()
	p, err := c.CoreV1().Pods(shop).Get(context.Background(), pod, metav1.GetOptions{})
	require.NoError(t, err)
	require.NotEmpty(t, p.Status.ContainerStatuses)
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	out, err := asRoot("sh", "-c", "grep -ls "+id+" /proc/[0-9]*/cgroup | head -1 | cut -d/ -f3").Output()
	require.NoError(t, err)
	require.NotEmpty(t, strings.TrimSpace(string(out)), "no process of %s on this machine; the lab's nodes are containers here", pod)
	return strings.TrimSpace(string(out))
}

// ruleset is what nft lists in a pod's network namespace.
func ruleset(t *testing.T, pid string) string {
	t.Helper()
	out, err := inNetwork(pid, "nft", "list", "ruleset").CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// inNetwork is a command in a process's network namespace.
func inNetwork(pid string, args ...string) *exec.Cmd {
	return asRoot("nsenter", append([]string{"--net=/proc/" + pid + "/ns/net"}, args...)...)
}

func asRoot(name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("sudo", append([]string{name}, args...)...)
}

// flows tries, from the pod of that process, to connect to PostgreSQL at an address.
func flows(pid, ip string) bool {
	return inNetwork(pid, "timeout", "0.3", "bash", "-c", "exec 3<>/dev/tcp/"+ip+"/5432").Run() == nil
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
		pods, err := c.CoreV1().Pods(kube.Namespace).List(context.Background(), metav1.ListOptions{LabelSelector: kube.LabelComponent + "=agent"})
		require.NoError(t, err)
		secrets, err := c.CoreV1().Secrets(kube.Namespace).List(context.Background(), metav1.ListOptions{LabelSelector: kube.LabelRun})
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
	ofPrimary, ofReplica := sandbox(t, c, primary), sandbox(t, c, replica)
	before := ruleset(t, ofPrimary) + ruleset(t, ofReplica)
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
	require.Greater(t, float64(*rep.Recovery.Redundancy), 59.0, "the old primary cannot be back before the heal")
	require.NotNil(t, rep.Writes.Lost)
	require.Zero(t, rep.Writes.Phantom+rep.Writes.Fabricated+rep.Writes.Duplicate)
	require.Equal(t, 1, rep.Primaries.LeaderChanges)

	require.Equal(t, before, ruleset(t, ofPrimary)+ruleset(t, ofReplica))
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
	pid, ofReplica := sandbox(t, c, primary), sandbox(t, c, replica)
	before := ruleset(t, pid) + ruleset(t, ofReplica)
	require.True(t, flows(pid, replicaIP))
	since := time.Now()
	cmd := start(t, "run", partitionDrill)
	r := newest(t, c, since)
	injected(t, c, r.Name)
	require.False(t, flows(pid, replicaIP), "the pinger sees the cut")
	require.Contains(t, ruleset(t, pid), "flags owner")

	running := record(t, c, r.Name)
	killed := time.Now()
	killRunner(t, running)
	healed := time.Duration(0)
	for healed == 0 && time.Since(killed) < 3*ttl {
		if flows(pid, replicaIP) {
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
	require.Equal(t, before, ruleset(t, pid)+ruleset(t, ofReplica))
	noAgents(t, c)
	nothingLeft(t, c)
}
