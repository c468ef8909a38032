//go:build e2e

package bank

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/failoverdrill/drill/internal/drill"
)

// TestKind plays the rows that need kubelets: the demo shop in the lab, with drill installed beside it.
func TestKind(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "KUBECONFIG must name the lab; run make bank-kind")
	var s sheet
	s.run(t, turn(t, kindRows()))
	t.Logf("\n%s", &s)
}

const shopMembers = "application=patroni,cluster-name=orders"

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

// kubectl runs the lab's own in the shop's namespace and returns what it printed.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(root(t), "test/lab/bin/kubectl"), append([]string{"-n", "shop"}, args...)...).CombinedOutput()
	require.NoError(t, err, "kubectl %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// whole waits until the shop has one primary and two replicas, and three pods of checkout, all Ready.
func whole(t *testing.T) {
	t.Helper()
	end := time.Now().Add(5 * time.Minute)
	for {
		kubectl(t, "rollout", "status", "deployment/checkout", "--timeout=120s")
		roles := kubectl(t, "get", "pods", "-l", shopMembers, "-o", `jsonpath={range .items[?(@.status.containerStatuses[0].ready==true)]}{.metadata.labels.role} {end}`)
		if n := strings.Count(roles, "replica"); n == 2 && strings.Count(roles, "master")+strings.Count(roles, "primary") == 1 {
			return
		}
		require.True(t, time.Now().Before(end), "the shop is not whole: %s", roles)
		<-time.After(time.Second)
	}
}

// patroni changes the cluster's settings by way of a member's own API, and takes the change back at the end of the row.
func patroni(t *testing.T, change, back string) {
	t.Helper()
	member := kubectl(t, "get", "pods", "-l", shopMembers, "-o", "jsonpath={.items[0].metadata.name}")
	patch := func(settings string) {
		kubectl(t, "exec", member, "-c", "patroni", "--", "python3", "-c", fmt.Sprintf(
			"import urllib.request as u; u.urlopen(u.Request('http://localhost:8008/config', %q.encode(), {'Content-Type': 'application/json'}, method='PATCH'))", settings))
	}
	patch(change)
	t.Cleanup(func() { patch(back) })
}

// shippedDrill is a drill of drills/ with some of its text replaced.
type shippedDrill struct {
	file    string
	replace []string
	before  func(t *testing.T) // what is done to the shop; it takes it back by itself
}

// play runs the drill by the binary, as a user does.
func (d shippedDrill) play(t *testing.T) drill.Report {
	t.Helper()
	whole(t)
	if d.before != nil {
		d.before(t)
	}
	src, err := os.ReadFile(filepath.Join(root(t), "drills", d.file))
	require.NoError(t, err)
	text := string(src)
	for i := 0; i < len(d.replace); i += 2 {
		require.Contains(t, text, d.replace[i])
		text = strings.ReplaceAll(text, d.replace[i], d.replace[i+1])
	}
	dir := t.TempDir()
	file, out := filepath.Join(dir, d.file), filepath.Join(dir, "report.json")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	cmd := exec.Command(filepath.Join(root(t), "bin", "drill"), "run", file, "--report", "json="+out)
	cmd.Dir = root(t)
	said, _ := cmd.CombinedOutput() // the verdict is in the exit code, and in the report
	raw, err := os.ReadFile(out)
	require.NoError(t, err, "%s", said)
	var rep drill.Report
	require.NoError(t, json.Unmarshal(raw, &rep))
	return rep
}

func k(number int, setup string, w truth, d shippedDrill) row {
	return row{number: number, lab: kind, setup: setup, truth: w, play: d.play}
}

// kindRows are set-ups of the shop in the lab: Patroni with three members, and a Deployment of three pods.
func kindRows() []row {
	recovery := drill.ObjectiveRecoveryTime
	scale := func(n int) func(*testing.T) {
		return func(t *testing.T) {
			kubectl(t, "scale", "deployment/checkout", fmt.Sprintf("--replicas=%d", n))
			kubectl(t, "rollout", "status", "deployment/checkout", "--timeout=120s")
			t.Cleanup(func() { kubectl(t, "scale", "deployment/checkout", "--replicas=3") })
		}
	}
	return []row{
		k(601, "the primary is deleted and kept away; as shipped", passed(0, drill.OutcomeFailedOver), shippedDrill{file: "kill-primary.hcl"}),
		k(604, "the same in good order: nothing is lost, and it takes seconds", passed(0, drill.OutcomeFailedOver),
			shippedDrill{file: "kill-primary.hcl", replace: []string{`method = "force_delete"`, `method = "graceful"`, `recovery_time = "60s"`, `recovery_time = "15s"`}}),
		k(22, "the Service selects every member", truth{verdict: drill.VerdictRefused, code: "views_disagree", cause: drill.CauseRoute},
			shippedDrill{file: "kill-primary.hcl", before: func(t *testing.T) {
				role := kubectl(t, "get", "service", "orders", "-o", "jsonpath={.spec.selector.role}")
				kubectl(t, "patch", "service", "orders", "--type=merge", "-p", `{"spec":{"selector":{"role":null}}}`)
				t.Cleanup(func() {
					kubectl(t, "patch", "service", "orders", "--type=merge", "-p", fmt.Sprintf(`{"spec":{"selector":{"role":%q}}}`, role))
				})
			}}),
		k(24, "a lease of 120 s, limit 60 s", missed(recovery, drill.CauseDetect, 0), shippedDrill{file: "kill-primary.hcl",
			replace: []string{`hold_down = "45s"`, `hold_down = "150s"`, `duration("120s")`, `duration("300s")`},
			before:  func(t *testing.T) { patroni(t, `{"ttl": 120}`, `{"ttl": 20}`) }}),
		k(605, "one pod of three is deleted; as shipped", passed(0, ""), shippedDrill{file: "pod-kill-one.hcl"}),
		k(638, "a single replica is deleted at once, limit 0.5 s", missed(recovery, drill.CauseMembership, 0), shippedDrill{file: "pod-kill-one.hcl",
			replace: []string{`recovery_time = "2s"`, `recovery_time = "500ms"`, `method = "graceful"`, `method = "force_delete"`}, before: scale(1)}),
		k(640, "a disruption budget allows no eviction", truth{verdict: drill.VerdictRefused, code: "evictions_refused"}, shippedDrill{file: "pod-kill-one.hcl",
			replace: []string{`method = "graceful"`, `method = "evict"`}, before: func(t *testing.T) {
				kubectl(t, "patch", "pdb", "checkout", "--type=merge", "-p", `{"spec":{"maxUnavailable":0}}`)
				t.Cleanup(func() { kubectl(t, "patch", "pdb", "checkout", "--type=merge", "-p", `{"spec":{"maxUnavailable":1}}`) })
			}}),
	}
}
