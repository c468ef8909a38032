//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// series is one element of a Prometheus answer: a value, or a native histogram.
type series struct {
	Metric    map[string]string
	Value     []any
	Histogram []any
}

func (s series) number(t *testing.T) float64 {
	t.Helper()
	require.Len(t, s.Value, 2)
	v, err := strconv.ParseFloat(s.Value[1].(string), 64)
	require.NoError(t, err)
	return v
}

// promql asks the lab's Prometheus, through the API server.
func promql(t *testing.T, c *kube.Client, expr string) []series {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	raw, err := c.CoreV1().Services("monitoring").ProxyGet("http", "prometheus", "9090", "/api/v1/query", map[string]string{"query": expr}).DoRaw(ctx)
	require.NoError(t, err, "%s: %s", expr, raw)
	var answer struct {
		Status string
		Data   struct{ Result []series }
	}
	require.NoError(t, json.Unmarshal(raw, &answer))
	require.Equal(t, "success", answer.Status, expr)
	return answer.Data.Result
}

// measured is the newest run that recovered; there is one after a run of the shipped drill.
func measured(t *testing.T, c *kube.Client) (*kube.DrillRun, drill.Report) {
	t.Helper()
	all, err := kube.NewRuns(c.Dynamic, "").List(context.Background())
	require.NoError(t, err)
	newest := map[string]bool{}
	for _, r := range all {
		if !r.Finished() || newest[r.Spec.Drill] {
			continue
		}
		rep, err := r.Report()
		require.NoError(t, err)
		if r.Status.Verdict.Measured() && rep != nil {
			newest[r.Spec.Drill] = true
			if rep.Recovery != nil && rep.Writes != nil && rep.Writes.Lost != nil && rep.Recovery.Upper < drill.Never() {
				return r, *rep
			}
		}
	}
	return nil, drill.Report{}
}

// TestPrometheusSeesARunAfterItEnded scrapes drill with a real Prometheus and asks it all that the dashboard asks.
func TestPrometheusSeesARunAfterItEnded(t *testing.T) {
	c := cluster(t)
	up := exec.Command(filepath.Join(root(t), "deploy/demo/monitoring.sh"), "up")
	said, err := up.CombinedOutput()
	require.NoError(t, err, "%s", said)
	r, rep := measured(t, c)
	if r == nil {
		whole(t, c)
		drillRun(t, "drills/kill-primary.hcl")
		r, rep = measured(t, c)
		require.NotNil(t, r, "a run that recovered")
	}
	of := `{drill="` + r.Spec.Drill + `"}`
	eventually(t, time.Minute, "the run is scraped", func() (bool, string) {
		got := promql(t, c, "drill_last_run_timestamp_seconds"+of)
		return len(got) == 1 && got[0].number(t) >= float64(r.Status.Finished.Unix()), "not there"
	})
	upper := promql(t, c, `drill_last_recovery_seconds{drill="`+r.Spec.Drill+`",phase="sustained",bound="upper"}`)
	require.Len(t, upper, 1, "one server exports it")
	require.InDelta(t, float64(rep.Recovery.Upper), upper[0].number(t), 1e-6)
	total := promql(t, c, "sum(drill_runs_total"+of+")")
	require.Len(t, total, 1)
	runs := 0
	all, err := kube.NewRuns(c.Dynamic, "").List(context.Background())
	require.NoError(t, err)
	for _, one := range all {
		if one.Finished() && one.Spec.Drill == r.Spec.Drill {
			runs++
		}
	}
	require.GreaterOrEqual(t, total[0].number(t), float64(runs), "every record counts, and what was deleted stays counted")

	raw, err := os.ReadFile(filepath.Join(root(t), "deploy/grafana/drill.json"))
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(raw, &dashboard))
	// Without a schedule there is no next run, without a run in progress no live lag; a drill that never passed has no day of it.
	mayBeEmpty := map[string]bool{"Next run": true, "Replication lag while a run goes on": true, "Days since the last passed run": true}
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			got := promql(t, c, strings.ReplaceAll(q.Expr, "$drill", ".*"))
			t.Logf("%d series: %s: %s", len(got), p.Title, q.Expr)
			require.True(t, len(got) > 0 || mayBeEmpty[p.Title], "%s shows nothing: %s", p.Title, q.Expr)
		}
	}
}
