//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// detailParts are the ConfigMaps that hold a run's detail.
func detailParts(t *testing.T, c *kube.Client, run string) []corev1.ConfigMap {
	t.Helper()
	list, err := c.CoreV1().ConfigMaps(kube.Namespace).List(context.Background(), metav1.ListOptions{LabelSelector: kube.LabelRun + "=" + run})
	require.NoError(t, err)
	return list.Items
}

// recording is a run's detail as it is in the cluster, where it belongs to the run's record.
func recording(t *testing.T, c *kube.Client, run string) drill.Recording {
	t.Helper()
	r := record(t, c, run)
	require.NotNil(t, r.Status.Detail)
	require.Empty(t, r.Status.Detail.Problem)
	parts := detailParts(t, c, run)
	require.NotEmpty(t, parts)
	require.Len(t, parts, r.Status.Detail.Parts)
	for _, p := range parts {
		require.Equal(t, r.UID, p.OwnerReferences[0].UID)
	}
	raw, err := kube.NewDetails(c, "").Load(context.Background(), r)
	require.NoError(t, err)
	t.Logf("the detail has %d bytes in %d ConfigMaps", len(raw), len(parts))
	rec, err := detail.Read(raw)
	require.NoError(t, err)
	return rec
}

// recomputed asserts that the report is the same when it is computed again: from the detail in the cluster, and from the
// one on this machine.
func recomputed(t *testing.T, rep drill.Report) {
	t.Helper()
	want, err := json.Marshal(rep)
	require.NoError(t, err)
	for _, where := range [][]string{nil, {"--local"}} {
		again := start(t, append([]string{"report", rep.Run.ID, "--recompute", "--format", "json"}, where...)...)
		require.NoError(t, again.Wait(), "%s: %s", where, again.stderr.String())
		require.JSONEq(t, string(want), again.stdout.String())
	}
}

// goesWithItsRecord deletes a run's record: its detail goes, too.
func goesWithItsRecord(t *testing.T, c *kube.Client, run string) {
	t.Helper()
	out, err := kubectl(t, "-n", kube.Namespace, "delete", "drillrun", run, "--timeout=60s").CombinedOutput()
	require.NoError(t, err, "%s", out)
	eventually(t, time.Minute, "the detail went with its record", func() (bool, string) {
		parts := detailParts(t, c, run)
		return len(parts) == 0, "some are left"
	})
}
