package probes

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestT14EveryProbeIsBounded: a slot of each kind that connects anywhere fails as denied, and nothing arrives there.
func TestT14EveryProbeIsBounded(t *testing.T) {
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached.Add(1); _, _ = io.WriteString(w, "secret") }))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	bodies := map[string]string{"http": `url = "` + server.URL + `"`, "tcp": `address = "` + address + `"`, "promql": "url = \"" + server.URL + "\"\nquery = \"up\""}
	for _, kind := range Kinds() {
		if kind.Name == "kubernetes" { // it asks the API server alone
			continue
		}
		body, ok := bodies[kind.Name]
		require.True(t, ok, "a probe that connects somewhere must be bounded, and be tested here: %s", kind.Name)
		f, diags := hclparse.NewParser().ParseHCL([]byte(body), "p.hcl")
		require.False(t, diags.HasErrors(), diags)
		spec, decoded := kind.Decode(f.Body, nil)
		require.False(t, decoded.Diagnostics.HasErrors(), decoded.Diagnostics)
		require.Equal(t, "127.0.0.1", kind.Host(spec))
		probe, err := kind.Bind(Deps{Reach: &kube.Reach{}}, "p", spec)
		require.NoError(t, err)
		var s drill.Sample
		probe.Sample(t.Context(), &s)
		require.Equal(t, []any{drill.OutcomeFail, drill.SignalDenied}, []any{s.Outcome, s.Signal}, kind.Name)
	}
	require.Zero(t, reached.Load())
}

// TestT14AHostileExpressionCostsLittle: a match cannot be cancelled, so its worst case is bounded before. Unbounded, 1 MiB of
// answer and this expression took 42 s.
func TestT14AHostileExpressionCostsLittle(t *testing.T) {
	_, summary, _ := parseRegex("(a|aa|aaa|aaaa){1,200}b")
	require.Equal(t, "Regular expression too large", summary)
	regex, summary, _ := parseRegex("(a?){40}b")
	require.Empty(t, summary)
	began := time.Now()
	require.False(t, content{regex: regex}.holds([]byte(strings.Repeat("a", maxBody)+"b")), "it looks at the first 64 KiB")
	require.Less(t, time.Since(began), 5*time.Second)
}
