//go:build cnpg

package cnpg

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/failoverdrill/drill/internal/detail"
	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const (
	namespace = "cnpg-shop"
	cluster   = "orders" // the target, too, and so the probe of the headline
	drillFile = "test/lab/cnpg/kill-primary.hcl"
	runs      = 5
	runLimit  = 6 * time.Minute
	// What such a failover takes: the primary serves its open sessions for about 2 s after the delete, and then clients
	// are out for about as long. In seconds.
	soonest, latest = 1, 10
)

// measured is one run: what its report says, and what its recorded writes say.
type measured struct {
	report   drill.Report
	silence  silence
	lastDown float64
}

// TestCloudNativePG kills the primary of one cluster several times. Clients are out for about as long each time, and
// the recovery times must show that: each is the end of the longest silence that this test finds in the recorded writes.
func TestCloudNativePG(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "KUBECONFIG must name the lab; run make cnpg")
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	var all []measured
	for n := range runs {
		t.Run(fmt.Sprintf("run-%d", n+1), func(t *testing.T) {
			whole(t, c)
			m := measure(t, c)
			all = append(all, m)
			m.agrees(t)
		})
	}
	t.Logf("%s after the fault, in seconds:\n%s", drillFile, table(all))
	require.Len(t, all, runs)
}

// measure runs the drill and reads what it recorded.
func measure(t *testing.T, c *kube.Client) measured {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "bin", "drill"), "run", drillFile, "--report", "json="+path)
	cmd.Dir = root
	said, err := cmd.CombinedOutput()
	t.Logf("%s", said)
	require.NotEqual(t, -1, cmd.ProcessState.ExitCode(), "%v", err)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var m measured
	require.NoError(t, json.Unmarshal(raw, &m.report))

	run, err := kube.NewRuns(c.Dynamic, "").Get(t.Context(), m.report.Run.ID)
	require.NoError(t, err)
	raw, err = kube.NewDetails(c, "").Load(t.Context(), run)
	require.NoError(t, err)
	rec, err := detail.Read(raw)
	require.NoError(t, err)
	m.silence = longestSilence(rec, cluster)
	if m.report.Recovery != nil {
		m.lastDown = lastDown(rec, cluster, float64(m.report.Recovery.UpWithin))
	}
	return m
}

// agrees asserts that the run measured the failover that took place.
func (m measured) agrees(t *testing.T) {
	t.Helper()
	run, rec := m.report.Run, m.report.Recovery
	// A run without a verdict measured nothing. Asynchronous replication may lose a write, and that fails a run.
	require.Contains(t, []drill.Verdict{drill.VerdictPassed, drill.VerdictFailed}, run.Verdict, "%+v", run.Reasons)
	require.NotNil(t, rec)
	require.Equal(t, drill.OutcomeFailedOver, rec.Outcome, "%+v", run.Reasons)
	require.Equal(t, drill.ClassPooled, rec.HeadlineClass)
	within := 2*m.interval(t) + float64(rec.UpWithin)
	headline := float64(rec.Estimate.Estimate)
	require.InDelta(t, m.silence.to, headline, within, "the end of the longest silence, and the headline")
	require.InDelta(t, m.silence.length(), float64(rec.LongestOutage), within, "the longest silence and outage")
	require.Greater(t, headline, float64(soonest))
	require.Less(t, headline, float64(latest))
}

// interval is the time between two slots of the headline's probe, in seconds.
func (m measured) interval(t *testing.T) float64 {
	t.Helper()
	for _, p := range m.report.Probes {
		if p.Name == cluster {
			require.Positive(t, p.RateHz)
			return 1 / p.RateHz
		}
	}
	t.Fatalf("the report has no probe %s", cluster)
	return 0
}

// table is for people: one line a run. "last down" is what moved the recovery time in format version 1.
func table(all []measured) string {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join([]string{"run", "silence", "its end", "headline", "[lower, upper]", "L", "longest outage",
		"outages", "blips", "longest blip", "relapses", "last down", "fresh", "redundancy", "lost", "verdict"}, "\t"))
	for i, m := range all {
		fmt.Fprintf(w, "%d\t%.3f\t%.3f\t", i+1, m.silence.length(), m.silence.to)
		if rec := m.report.Recovery; rec != nil {
			fmt.Fprintf(w, "%.3f\t[%.3f, %.3f]\t%.3f\t", rec.Estimate.Estimate, rec.Lower, rec.Upper, rec.UpWithin)
			fmt.Fprintf(w, "%.3f\t%d\t%d\t%.3f\t", rec.LongestOutage, len(rec.Outages), rec.Blips.Count, rec.Blips.Longest)
			fmt.Fprintf(w, "%d\t%.3f\t%.3f\t", rec.Flaps, m.lastDown, rec.ByClass[drill.ClassFresh].Estimate)
			fmt.Fprintf(w, "%s\t%s\t", known(rec.Redundancy, "%.1f"), known(lost(m.report), "%d"))
		}
		fmt.Fprintf(w, "%s\n", m.report.Run.Verdict)
	}
	_ = w.Flush() // to memory
	return text.String()
}

func lost(rep drill.Report) *int {
	if rep.Writes == nil {
		return nil
	}
	return rep.Writes.Lost
}

// known is a number, or a dash if it is not known.
func known[T any](number *T, format string) string {
	if number == nil {
		return "-"
	}
	return fmt.Sprintf(format, *number)
}

// whole waits until nothing is left of an earlier run: the operator calls the cluster healthy, all three instances are
// ready, no node is cordoned, and no runner pod runs.
func whole(t *testing.T, c *kube.Client) {
	t.Helper()
	end := time.Now().Add(5 * time.Minute)
	for {
		wrong := illness(t.Context(), c)
		if wrong == "" {
			return
		}
		require.True(t, time.Now().Before(end), "the cluster is not whole: %s", wrong)
		time.Sleep(time.Second) // nothing measures here
	}
}

// illness says what is wrong; empty when all is well.
func illness(ctx context.Context, c *kube.Client) string {
	resource := schema.GroupVersionResource{Group: "postgresql.cnpg.io", Version: "v1", Resource: "clusters"}
	object, err := c.Dynamic.Resource(resource).Namespace(namespace).Get(ctx, cluster, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	phase, _, _ := unstructured.NestedString(object.Object, "status", "phase")
	ready, _, _ := unstructured.NestedInt64(object.Object, "status", "readyInstances")
	if phase != "Cluster in healthy state" || ready != 3 {
		return fmt.Sprintf("%s, %d of 3 instances ready", phase, ready)
	}
	nodes, err := c.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable {
			return "node " + n.Name + " is cordoned"
		}
	}
	pods, err := c.CoreV1().Pods(kube.Namespace).List(ctx, metav1.ListOptions{LabelSelector: kube.LabelRun})
	if err != nil {
		return err.Error()
	}
	var working []string
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodPending {
			working = append(working, p.Name)
		}
	}
	if len(working) > 0 {
		return "still at work: " + strings.Join(working, ", ")
	}
	return ""
}
