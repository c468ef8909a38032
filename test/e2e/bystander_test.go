//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
)

// bystanders is a namespace into which drill was never let, with a Patroni cluster of its own.
const bystanders = "shop-other"

// demo calls demo.sh for the bystanders.
func demo(t *testing.T, args ...string) []byte {
	t.Helper()
	script := os.Getenv("DRILL_DEMO")
	if script == "" {
		script = "../../deploy/demo/demo.sh"
	}
	script, err := filepath.Abs(script)
	require.NoError(t, err)
	cmd := exec.Command(script, args...)
	cmd.Env = append(os.Environ(), "DRILL_DEMO_NAMESPACE="+bystanders)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	return out
}

// leading is a Patroni cluster's leader and timeline.
type leading struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Timeline int    `json:"timeline"`
}

func leader(t *testing.T) leading {
	t.Helper()
	var cluster struct {
		Members []leading `json:"members"`
	}
	require.NoError(t, json.Unmarshal(demo(t, "members"), &cluster))
	for _, m := range cluster.Members {
		if m.Role == "leader" {
			return m
		}
	}
	t.Fatalf("no leader in %s", bystanders)
	return leading{}
}

// TestT7NobodyElsesPatroniMoves: another team's primary on the victim's node stays primary, in its timeline, while the
// victim is held down. (test/cnpg tries it with an operator, which took a cordon for a drain.)
func TestT7NobodyElsesPatroniMoves(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	demo(t, "up", "fast")
	t.Cleanup(func() { demo(t, "down") })
	victims, err := c.CoreV1().Pods(shop).List(t.Context(), metav1.ListOptions{LabelSelector: members + ",role=master"})
	require.NoError(t, err)
	require.Len(t, victims.Items, 1)
	demo(t, "lead", victims.Items[0].Spec.NodeName)
	before := leader(t)

	_, rep := drillRun(t, "drills/kill-primary.hcl")
	require.True(t, rep.Faults[0].Confirmed, "%+v", rep.Run.Reasons)
	require.True(t, rep.Faults[0].Reverted)
	require.NotNil(t, rep.Recovery)
	require.Equal(t, drill.OutcomeFailedOver, rep.Recovery.Outcome)
	require.Equal(t, before, leader(t), "theirs")
	theirs, err := c.CoreV1().Pods(bystanders).List(t.Context(), metav1.ListOptions{LabelSelector: members})
	require.NoError(t, err)
	for _, p := range theirs.Items {
		require.Equal(t, corev1.PodRunning, p.Status.Phase, p.Name)
		require.True(t, p.CreationTimestamp.Time.Before(time.Now().Add(-time.Minute)), "%s is new", p.Name)
	}
	nothingLeft(t, c)
}
