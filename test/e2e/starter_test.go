//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

// TestInitValidatePlan is a newcomer's way to the first run: nothing is edited, and everything is clean.
func TestInitValidatePlan(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	for name, tc := range map[string]struct{ selector, kind, victim string }{
		"the database":          {members, "kill_primary", "orders-"},
		"the stateless service": {"app=checkout", "pod_kill", "checkout-"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "first.hcl")
			code, said := run(t, "init", "first", "--namespace", shop, "--selector", tc.selector, "--out", file)
			require.Zero(t, code, said)
			code, said = run(t, "init", "first", "--namespace", shop, "--selector", tc.selector, "--out", file)
			require.Equal(t, 2, code, "it overwrites nothing")
			require.Contains(t, said, "--force")
			code, said = run(t, "validate", file)
			require.Zero(t, code, said)

			p := start(t, "plan", file, "--output", "json")
			require.Zero(t, p.wait(t, runLimit))
			var plan struct {
				Faults []struct {
					Kind    string
					Victims []drill.Member
				}
				Nodes            []struct{ UID, Zone string }
				Refused, Unknown []any
				Rights           []struct{ Missing []string }
			}
			require.NoError(t, json.Unmarshal(p.stdout.Bytes(), &plan))
			require.Empty(t, plan.Refused)
			require.Empty(t, plan.Unknown)
			require.Equal(t, tc.kind, plan.Faults[0].Kind)
			require.Contains(t, plan.Faults[0].Victims[0].Name, tc.victim)
			require.NotEmpty(t, plan.Faults[0].Victims[0].Zone)
			require.NotEmpty(t, plan.Nodes[0].UID)
			require.Len(t, plan.Rights, 2)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			secret, err := c.CoreV1().Secrets(shop).Get(t.Context(), "orders-drill", metav1.GetOptions{})
			require.NoError(t, err)
			require.NotContains(t, string(text), string(secret.Data["password"]))
		})
	}
	code, said := run(t, "init", "--namespace", shop, "--out", "-")
	require.Equal(t, 11, code)
	require.Contains(t, said, "--selector "+members)
	require.Contains(t, said, "--selector app=checkout")
}

// audited is a way to the cluster that notes every request, as the API server's own audit would. It returns a kubeconfig.
func audited(t *testing.T, c *kube.Client) (kubeconfig string, requests func() []string) {
	t.Helper()
	transport, err := rest.TransportFor(c.Config)
	require.NoError(t, err)
	server, err := url.Parse(c.Host)
	require.NoError(t, err)
	var mu sync.Mutex
	var seen []string
	proxy := httputil.NewSingleHostReverseProxy(server)
	proxy.Transport = transport
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.URL.Path)
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"audited","clusters":[{"name":"c","cluster":{"server":%q}}],
		"contexts":[{"name":"audited","context":{"cluster":"c","user":""}}]}`, s.URL), 0o600))
	return path, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// TestPlanAndInitOnlyRead: what crosses the wire is reads, and questions about rights.
func TestPlanAndInitOnlyRead(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	kubeconfig, requests := audited(t, c)
	for _, args := range [][]string{{"plan", "drills/kill-primary.hcl"}, {"plan", "drills/pod-kill-two.hcl"}, {"plan", "drills/partition-primary.hcl"},
		{"plan", "drills/kill-primary-watched.hcl"}, {"init", "--namespace", shop, "--selector", members, "--out", "-"}} {
		code, said := run(t, append(args, "--kubeconfig", kubeconfig)...)
		require.Zero(t, code, said)
	}
	reads, questions := 0, 0
	for _, r := range requests() {
		method, path, _ := strings.Cut(r, " ")
		switch {
		case method == http.MethodGet:
			reads++
		case method == http.MethodPost && (strings.HasSuffix(path, "subjectaccessreviews") || strings.HasSuffix(path, "selfsubjectreviews")):
			questions++
		default:
			t.Errorf("%s is no read", r)
		}
	}
	require.Positive(t, reads)
	require.Positive(t, questions)
	t.Logf("%d reads, %d questions about rights, nothing else", reads, questions)
}
