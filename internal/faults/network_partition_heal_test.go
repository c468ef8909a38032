package faults

import (
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

	"github.com/failoverdrill/drill/internal/agent"
)

// cut cuts the primary off from its replica and the API server. It returns the partition itself: a test may do by hand
// what else takes a dead runner's silence.
func (n *network) cut(t *testing.T) (p *partitioner, revert func() error) {
	t.Helper()
	_, raw, plan := n.planned(t, isolate)
	require.True(t, plan.Prepares)
	var st networkPartitionState
	require.NoError(t, json.Unmarshal(raw, &st))
	p = new(partitioner)
	require.NoError(t, p.Prepare(t.Context(), n.deps, st))
	require.NoError(t, p.Recheck(t.Context(), n.deps, st))
	require.NoError(t, p.Inject(t.Context(), n.deps, st))
	return p, func() error { return p.Revert(t.Context(), n.deps, st) }
}

func healed(t *testing.T, p *partitioner) {
	t.Helper()
	require.NoError(t, p.each(func(_ string, c *agent.Client) error { _, err := c.Heal(t.Context()); return err }))
}

// TestConnectionsThatDiedMeanwhileAreNoResidue: the agents healed by themselves while runner and control plane were paused,
// and an API server ends connections that were idle for 90 s. Whether a cut is gone is asked over new connections.
func TestConnectionsThatDiedMeanwhileAreNoResidue(t *testing.T) {
	n := newNetwork(t)
	p, revert := n.cut(t)
	healed(t, p)
	n.api.CloseClientConnections()
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	require.NoError(t, revert())
	require.Less(t, time.Since(began), 5*time.Second)
	require.Empty(t, n.rulesets(t))
}

// TestAPausedControlPlaneIsNoResidue: its kernel answers, and its processes do not.
func TestAPausedControlPlaneIsNoResidue(t *testing.T) {
	n := newNetwork(t)
	n.api.Close()
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), "DRILL_TEST_API_SERVER="+apiAddress+":6443")
	n.in(t, 1, server.Start) // a child is in its thread's namespace
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(t, func() bool { return n.reaches(t, apiAddress+":6443") }, 5*time.Second, 50*time.Millisecond)
	_, revert := n.cut(t)
	require.NoError(t, server.Process.Signal(syscall.SIGSTOP))
	require.NoError(t, revert())
	require.Empty(t, n.rulesets(t))
}

// TestWhatCouldNotBeSeenIsNoResidue: an API server that is stopped uses up the time in which the paths are looked at. The
// agents have healed, and go; the first try says so, and no later one finds a residue that nobody saw.
func TestWhatCouldNotBeSeenIsNoResidue(t *testing.T) {
	n := newNetwork(t)
	_, revert := n.cut(t)
	var stopped sync.Once
	n.kube.PrependReactor("get", "pods", func(a ktesting.Action) (bool, k8sruntime.Object, error) {
		if a.GetNamespace() == "shop" {
			stopped.Do(func() { time.Sleep(healedWithin + time.Second) })
		}
		return false, nil, nil
	})
	require.NoError(t, revert())
	require.Empty(t, n.rulesets(t))
}

// TestAPathThatIsStillCutIsResidue: new connections find what is left.
func TestAPathThatIsStillCutIsResidue(t *testing.T) {
	n := newNetwork(t)
	_, revert := n.cut(t)
	n.in(t, 0, func() error {
		return run("nft", "add table ip theirs; add chain ip theirs out { type filter hook output priority 0; }; add rule ip theirs out tcp dport 6443 drop")
	})
	require.ErrorContains(t, revert(), "from pod shop/orders-0 to the API server")
}

// TestAnAddressThatNobodyAnswersIsNoResidue: a node that went down during the cut is no cut of ours.
func TestAnAddressThatNobodyAnswersIsNoResidue(t *testing.T) {
	n := newNetwork(t)
	_, revert := n.cut(t)
	n.in(t, 1, func() error { return run("ip", "addr", "del", apiAddress+"/24", "dev", "eth0") })
	require.NoError(t, revert())
	require.Empty(t, n.rulesets(t))
}
