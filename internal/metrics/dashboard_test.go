package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// names are what both registries export, as a query writes them.
func names(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, f := range serverFamilies() {
		all["drill_"+f.name] = true
	}
	registry := prometheus.NewRegistry()
	New(registry, &drill.Drill{Name: "d"}, drill.Settings{})
	// A vector shows nothing before its first value: its description does.
	descs := make(chan *prometheus.Desc, 100)
	registry.Describe(descs)
	NewPolicies(nil).Describe(descs)
	close(descs)
	for d := range descs {
		all[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	for _, histogram := range []string{"drill_recovery_seconds", "drill_probe_latency_seconds", "drill_probe_lateness_seconds"} {
		require.True(t, all[histogram])
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			all[histogram+suffix] = true
		}
	}
	return all
}

var metricName = regexp.MustCompile(`\bdrill_[a-z_]+`)

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/grafana/drill.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct {
				Expr, LegendFormat string
				Datasource         struct{ UID string }
			}
		}
		Templating struct{ List []struct{ Name, Type string } }
	}
	require.NoError(t, json.Unmarshal(raw, &dashboard))
	known := names(t)
	asked := 0
	for _, p := range dashboard.Panels {
		require.NotEmpty(t, p.Targets, p.Title)
		for _, q := range p.Targets {
			require.Equal(t, "${datasource}", q.Datasource.UID, "no data source of ours is anybody else's")
			found := metricName.FindAllString(q.Expr, -1)
			require.NotEmpty(t, found, q.Expr)
			for _, name := range found {
				require.True(t, known[name], "%s asks for %s", p.Title, name)
			}
			require.Equal(t, strings.Count(q.Expr, "("), strings.Count(q.Expr, ")"), q.Expr)
			if strings.Contains(q.Expr, "{drill=") { // T9: two people may call their drills alike
				require.Equal(t, strings.Count(q.Expr, "{drill="), strings.Count(q.Expr, `{drill=~"$drill",by=~"$by",targets=~"$targets"`), q.Expr)
				require.NotRegexp(t, `by \(drill(, (when|verdict|phase|le))*\)`, q.Expr, "series of several people would be one")
				require.Contains(t, q.LegendFormat, "{{drill}} ({{by}}, {{targets}})", p.Title)
			}
			asked++
		}
	}
	require.Greater(t, asked, 10)
	require.Equal(t, "datasource", dashboard.Templating.List[0].Type)
	for i, name := range []string{"drill", "by", "targets"} {
		require.Equal(t, name, dashboard.Templating.List[i+1].Name)
	}
}

// TestThePageOnMetricsIsComplete: docs/metrics.md names every series, and none that is not there.
func TestThePageOnMetricsIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	known, told := names(t), map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(drill_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		told[m[1]] = true
		require.True(t, known[m[1]], "%s does not exist", m[1])
	}
	for name := range known {
		if !strings.HasSuffix(name, "_bucket") && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			require.True(t, told[name], "%s is not in docs/metrics.md", name)
		}
	}
}
