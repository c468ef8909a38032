//go:build e2e

// Package e2e runs the drill binary against a real cluster with a real database, as a user does.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/drill"
	"github.com/failoverdrill/drill/internal/kube"
)

const (
	shop     = "shop"
	members  = "application=patroni,cluster-name=orders"
	runLimit = 6 * time.Minute
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

// cluster connects, and fails when there is no cluster: these tests never skip.
func cluster(t *testing.T) *kube.Client {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "KUBECONFIG must name the lab; run make e2e")
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() { // so that the next test says something about itself
			cancelAll(t, c)
		}
	})
	return c
}

// cancelAll ends the runs that a failed test left behind.
func cancelAll(t *testing.T, c *kube.Client) {
	runs := kube.NewRuns(c.Dynamic, "")
	left, err := runs.List(context.Background())
	if err != nil {
		return // not installed
	}
	for _, r := range left {
		if !r.Finished() {
			t.Logf("cancelling %s: %v", r.Name, runs.Cancel(context.Background(), r.Name))
			finished(t, c, r.Name, 3*time.Minute)
		}
	}
}

// command is the drill binary at work.
type command struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func start(t *testing.T, args ...string) *command {
	t.Helper()
	c := &command{Cmd: exec.Command(filepath.Join(root(t), "bin", "drill"), args...)}
	c.Dir = root(t)
	c.Stdout, c.Stderr = &c.stdout, &c.stderr
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// wait waits for the end and returns the exit code.
func (c *command) wait(t *testing.T, limit time.Duration) int {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		t.Logf("%s\n%s%s", strings.Join(c.Args, " "), c.stderr.String(), c.stdout.String())
		return c.ProcessState.ExitCode()
	case <-time.After(limit):
		_ = c.Process.Kill()
		t.Fatalf("%v did not end within %s\n%s", c.Args, limit, c.stderr.String())
		return -1
	}
}

// run runs drill to its end and returns the exit code and all that it said, without the line breaks.
func run(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	c := start(t, args...)
	code = c.wait(t, runLimit)
	return code, strings.Join(strings.Fields(c.stdout.String()+c.stderr.String()), " ")
}

// kubectl runs the lab's own in the shop's namespace.
func kubectl(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command(filepath.Join(root(t), "test/lab/bin/kubectl"), append([]string{"-n", shop}, args...)...)
}

// drillRun runs a drill file and returns its report.
func drillRun(t *testing.T, file string) (int, drill.Report) {
	t.Helper()
	base := filepath.Join(outDir(t), strings.ReplaceAll(t.Name(), "/", "-"))
	path := base + ".json"
	code, _ := run(t, "run", file, "--report", "json="+path, "--report", "junit="+base+".xml")
	return code, readReport(t, path)
}

func readReport(t *testing.T, path string) drill.Report {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var rep drill.Report
	require.NoError(t, json.Unmarshal(raw, &rep))
	return rep
}

// outDir is where reports are kept as artifacts.
func outDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("DRILL_OUT"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		return dir
	}
	return t.TempDir()
}

// patched writes a variant of a shipped drill.
func patched(t *testing.T, file string, replace ...string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(root(t), file))
	require.NoError(t, err)
	text := string(src)
	for i := 0; i < len(replace); i += 2 {
		require.Contains(t, text, replace[i])
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	path := filepath.Join(t.TempDir(), filepath.Base(file))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() (bool, string)) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		good, state := ok()
		if good {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s: %s", limit, what, state)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// TestKillPrimary is the main job. It goes red when the fault's Inject is emptied (the run is invalid) and when its
// Revert is emptied (the member stays held down).
func TestKillPrimary(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	forgetTheKilled(t, c)
	code, rep := drillRun(t, "drills/kill-primary.hcl")
	require.Equal(t, drill.VerdictPassed, rep.Run.Verdict, "%+v", rep.Run.Reasons)
	require.Zero(t, code)

	require.Len(t, rep.Faults, 1)
	require.True(t, rep.Faults[0].Confirmed)
	require.Regexp(t, `^pod object gone after .* s; no new connection from .* s on; open connection (ended|without an answer)`, rep.Faults[0].ConfirmedBy)
	require.True(t, rep.Faults[0].Reverted)
	require.Empty(t, rep.Faults[0].Residue)
	require.Len(t, rep.Faults[0].Victims, 1)

	rec := rep.Recovery
	require.NotNil(t, rec)
	require.Equal(t, drill.OutcomeFailedOver, rec.Outcome)
	require.Positive(t, float64(rec.Estimate.Estimate))
	require.LessOrEqual(t, float64(rec.Lower), float64(rec.Estimate.Estimate))
	require.GreaterOrEqual(t, float64(rec.Upper), float64(rec.Estimate.Estimate))
	require.NotNil(t, rec.FirstSuccess)
	require.Less(t, float64(*rec.FirstSuccess), 60.0)
	require.Positive(t, float64(rec.Unavailable))
	require.NotNil(t, rec.Redundancy)
	require.GreaterOrEqual(t, float64(*rec.Redundancy), float64(rec.Estimate.Estimate))
	require.NotEmpty(t, rec.Phases)
	total := 0.0
	for _, p := range rec.Phases {
		require.NotEmpty(t, p.Signal, p.Name)
		total += float64(p.Seconds)
	}
	require.InDelta(t, float64(*rec.Redundancy), total, 0.02, "the phases sum to the total")

	w := rep.Writes
	require.NotNil(t, w)
	require.NotNil(t, w.Lost)
	require.Greater(t, w.Acked, 1000)
	require.Equal(t, w.Sent, w.Acked+w.Failed+w.IndeterminatePresent+w.IndeterminateAbsent, "every write that was sent is accounted for")
	require.Zero(t, w.Phantom+w.Fabricated+w.Duplicate)

	require.NotNil(t, rep.ReplicationLag)
	require.NotNil(t, rep.ReplicationLag.Before)
	require.NotNil(t, rep.ReplicationLag.AtFault)
	require.NotNil(t, rep.ReplicationLag.Peak)
	require.NotNil(t, rep.Primaries)
	require.Equal(t, 1, rep.Primaries.LeaderChanges)

	nothingLeft(t, c)
	victim, err := c.CoreV1().Pods(shop).Get(context.Background(), rep.Faults[0].Victims[0].Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "replica", victim.Labels["role"], "the old primary is back as a replica")
	require.NotEqual(t, rep.Faults[0].Victims[0].UID, string(victim.UID))
	ownRole(t, c)
	recording(t, c, rep.Run.ID)
	recomputed(t, rep)
	goesWithItsRecord(t, c, rep.Run.ID)
}

func TestCtrlCReverts(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	since := time.Now()
	cmd := start(t, "run", "drills/kill-primary.hcl")
	r := newest(t, c, since)
	injected(t, c, r.Name)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 13, cmd.wait(t, time.Minute))
	require.Equal(t, drill.VerdictInterrupted, record(t, c, r.Name).Status.Verdict)
	nothingLeft(t, c)
}

// TestCLIKilledChangesNothing kills the primary without holding it down, and the CLI in the middle of it: the run goes
// on, and its report says correctly which of the two happened, a failover or a restart. A writer that is not ours runs
// beside it and must agree.
func TestCLIKilledChangesNothing(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	since := time.Now()
	// psql comes to know its own resolution first. A longer hold would do that, too, but is also how long writes must last.
	cmd := start(t, "run", patched(t, "drills/restart-primary.hcl", `method = "force_delete"`, "method = \"force_delete\"\n    after  = \"10s\""))
	r := newest(t, c, since)
	startWriter(t, c, runnerNode(t, c, r.Name))
	injected(t, c, r.Name)
	require.NoError(t, cmd.Process.Kill())
	// The runner serves its metrics while the run goes on.
	metrics, err := c.CoreV1().RESTClient().Get().Namespace(kube.Namespace).Resource("pods").
		Name(record(t, c, r.Name).Status.Runner.Pod + ":9090").SubResource("proxy").Suffix("metrics").DoRaw(context.Background())
	require.NoError(t, err)
	for _, series := range []string{`drill_fault_active{drill="restart-primary",fault="kill_primary"} [01]`,
		`drill_replication_lag_known{member="orders-\d",target="orders"}`, `drill_replication_lag_seconds{member="orders-\d",source="ledger",target="orders"}`,
		`drill_probe_slots_total{class="pooled",drill="restart-primary",outcome="ok",probe="orders"}`} {
		require.Regexp(t, series, string(metrics))
	}
	done := finished(t, c, r.Name, runLimit)
	require.Contains(t, []drill.Verdict{drill.VerdictPassed, drill.VerdictFailed}, done.Status.Verdict, done.Status.Message)
	rep, err := done.Report()
	require.NoError(t, err)
	agrees(t, *rep, recording(t, c, r.Name), psqlWrites(t, c))
	nothingLeft(t, c)
	leader, _, _ := cutPods(t, c)
	want := drill.OutcomeFailedOver
	if leader == rep.Faults[0].Victims[0].Name {
		want = drill.OutcomeRestartedInPlace
	}
	require.Equal(t, want, rep.Recovery.Outcome, "the leader is now %s", leader)
}

// runnerNode is where a run's runner is, as soon as that is known.
func runnerNode(t *testing.T, c *kube.Client, run string) (node string) {
	t.Helper()
	eventually(t, time.Minute, "the runner has a node", func() (bool, string) {
		node = record(t, c, run).Status.Runner.Node
		return node != "", "none yet"
	})
	return node
}

// killRunner sends SIGKILL to a runner's process. Deleting its pod would let it say goodbye, and revert.
func killRunner(t *testing.T, r *kube.DrillRun) {
	t.Helper()
	killOn(t, r.Status.Runner.Node, "exec "+r.Name)
}

// killOn sends SIGKILL to the process with those arguments on a node. The nodes of kind are containers that bear the
// nodes' names.
func killOn(t *testing.T, node, arguments string) {
	t.Helper()
	out, err := exec.Command("docker", "exec", node, "pkill", "-KILL", "-f", arguments).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestRunnerKilled kills the runner without a goodbye: the server reverts and the record says so.
func TestRunnerKilled(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	since := time.Now()
	cmd := start(t, "run", "drills/kill-primary.hcl")
	r := newest(t, c, since)
	injected(t, c, r.Name)
	killRunner(t, record(t, c, r.Name))
	killed := time.Now()
	require.Equal(t, 1, cmd.wait(t, time.Minute))
	done := finished(t, c, r.Name, time.Minute)
	t.Logf("swept %.1f s after the runner was killed: %s", time.Since(killed).Seconds(), done.Status.Message)
	require.Equal(t, drill.VerdictError, done.Status.Verdict)
	require.NotEmpty(t, done.Status.Message)
	nothingLeft(t, c)
}

func TestBadInput(t *testing.T) {
	c := cluster(t)
	whole(t, c)
	for name, tc := range map[string]struct {
		replace []string
		code    int
		says    []string
	}{
		"unknown kind":        {[]string{`fault "kill_primary"`, `fault "kill_primaries"`}, 4, []string{"kill_primary"}},
		"unknown argument":    {[]string{"hold_down", "hold_dwn"}, 4, []string{"hold_down"}},
		"missing namespace":   {[]string{`"shop"`, `"shopp"`}, 11, []string{"shopp"}},
		"selector of nothing": {[]string{"cluster-name=orders", "cluster-name=ordres"}, 11, []string{"cluster-name=ordres"}},
		"missing secret":      {[]string{`"orders-drill"`, `"orders-drills"`}, 11, []string{"orders-drills"}},
		"login that fails":    {[]string{`secret("orders-drill", "uri")`, `"postgres://app:wrong@orders.shop.svc.cluster.local/orders?sslmode=disable"`}, 11, []string{"app"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			before := time.Now()
			code, said := run(t, "run", patched(t, "drills/kill-primary.hcl", tc.replace...))
			require.Equal(t, tc.code, code)
			for _, s := range tc.says {
				require.Contains(t, said, s)
			}
			require.NotContains(t, said, "wrong@")
			require.Less(t, time.Since(before), 45*time.Second)
		})
	}
	nothingLeft(t, c)
}

func TestUnreachableCluster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(path, []byte(`apiVersion: v1
kind: Config
current-context: gone
contexts: [{name: gone, context: {cluster: gone, user: gone}}]
clusters: [{name: gone, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: gone, user: {}}]
`), 0o600))
	code, said := run(t, "run", "drills/kill-primary.hcl", "--kubeconfig", path)
	require.Equal(t, 1, code)
	require.Contains(t, said, "127.0.0.1:1")
}
