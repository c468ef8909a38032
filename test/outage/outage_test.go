//go:build e2e

package outage

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/kube"
)

var (
	//go:embed target.yaml
	targetYAML string
	//go:embed drill.hcl
	drillHCL string

	cells  = flag.String("cells", "", "a regular expression for the cells to play, such as held-180; empty plays all")
	atOnce = flag.Int("at-once", 8, "how many cells are played at once")
)

// healedWithin is how long after the API server's return everything must be put back and recorded.
const healedWithin = time.Minute

// hold is how long the drill's fault lasts.
const hold = 40 * time.Second

var outages = []time.Duration{420, 240, 180, 120, 60, 30} // seconds; the longest first, so that all end together

// TestOutages plays every outage at every phase, several runs at once, each with a target of its own.
func TestOutages(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBECONFIG"), "KUBECONFIG must name the lab; run make outage")
	c, err := kube.Connect("", "")
	require.NoError(t, err)
	wanted := regexp.MustCompile(*cells)
	slots := make(chan struct{}, *atOnce)
	for _, seconds := range outages {
		for _, phase := range []string{"steady", "injecting", "held", "reverting"} {
			name := fmt.Sprintf("%s-%d", phase, seconds)
			if !wanted.MatchString(name) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				play(t, c, &cell{t: t, client: c, runs: kube.NewRuns(c.Dynamic, ""), namespace: "outage-" + name, phase: phase, lasts: seconds * time.Second})
			})
		}
	}
}

// cell is one outage at one phase.
type cell struct {
	t         *testing.T
	client    *kube.Client
	runs      *kube.Runs
	namespace string
	phase     string
	lasts     time.Duration
	run       string
}

func play(t *testing.T, client *kube.Client, c *cell) {
	c.makeTarget()
	c.request()
	node, ip := c.runnerAt()
	c.moment()
	restore := cut(t, node, ip)
	began := time.Now()
	time.Sleep(c.lasts)
	restore()
	back := time.Now()
	for {
		left := c.left()
		if len(left) == 0 {
			break
		}
		if time.Since(back) > healedWithin {
			t.Fatalf("%v after the API server is back: %s", healedWithin, strings.Join(left, "; "))
		}
		time.Sleep(time.Second)
	}
	r, err := c.runs.Get(context.Background(), c.run)
	require.NoError(t, err)
	t.Logf("cut for %v at %s: put back and recorded %.1f s after its end; %s: %s", back.Sub(began).Round(time.Second), c.phase,
		time.Since(back).Seconds(), r.Status.Verdict, r.Status.Message)
}

// left says what is not as it must be after the outage.
func (c *cell) left() (left []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := c.runs.Get(ctx, c.run)
	if err != nil {
		return []string{err.Error()}
	}
	report, err := r.Report()
	switch {
	case !r.Finished():
		left = append(left, "the run has not ended")
	case err != nil:
		left = append(left, err.Error())
	case report == nil:
		left = append(left, fmt.Sprintf("the record has no numbers: %s, %s", r.Status.Verdict, r.Status.Message))
	case report.HasResidue():
		left = append(left, "a false residue in the report")
	}
	if r.HadResidue() {
		left = append(left, "a false residue in the record")
	}
	if slices.Contains(r.Finalizers, kube.Finalizer) {
		left = append(left, "the record is not let go")
	}
	for _, f := range r.Unreverted() {
		left = append(left, fmt.Sprintf("%s is %s", f, f.Phase))
	}
	leases, err := c.client.CoordinationV1().Leases(kube.Namespace).List(ctx, metav1.ListOptions{LabelSelector: kube.LabelRun + "=" + c.run})
	if err != nil || len(leases.Items) > 0 {
		left = append(left, fmt.Sprintf("locks: %d (%v)", len(leases.Items), err))
	}
	held, err := c.client.CoreV1().ConfigMaps(kube.Namespace).Get(ctx, kube.HeldMembers, metav1.GetOptions{})
	if err != nil {
		left = append(left, err.Error())
	}
	for key, value := range held.Data {
		if strings.Contains(value, c.run) {
			left = append(left, key+" is held down")
		}
	}
	nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		left = append(left, err.Error())
		return left
	}
	for _, n := range nodes.Items {
		if n.Spec.Unschedulable {
			left = append(left, "node "+n.Name+" is cordoned")
		}
	}
	return left
}

func (c *cell) makeTarget() {
	var manifest bytes.Buffer
	require.NoError(c.t, template.Must(template.New("").Parse(targetYAML)).Execute(&manifest, c.namespace))
	apply := kubectl("apply", "-f", "-")
	apply.Stdin = &manifest
	out, err := apply.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
	c.t.Cleanup(func() { _ = kubectl("delete", "namespace", c.namespace, "--wait=false").Run() })
	out, err = kubectl("-n", c.namespace, "rollout", "status", "statefulset/orders", "--timeout=120s").CombinedOutput()
	require.NoError(c.t, err, "%s", out)
}

// request asks for the run, in the test's own name, and leaves it to the cluster.
func (c *cell) request() {
	ctx := context.Background()
	me, err := c.client.WhoAmI(ctx)
	require.NoError(c.t, err)
	r, err := c.runs.Create(ctx, kube.Spec{Drill: "outage", File: "drill.hcl", Source: strings.ReplaceAll(drillHCL, "NAMESPACE", c.namespace), Requester: me})
	require.NoError(c.t, err)
	c.run = r.Name
	c.t.Cleanup(func() {
		if c.t.Failed() {
			_ = c.runs.Cancel(context.Background(), c.run)
			log, _ := kubectl("-n", kube.Namespace, "logs", kube.RunnerPod(c.run), "--tail=30").CombinedOutput()
			c.t.Logf("the runner's log: %s", log)
		}
	})
}

// runnerAt is the runner's node and address, once it has claimed the run.
func (c *cell) runnerAt() (node, ip string) {
	c.await("its runner to claim it", func(r *kube.DrillRun) bool { return r.Status.Phase == kube.PhaseRunning })
	pod, err := c.client.CoreV1().Pods(kube.Namespace).Get(context.Background(), kube.RunnerPod(c.run), metav1.GetOptions{})
	require.NoError(c.t, err)
	return pod.Spec.NodeName, pod.Status.PodIP
}

// moment waits until the API server is to go.
func (c *cell) moment() {
	if c.phase == "steady" {
		time.Sleep(12 * time.Second) // of the 20 s that it must hold
		return
	}
	c.await("the injection", func(r *kube.DrillRun) bool { return len(r.Status.Faults) > 0 })
	switch c.phase {
	case "held":
		time.Sleep(15 * time.Second)
	case "reverting":
		time.Sleep(hold - 500*time.Millisecond)
	}
}

func (c *cell) await(what string, until func(*kube.DrillRun) bool) {
	c.t.Helper()
	for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(50 * time.Millisecond) {
		r, err := c.runs.Get(context.Background(), c.run)
		require.NoError(c.t, err)
		if until(r) {
			return
		}
		require.False(c.t, r.Finished(), "it ended while the test waited for %s: %s", what, r.Status.Message)
	}
	c.t.Fatalf("run %s: no end of waiting for %s", c.run, what)
}

// cut takes a pod's way to the API server away, on its node, and returns how to give it back. The nodes of kind are
// containers that bear the nodes' names.
func cut(t *testing.T, node, ip string) (restore func()) {
	t.Helper()
	rules := func(verb string) error {
		var all []string
		for _, chain := range []string{"FORWARD", "INPUT"} { // INPUT, when the API server is on the pod's own node
			all = append(all, fmt.Sprintf("iptables -w 10 %s %s -s %s -p tcp --dport 6443 -m comment --comment drill-outage -j DROP", verb, chain, ip))
		}
		out, err := exec.Command("docker", "exec", node, "sh", "-c", strings.Join(all, " && ")).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	require.NoError(t, rules("-I"))
	restored := false
	restore = func() {
		if !restored {
			restored = true
			require.NoError(t, rules("-D"))
		}
	}
	t.Cleanup(restore)
	return restore
}

func kubectl(args ...string) *exec.Cmd {
	path, err := filepath.Abs("../lab/bin/kubectl")
	if lab := os.Getenv("LAB"); lab != "" {
		path = filepath.Join(filepath.Dir(lab), "bin", "kubectl")
	}
	if _, missing := os.Stat(path); err != nil || missing != nil {
		path = "kubectl"
	}
	return exec.Command(path, args...)
}
